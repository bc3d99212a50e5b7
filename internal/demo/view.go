package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// How often a view is drawn.
const (
	terminalPace = 100 * time.Millisecond // quick enough to look alive
	plainPace    = time.Second            // a line each
)

// ANSI sequences. Colours are the terminal's own, which are legible on its
// background whether that is light or dark.
const (
	ansiBegin = "\x1b[?25l\x1b[?7l" // no cursor, no wrapping of long lines
	ansiEnd   = "\x1b[?7h\x1b[?25h"
	ansiUp    = "\x1b[%dA"
	ansiLine  = "\x1b[K\r\n" // clears the rest of the line; a raw terminal needs the CR
	ansiBelow = "\x1b[J"     // clears what is below, such as an echoed ^C
)

// palette is how a text is made to stand out; the zero value does not.
type palette struct{ strong, good, bad, end string }

func colours() palette {
	return palette{strong: "\x1b[1m", good: "\x1b[1;32m", bad: "\x1b[1;31m", end: "\x1b[0m"}
}

// watchedWriter calls broken when its writer fails: its reader is gone.
type watchedWriter struct {
	io.Writer
	broken func()
}

func (o watchedWriter) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		o.broken()
	}
	return n, err
}

// view shows snapshots on standard output.
type view struct {
	out      io.Writer
	terminal bool
	drawn    int // lines of the frame on the screen
}

func (v *view) begin(s *snapshot) {
	if v.terminal {
		fmt.Fprint(v.out, ansiBegin)
		return
	}
	if s.page != "" {
		fmt.Fprintln(v.out, "open", s.page)
	}
	fmt.Fprintln(v.out, topology(s))
}

func (v *view) pace() time.Duration {
	if v.terminal {
		return terminalPace
	}
	return plainPace
}

// draw shows s in place of what was drawn before, or as one more line.
func (v *view) draw(s *snapshot) {
	if !v.terminal {
		fmt.Fprintln(v.out, statusLine(s))
		return
	}
	frame := dashboard(s, colours())
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, ansiUp+"\r", v.drawn)
	}
	b.WriteString(strings.ReplaceAll(frame, "\n", ansiLine))
	b.WriteString(ansiBelow)
	fmt.Fprint(v.out, b.String())
	v.drawn = strings.Count(frame, "\n")
}

// end shows the last snapshot and the verdict.
func (v *view) end(s *snapshot) {
	if v.terminal {
		v.draw(s)
		fmt.Fprint(v.out, ansiEnd)
	} else {
		fmt.Fprint(v.out, "\n", table(s, palette{}))
	}
	fmt.Fprint(v.out, "\n", verdict(s))
}

func topology(s *snapshot) string {
	if s.watched {
		return "a page is open: nothing is broken by itself meanwhile"
	}
	return fmt.Sprintf("two clients <-> network, cut every %s <-> balancer <-> %d x (sidecar <-> app)", s.options.every, replicas)
}

// dashboard is a frame of at most 80×23, the notes apart, which are cut off
// at the screen's edge.
func dashboard(s *snapshot, p palette) string {
	var b strings.Builder
	hint := "ctrl-C stops"
	switch {
	case s.settling:
		hint = "no more faults: what is under way arrives"
	case s.keys:
		hint = "k kill  d drain  r restart  c cut  q quit"
	}
	title := "wsresilience demo"
	if s.page != "" {
		title = "open " + s.page
	}
	left := fmt.Sprintf("%s  %s", title, clock(s.elapsed))
	fmt.Fprintf(&b, "%s%s%s%*s\n%s\n", p.strong, left, p.end, max(0, 78-len(left)), hint, topology(s))
	for i := range s.pods {
		fmt.Fprintln(&b, podLine(&s.pods[i], p))
	}
	fmt.Fprintf(&b, "%s\n", table(s, p))
	notes := s.notes[max(0, len(s.notes)-shownNotes):]
	for i := range shownNotes {
		if i < len(notes) {
			fmt.Fprintf(&b, "%6s  %s", clock(notes[i].at), notes[i].text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// podLine is how a pod is.
func podLine(v *podView, p palette) string {
	ink := palette{}
	switch v.state {
	case podUp:
		ink = palette{strong: p.good, end: p.end}
	case podDraining, podDead:
		ink = palette{strong: p.bad, end: p.end}
	}
	return fmt.Sprintf("%-10s%s%-10s%s%s, %s, %s", v.name, ink.strong, v.state, ink.end,
		plural(v.sessions, "session"), plural(v.plain, "plain connection"), plural(v.tunnels, "tunnel"))
}
