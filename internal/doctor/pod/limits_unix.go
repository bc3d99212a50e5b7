//go:build unix

package pod

import "golang.org/x/sys/unix"

// fileLimit is the hard limit on open files, to which Go raises its own.
func fileLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Max) //nolint:unconvert // signed on some systems
}

// free is how many bytes a folder's disk has left for others than root.
func free(dir string) int64 {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0
	}
	return int64(uint64(s.Bavail) * uint64(s.Bsize)) //nolint:unconvert // of other sizes on some systems
}
