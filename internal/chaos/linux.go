//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

const (
	sigterm = syscall.SIGTERM
	sigstop = syscall.SIGSTOP
	sigcont = syscall.SIGCONT
)

// mortal lets a process die with this program, however that ends.
func mortal(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// leastFiles is what a run of the storm has open at once: three sockets a
// session in this process.
const leastFiles = 18_000

func raiseLimits() error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	r.Cur = r.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	if r.Cur < leastFiles {
		return fmt.Errorf("chaos: %d open files are allowed: want %d", r.Cur, leastFiles)
	}
	return nil
}

// peakMemory is the most that a process ever had resident, in bytes.
func peakMemory(pid int) int64 {
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
