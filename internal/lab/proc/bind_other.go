//go:build !linux

package proc

import "os/exec"

// bind can do nothing here: processes end when this program ends well.
func bind(*exec.Cmd) {}

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
