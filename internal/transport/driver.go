package transport

// Driver is how the sockets of sessions are read.
type Driver string

// The values of Driver.
const (
	// DriverAuto is DriverAIO where that works, else DriverEpoll where there is
	// epoll, and otherwise DriverGoroutine.
	DriverAuto Driver = "auto"

	// DriverAIO is DriverEpoll, but sockets that are ready are read in one system
	// call, and written to in another (see Round): any number of them, for the sake of
	// tests. DriverAuto does so with some, and leaves few to DriverEpoll.
	DriverAIO Driver = "aio"

	// DriverEpoll reads plain TCP and Unix sockets on one event loop per
	// processor. Whatever has no descriptor of its own, such as TLS, has
	// goroutines all the same.
	DriverEpoll Driver = "epoll"

	// DriverGoroutine reads each socket on a goroutine of its own.
	DriverGoroutine Driver = "goroutine"
)
