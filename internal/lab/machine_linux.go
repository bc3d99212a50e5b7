package lab

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// RaiseFileLimit lets this process open as many files as it may, which must be
// at least so many.
func RaiseFileLimit(least uint64) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	if r.Max < least { // root may have more
		more := syscall.Rlimit{Cur: least, Max: least}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
			r = more
		}
	}
	r.Cur = r.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	if r.Cur < least {
		return fmt.Errorf("lab: %d open files are allowed: want %d", r.Cur, least)
	}
	return nil
}

// PeakMemory is the most that a process ever had resident, in bytes.
func PeakMemory(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone: 0
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// processorTicks returns the machine's busy and total time, in ticks.
func processorTicks() (busy, total int64) {
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := bytes.Cut(stat, []byte{'\n'})
	for i, field := range bytes.Fields(line) {
		n, _ := strconv.ParseInt(string(field), 10, 64)
		const idle, iowait, guest = 4, 5, 9 // proc(5); guest is part of user
		if i == 0 || i >= guest {
			continue
		}
		total += n
		if i != idle && i != iowait {
			busy += n
		}
	}
	return busy, total
}
