//go:build !unix

package program

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
)

// Become runs another program as this one's child, where a process cannot become
// another, and returns its exit code. An interrupt is for the child, which gets it
// too.
func Become(file string, args, environ []string) (code int, err error) {
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	cmd := exec.Command(file, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
