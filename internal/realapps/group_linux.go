package main

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a process and its children into a group that ends as a whole:
// with the command's context, and should this program be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
