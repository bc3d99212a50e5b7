package demo

import (
	"io"
	"os"

	"golang.org/x/term"
)

// ctrlC is what a raw terminal sends instead of a signal.
const ctrlC = 3

// keyboard reads single keys from a terminal.
type keyboard struct {
	in     *os.File
	before *term.State // nil: there is no keyboard
}

// newKeyboard takes over the terminal, if it is wanted and in is one, until
// close.
func newKeyboard(in *os.File, wanted bool) *keyboard {
	k := &keyboard{in: in}
	if fd := int(in.Fd()); wanted && term.IsTerminal(fd) {
		k.before, _ = term.MakeRaw(fd) // without it there are just no keys
	}
	return k
}

func (k *keyboard) present() bool { return k.before != nil }

// close gives the terminal back as it was. It may be called twice.
func (k *keyboard) close() {
	if k.before != nil {
		_ = term.Restore(int(k.in.Fd()), k.before)
	}
	k.before = nil
}

// keys are what each one does.
type keys map[byte]func()

// read does what is pressed until in ends. Nothing can end a read of a
// terminal, so that this lasts as long as the process.
func (k keys) read(in io.Reader) {
	b := make([]byte, 1)
	for {
		if _, err := in.Read(b); err != nil {
			return
		}
		if act := k[b[0]]; act != nil {
			act()
		}
	}
}

// interrupt is what ctrl-C does where the terminal is not raw.
func interrupt() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(os.Interrupt)
	}
}
