package rehearse

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
)

// plainEvery is how often a line is written where it cannot be written over.
const plainEvery = 5 * time.Second

// A view shows where a run is: one line that is written over on a terminal, and
// one now and then elsewhere. It is safe for concurrent use.
type view struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	line     string // on the terminal's last line
	next     time.Duration
}

func newView(out io.Writer) *view {
	f, ok := out.(*os.File)
	return &view{out: out, terminal: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

func (v *view) begin(s *Spec) {
	length := time.Duration(s.Profile.Ramp) + s.Baseline + plan.Length(s.Faults) + s.After
	fmt.Fprintf(v.out, "%d plain and %d resilient clients, profile %s, %d faults, seed %d: %s, and what is under way then\n",
		s.Profile.Plain, s.Profile.Resilient, s.Profile.Name, len(s.Faults), s.Seed, length.Round(time.Second))
}

func (v *view) say(at time.Duration, text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearLocked()
	fmt.Fprintf(v.out, "%s  %s\n", clock(at), text)
	v.drawLocked()
}

func (v *view) watch(p Progress) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s", clock(p.At), clock(max(p.At, p.End)))
	for _, s := range p.Sides {
		fmt.Fprintf(&b, " | %s: %d of %d connected, %d of %d answered, %d sessions lost", s.Side, s.Up, s.Clients, s.Answered, s.Due, s.Losses)
	}
	if p.Phase != "" {
		b.WriteString(" | " + p.Phase)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.terminal {
		v.clearLocked()
		v.line = b.String()
		v.drawLocked()
		return
	}
	if p.At >= v.next {
		v.next = p.At + plainEvery
		fmt.Fprintln(v.out, b.String())
	}
}

// clearLocked takes the line away. The caller holds mu.
func (v *view) clearLocked() {
	if v.line != "" {
		fmt.Fprint(v.out, "\r\x1b[K")
	}
}

// drawLocked writes the line again. The caller holds mu.
func (v *view) drawLocked() {
	if v.line != "" {
		fmt.Fprint(v.out, "\x1b[?7l"+v.line+"\x1b[?7h")
	}
}

func (v *view) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clearLocked()
	v.line = ""
}

func clock(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
