//go:build unix

package rehearse

import (
	"fmt"
	"syscall"
)

const (
	// perClient is what a client has open at most: its socket, both of the link's,
	// and those of a connection that takes over from another.
	perClient = 6

	// ownFiles is what this program has open beside.
	ownFiles = 100
)

// checkDescriptors reports whether so many clients may have their sockets. Go has
// raised the limit as far as this process may.
func checkDescriptors(clients int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return nil //nolint:nilerr // it will be seen
	}
	if want := clients*perClient + ownFiles; uint64(want) > uint64(l.Cur) { //nolint:unconvert // FreeBSD has it signed
		return fmt.Errorf("rehearse: %d clients need %d open files, and this process may have %d: raise the limit (ulimit -n %d), or take fewer clients", clients, want, l.Cur, want)
	}
	return nil
}
