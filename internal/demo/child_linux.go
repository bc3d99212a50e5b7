package demo

import (
	"os/exec"
	"syscall"
)

// bindToDemo lets a process die with the demo, however that ends. Its group
// is its own, so that a terminal's ctrl-C is the demo's alone.
func bindToDemo(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
