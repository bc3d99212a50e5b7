//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"syscall"
)

// Other systems compile this package and cannot run it.
const (
	sigterm = syscall.SIGTERM
	sigstop = syscall.SIGTERM
	sigcont = syscall.SIGTERM
)

func mortal(*exec.Cmd)                    {}
func raiseLimits() error                  { return errors.New("chaos: needs Linux") }
func peakMemory(int) int64                { return 0 }
func processorTicks() (busy, total int64) { return 0, 0 }
