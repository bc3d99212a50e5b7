package main

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
	ansiLine  = "\x1b[K\n" // clears the rest of the line
	ansiBelow = "\x1b[J"   // clears what is below, such as an echoed ^C
)

// palette is how a text is made to stand out; the zero value does not.
type palette struct{ strong, good, bad, end string }

func colours() palette {
	return palette{strong: "\x1b[1m", good: "\x1b[1;32m", bad: "\x1b[1;31m", end: "\x1b[0m"}
}

// outlet calls broken when its writer fails: nobody is watching any more.
type outlet struct {
	io.Writer
	broken func()
}

func (o outlet) Write(p []byte) (int, error) {
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

func (v *view) begin(o demoOptions) {
	if v.terminal {
		fmt.Fprint(v.out, ansiBegin)
		return
	}
	fmt.Fprintln(v.out, topology(o))
}

func (v *view) pace() time.Duration {
	if v.terminal {
		return terminalPace
	}
	return plainPace
}

// draw shows s in place of what was drawn before, or as one more line.
func (v *view) draw(s *standing) {
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

// end shows the last standing and what it means.
func (v *view) end(s *standing) {
	if v.terminal {
		v.draw(s)
		fmt.Fprint(v.out, ansiEnd)
	} else {
		fmt.Fprint(v.out, "\n", table(s, palette{}))
	}
	fmt.Fprint(v.out, "\n", verdict(s))
}

func topology(o demoOptions) string {
	return fmt.Sprintf("two clients <-> network, cut every %s <-> sidecar <-> stock WebSocket app", o.every)
}

// dashboard is a frame of at most 80×23, the notes apart, which are cut off
// at the screen's edge.
func dashboard(s *standing, p palette) string {
	var b strings.Builder
	hint := "ctrl-C stops"
	if s.settling {
		hint = "no more cuts: what is under way arrives"
	}
	fmt.Fprintf(&b, "%swsresilience demo%s  %-9s%50s\n", p.strong, p.end, clock(s.elapsed), hint)
	fmt.Fprintf(&b, "%s\n\n%s\n", topology(s.options), table(s, p))
	for i := range maxNotes {
		if i < len(s.notes) {
			fmt.Fprintf(&b, "%6s  %s", clock(s.notes[i].at), s.notes[i].text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// columns are the widths of a table: a name, and two directions each of the
// plain and the resilient client. Facts span both directions.
const (
	nameColumn = "%-16s"
	factColumn = "%26s%32s\n"
)

// table sets the two clients side by side.
func table(s *standing, p palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, p.strong+nameColumn+factColumn+p.end, "", "plain WebSocket", "resilient client")
	fmt.Fprintf(&b, nameColumn+"%14s%12s%20s%12s\n", "messages", "to client", "to app", "to client", "to app")
	counts(&b, s, p)
	for _, row := range []struct {
		name  string
		value func(user, *account) string
	}{
		{"connection", state},
		{"came back", comebacks},
		{"longest wait", func(_ user, a *account) string { return a.wait.Round(10 * time.Millisecond).String() }},
	} {
		fmt.Fprintf(&b, nameColumn+factColumn, row.name,
			row.value(plain, &s.accounts[plain]), row.value(resilient, &s.accounts[resilient]))
	}
	return b.String()
}

// counts are the table's rows of numbers.
func counts(b *strings.Builder, s *standing, p palette) {
	for _, row := range []struct {
		name  string
		value func(*score) uint64
		wrong bool // anything but 0 is
	}{
		{"sent", func(c *score) uint64 { return c.sent }, false},
		{"received", func(c *score) uint64 { return c.received }, false},
		{"lost", (*score).lost, true},
		{"duplicated", func(c *score) uint64 { return c.duplicated }, true},
		{"out of order", func(c *score) uint64 { return c.reordered }, true},
		{"worst gap", func(c *score) uint64 { return c.worst }, false},
	} {
		fmt.Fprintf(b, nameColumn, row.name)
		for i, width := range [...]int{14, 12, 20, 12} {
			value, ink := row.value(&s.accounts[i/2].scores[i%2]), palette{}
			if row.wrong {
				ink = palette{strong: p.good, end: p.end}
			}
			if row.wrong && value > 0 {
				ink.strong = p.bad
			}
			fmt.Fprintf(b, "%s%*d%s", ink.strong, width, value, ink.end)
		}
		b.WriteByte('\n')
	}
}

func state(_ user, a *account) string {
	if a.connected {
		return "connected"
	}
	return "broken"
}

func comebacks(u user, a *account) string {
	return plural(uint64(a.comebacks), [...]string{"reconnect", "resume"}[u])
}

// statusLine is a standing where there is no terminal.
func statusLine(s *standing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", clock(s.elapsed), plural(uint64(s.cuts), "cut"))
	for u := range users {
		a := &s.accounts[u]
		sent, lost, duplicated := a.totals()
		fmt.Fprintf(&b, " | %s: lost %d of %d, duplicated %d, %s", u, lost, sent, duplicated, comebacks(u, a))
	}
	return b.String()
}

// verdict is the end of the story.
func verdict(s *standing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s\n", plural(uint64(s.cuts), "cut"), s.elapsed.Round(time.Second))
	for u := range users {
		sent, lost, duplicated := s.accounts[u].totals()
		fmt.Fprintf(&b, "%-9s  lost %d, duplicated %d, of %s\n", u, lost, duplicated, plural(sent, "message"))
	}
	return b.String()
}

// totals sums up both directions.
func (a *account) totals() (sent, lost, duplicated uint64) {
	for i := range a.scores {
		c := &a.scores[i]
		sent, lost, duplicated = sent+c.sent, lost+c.lost(), duplicated+c.duplicated
	}
	return sent, lost, duplicated
}

// clock prints minutes and seconds.
func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// plural prints a number of things whose name takes an s.
func plural(n uint64, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}
