package demo

import (
	"fmt"
	"strings"
	"testing"
)

// The judge is told by apps and clients, line by line, what happened to the
// resilient client. "hears sock n" is the client, "sends n" is how many it
// sent, "kills app" is the demo; all else is an app's report.
func TestVerdict(t *testing.T) {
	const opening = "opened 1.1 resilient\nwrites 1.1\nhears 1.1 1\nsends 2\nread 1.1 1\nread 1.1 2\n"
	for _, tt := range []struct {
		name, story string
		out, in     count
		clean       bool
	}{
		{"all is well", opening, count{sent: 1, received: 1}, count{sent: 2, received: 2}, true},
		{"the client is faster than the app's word", "hears 1.1 1\nopened 1.1 resilient\nwrites 1.1\n",
			count{sent: 1, received: 1}, count{}, true},
		{"nobody wrote it", "opened 1.1 resilient\nhears 1.1 1\n", count{sent: 1, received: 1, duplicated: 1}, count{}, false},
		{"twice to the client", opening + "hears 1.1 1\n", count{sent: 1, received: 1, duplicated: 1}, count{sent: 2, received: 2}, false},
		{"a socket that refuses", opening + "writes 1.1\nfailed 1.1\nunsent 1.1\n",
			count{sent: 1, received: 1, unsent: 2}, count{sent: 2, received: 2}, true},
		{"a drain loses the last word", opening + "writes 1.1\nclosed 1.1\nopened 2.1 resilient\nwrites 2.1\nhears 2.1 1\n",
			count{sent: 3, received: 2, lost: 1}, count{sent: 2, received: 2}, false},
		{"a kill loses the last word", opening + "writes 1.1\nkills 1\nopened 2.1 resilient\nwrites 2.1\nhears 2.1 1\n",
			count{sent: 3, received: 2, gone: 1}, count{sent: 2, received: 2}, true},
		{"a kill loses too many", opening + strings.Repeat("writes 1.1\n", 21) + "kills 1\nopened 2.1 resilient\nwrites 2.1\nhears 2.1 1\n",
			count{sent: 23, received: 2, lost: 21}, count{sent: 2, received: 2}, false},
		{"a kill loses one between others", opening + "writes 1.1\nwrites 1.1\nkills 1\nhears 1.1 3\n",
			count{sent: 3, received: 2, lost: 1}, count{sent: 2, received: 2}, false},
		{"an old app speaks after the new one", opening + "writes 1.1\nopened 2.1 resilient\nwrites 2.1\nhears 2.1 1\nhears 1.1 2\n",
			count{sent: 3, received: 3, reordered: 1}, count{sent: 2, received: 2}, false},
		{"a drain repeats", opening + "closed 1.1\nopened 2.1 resilient\nread 2.1 2\n",
			count{sent: 1, received: 1}, count{sent: 2, received: 2, duplicated: 1}, false},
		{"a kill repeats", opening + "kills 1\nopened 2.1 resilient\nread 2.1 2\n",
			count{sent: 1, received: 1}, count{sent: 2, received: 2, repeated: 1}, true},
		{"the killed app's word comes last", "opened 1.1 resilient\nsends 3\nread 1.1 1\nkills 1\nopened 2.1 resilient\nread 2.1 2\nread 2.1 3\nread 1.1 2\n",
			count{}, count{sent: 3, received: 3, repeated: 1}, true},
		{"a kill, a drain, and a repetition by the drain", opening + "kills 1\nopened 2.1 resilient\nread 2.1 2\nclosed 2.1\nopened 3.1 resilient\nread 3.1 2\n",
			count{sent: 1, received: 1}, count{sent: 2, received: 2, repeated: 1, duplicated: 1}, false},
		{"the killed app had it and did not read it", opening + "sends 2\nkills 1\nopened 2.1 resilient\nread 2.1 4\n",
			count{sent: 1, received: 1}, count{sent: 4, received: 3, gone: 1}, true},
		{"the drained app did not read it", opening + "sends 2\nclosed 1.1\nopened 2.1 resilient\nread 2.1 4\n",
			count{sent: 1, received: 1}, count{sent: 4, received: 3, lost: 1}, false},
		{"an app reads out of order", "opened 1.1 resilient\nsends 3\nread 1.1 1\nread 1.1 3\nread 1.1 2\n",
			count{}, count{sent: 3, received: 3, reordered: 1}, false},
		{"what was never sent", "opened 1.1 resilient\nread 1.1 1\nread 1.1 soon\n", count{}, count{duplicated: 2}, false},
		{"half a report", opening + "wri", count{sent: 1, received: 1}, count{sent: 2, received: 2}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tally := newTally(options{rate: 10})
			for _, line := range strings.Split(strings.TrimSuffix(tt.story, "\n"), "\n") {
				tell(tally, line)
			}
			tally.finish()
			s := tally.standing()
			got := s.accounts[resilient].counts
			if got != [2]count{tt.out, tt.in} {
				t.Errorf("got\n%+v, want\n%+v", got, [2]count{tt.out, tt.in})
			}
			if s.clean(resilient) != tt.clean {
				t.Errorf("clean is %v", s.clean(resilient))
			}
		})
	}
}

func tell(t *tally, line string) {
	var n int
	switch what, rest, _ := strings.Cut(line, " "); what {
	case "hears":
		t.hear(resilient, []byte(rest))
	case "sends":
		_, _ = fmt.Sscan(rest, &n)
		for range n {
			t.books[resilient].in.next()
		}
	case "kills":
		_, _ = fmt.Sscan(rest, &n)
		t.kills(n)
	default:
		t.report(line)
	}
}

// A long demo keeps few of the sockets and all of the counts.
func TestBookIsBounded(t *testing.T) {
	const sockets = 3 * maxLives
	tally := newTally(options{rate: 10})
	for i := range sockets {
		sock := socketName(1, i+1)
		tell(tally, "opened "+sock+" plain")
		tell(tally, "writes "+sock)
		tell(tally, "writes "+sock)
		tally.hear(plain, []byte(sock+" 1"))
		tell(tally, "closed "+sock)
	}
	if n := len(tally.books[plain].lives); n > maxLives {
		t.Errorf("%d sockets are remembered", n)
	}
	tally.finish()
	s := tally.standing()
	want := count{sent: 2 * sockets, received: sockets, lost: sockets}
	if got := s.accounts[plain].counts[toClient]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
