//go:build unix

package httpguard

import "syscall"

// descriptorLimit is how many the process may have; 0: that is not known.
func descriptorLimit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<30 {
		return 0
	}
	return int(r.Cur)
}
