package proc

import (
	"os/exec"
	"syscall"
)

// bind lets a process die with this program, however that ends. Its group is
// its own, so that a terminal's ctrl-C is this program's alone, and so that
// kill finds what the process started.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
