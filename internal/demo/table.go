package demo

import (
	"fmt"
	"strings"
	"time"
)

// columns are the widths of a table: a name, and two directions each of the
// plain and the resilient client. Facts span both directions.
const (
	nameColumn = "%-16s"
	factColumn = "%26s%32s\n"
)

// table sets the two clients side by side.
func table(s *snapshot, p palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, p.strong+nameColumn+factColumn+p.end, "", "plain WebSocket", "resilient client")
	fmt.Fprintf(&b, nameColumn+"%14s%12s%20s%12s\n", "messages", "to client", "to app", "to client", "to app")
	rows(&b, s, p)
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

// rows are the table's numbers. The last three are no faults of the sidecar's:
// an app had no socket to write to while a client was away, or was killed (DESIGN §4).
func rows(b *strings.Builder, s *snapshot, p palette) {
	for _, row := range []struct {
		name  string
		value func(*count) int
		wrong bool // anything but 0 is
	}{
		{"sent", func(c *count) int { return c.Sent }, false},
		{"received", func(c *count) int { return c.Got }, false},
		{"lost", func(c *count) int { return c.Lost }, true},
		{"duplicated", func(c *count) int { return c.Doubled }, true},
		{"out of order", func(c *count) int { return c.Reordered }, true},
		{"missed, away", func(c *count) int { return c.unsent }, false},
		{"killed: gone", func(c *count) int { return c.Tail }, false},
		{"killed: twice", func(c *count) int { return c.Again }, false},
	} {
		fmt.Fprintf(b, nameColumn, row.name)
		for i, width := range [...]int{14, 12, 20, 12} {
			value, ink := row.value(&s.accounts[i/2].counts[i%2]), palette{}
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
	if u == plain {
		return plural(a.comebacks, "reconnect")
	}
	return plural(a.comebacks, "resume") + ", " + plural(a.adoptions, "adoption")
}

// faults counts what was done to them.
func faults(s *snapshot) string {
	text := plural(s.cuts, "cut") + ", " + plural(s.kills, "kill") + ", " + plural(s.drains, "drain")
	if s.restarts > 0 {
		text += ", " + plural(s.restarts, "app restart")
	}
	return text
}

// statusLine is a snapshot for where there is no terminal.
func statusLine(s *snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", clock(s.elapsed), faults(s))
	for u := range users {
		a := &s.accounts[u]
		c := a.total()
		fmt.Fprintf(&b, " | %s: lost %d of %d, duplicated %d, %s", u, c.Lost, c.Sent, c.Doubled, comebacks(u, a))
	}
	return b.String()
}

// verdict is the end of the story.
func verdict(s *snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %s\n", faults(s), s.elapsed.Round(time.Second))
	for u := range users {
		c := s.accounts[u].total()
		fmt.Fprintf(&b, "%-9s  never arrived: %d of %s (lost %d, missed while away %d, gone with a killed app %d); duplicated %d\n",
			u, c.Lost+c.unsent+c.Tail, plural(c.Sent+c.unsent, "message"), c.Lost, c.unsent, c.Tail, c.Doubled)
	}
	if c := s.accounts[resilient].total(); s.kills+s.restarts > 0 {
		fmt.Fprintf(&b, "after a kill the promise is at-least-once towards the app: %d came twice\n", c.Again)
	}
	return b.String()
}

// total sums up both directions.
func (a *account) total() count {
	c := a.counts[toClient]
	c.add(a.counts[toApp])
	return c
}

// clock prints minutes and seconds.
func clock(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// plural prints a number of things whose name takes an s.
func plural(n int, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}
