package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/wsresilience/wsresilience/internal/program"
)

// roleArg is the first argument of a program that is one of its own processes.
const roleArg = "lab-role"

// A Role is what a program does in place of its own work.
type Role func(args []string) error

// RunRole plays the role that the program's arguments name, and then exits. It
// returns if they name none. A main or TestMain calls it first.
func RunRole(roles map[string]Role) {
	if len(os.Args) < 3 || os.Args[1] != roleArg {
		return
	}
	role := roles[os.Args[2]]
	if role == nil {
		role = func([]string) error { return fmt.Errorf("proc: role %q: unknown", os.Args[2]) }
	}
	if err := role(os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// InRole is the command that runs this program in a role.
func InRole(role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, append([]string{roleArg, role}, args...)...), nil
}

// A Binary is a command of this repository, built at most once.
type Binary struct {
	Name  string   // of the command
	Flags []string // of go build

	once sync.Once
	dir  string
	err  error
}

// Path builds the command and returns its path.
func (b *Binary) Path(ctx context.Context) (string, error) {
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", b.Name+"-"); b.err == nil {
			b.err = program.Build(ctx, b.Name, filepath.Join(b.dir, b.Name), b.Flags...)
		}
	})
	return filepath.Join(b.dir, b.Name), b.err
}

// Remove removes what was built.
func (b *Binary) Remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}
