package program

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// tellAfter is how long a build may take before a word is said of it: one whose
	// work is in the cache is over by then.
	tellAfter = 2 * time.Second

	// tellEvery is how often more is said.
	tellEvery = 5 * time.Second

	// maxComplaints bounds the lines of a failed build that are kept.
	maxComplaints = 40
)

// teller takes what go build -v says, and tells in few words how far it is. It is
// called by one goroutine at a time, as a command's Stderr is.
type teller struct {
	out      io.Writer
	what     string
	began    time.Time
	told     time.Time // the last word; the zero time if there was none
	packages int       // compiled so far
	rest     []byte    // of a line whose end has not come
	lines    []string  // that are neither a package nor a download
}

func newTeller(out io.Writer, what string) *teller {
	return &teller{out: out, what: what, began: time.Now()}
}

// Write takes a part of the output. It never fails.
func (t *teller) Write(p []byte) (int, error) {
	t.rest = append(t.rest, p...)
	for {
		line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		t.rest = rest
		t.line(strings.TrimSpace(string(line)))
	}
}

// line takes one line: the path of a package that is compiled next, what is
// downloaded, or a complaint.
func (t *teller) line(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		t.say("downloading %s", strings.TrimPrefix(line, "go: downloading "))
	case line != "" && !strings.ContainsAny(line, " \t:"):
		t.packages++
		t.say("%d packages compiled, now %s", t.packages-1, line)
	case len(t.lines) < maxComplaints:
		t.lines = append(t.lines, line)
	}
}

// say tells the newest, unless something was told a moment ago.
func (t *teller) say(format string, args ...any) {
	now := time.Now()
	if now.Sub(t.began) < tellAfter || !t.told.IsZero() && now.Sub(t.told) < tellEvery {
		return
	}
	if t.told.IsZero() {
		fmt.Fprintf(t.out, "building %s, which takes minutes the first time and a moment after that\n", t.what)
	}
	t.told = now
	fmt.Fprintf(t.out, "  %3.0f s: %s\n", now.Sub(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// end tells that it is done, if anything was told.
func (t *teller) end(well bool) {
	if well && !t.told.IsZero() {
		fmt.Fprintf(t.out, "  %3.0f s: done\n", time.Since(t.began).Seconds())
	}
}

// complaints is what a failed build said.
func (t *teller) complaints() string {
	return strings.Join(append(t.lines, string(t.rest)), "\n")
}
