package transport

// Driver is how the sockets of sessions are read.
type Driver string

// The values of Driver.
const (
	// DriverAuto is DriverEpoll where there is epoll, and otherwise
	// DriverGoroutine.
	DriverAuto Driver = "auto"

	// DriverEpoll reads plain TCP and Unix sockets on one event loop per
	// processor. Whatever has no descriptor of its own, such as TLS, has
	// goroutines all the same.
	DriverEpoll Driver = "epoll"

	// DriverGoroutine reads each socket on a goroutine of its own.
	DriverGoroutine Driver = "goroutine"
)
