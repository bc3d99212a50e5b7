// Package measure reads what the system and the sidecar count: processor time,
// memory, system calls, metrics. It needs Linux.
package measure

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// userTick is a clock tick in /proc/<pid>/stat: USER_HZ, 100 on every
// architecture that Go runs on under Linux.
const userTick = 10 * time.Millisecond

// CPUTime returns the processor time that a process has used. schedstat
// counts nanoseconds, of threads that live; neither Go nor nginx ends threads
// under these loads. Without it, utime and stime count ticks.
func CPUTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, file := range tasks {
		b, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread ended since Glob
		}
		if err != nil {
			return 0, err
		}
		ran, err := parseSchedstat(b)
		if err != nil {
			return 0, err
		}
		sum += ran
	}
	if sum > 0 {
		return sum, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseSchedstat reads "ran waited slices", the first in nanoseconds.
func parseSchedstat(b []byte) (time.Duration, error) {
	f := bytes.Fields(b)
	if len(f) != 3 {
		return 0, fmt.Errorf("measure: schedstat %q: %d fields, want 3", b, len(f))
	}
	ns, err := strconv.ParseInt(string(f[0]), 10, 64)
	if err != nil || ns < 0 {
		return 0, fmt.Errorf("measure: schedstat %q: no time", b)
	}
	return time.Duration(ns), nil
}

// parseStat is the sum of parseTimes.
func parseStat(b []byte) (time.Duration, error) {
	user, system, err := ParseTimes(b)
	return user + system, err
}

// ParseTimes reads utime and stime, the fields 14 and 15 of proc(5). The
// second field is the program's name in parentheses, and the name may hold
// spaces and parentheses too.
func ParseTimes(b []byte) (user, system time.Duration, err error) {
	const state, utime, stime = 3, 14, 15
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) <= stime-state {
		return 0, 0, fmt.Errorf("measure: stat %q: too short", b)
	}
	var times [2]time.Duration
	for k, i := range [...]int{utime - state, stime - state} {
		n, err := strconv.ParseInt(string(f[i]), 10, 64)
		if err != nil || n < 0 || n > maxTicks {
			return 0, 0, fmt.Errorf("measure: stat %q: no time", b)
		}
		times[k] = time.Duration(n) * userTick
	}
	return times[0], times[1], nil
}

// maxTicks keeps the sum from overflowing: a century.
const maxTicks = 100 * 366 * 24 * int64(time.Hour/userTick)

// Resident returns the resident memory of a process in bytes.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseResident(b)
}

// parseResident reads the line "VmRSS:  1234 kB", whose kB are 1,024 bytes.
func parseResident(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		f := bytes.Fields(rest)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0, fmt.Errorf("measure: status line %q: want kB", line)
		}
		n, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil || n < 0 || n > 1<<50 {
			return 0, fmt.Errorf("measure: status line %q: no size", line)
		}
		return n << 10, nil
	}
	return 0, errors.New("measure: status without VmRSS")
}

// ParseModel returns the processor's name from /proc/cpuinfo.
func ParseModel(cpuinfo []byte) string {
	for line := range bytes.Lines(cpuinfo) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(key)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown"
}
