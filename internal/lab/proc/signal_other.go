//go:build !unix

package proc

import "syscall"

// Other systems compile this package and know no way to stop a process.
const (
	sigterm = syscall.SIGTERM
	sigstop = syscall.SIGTERM
	sigcont = syscall.SIGTERM
)
