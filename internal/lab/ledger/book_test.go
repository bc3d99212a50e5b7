package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// tell plays a story: "opened", "writes", "failed", "unsent", "read" and
// "closed" are an app's records of a socket, "hears" is the client, "sends n"
// is how many messages it sent, "kill" says that a socket's app was killed.
func tell(t *testing.T, b *Book, story string) {
	t.Helper()
	wrote := map[uint32]uint32{}
	for line := range strings.Lines(story) {
		var what string
		var sock, n uint32
		fields, _ := fmt.Sscan(line, &what, &sock, &n)
		switch what {
		case "opened":
			b.Take(Record{Kind: Opened, Sock: sock})
		case "writes":
			wrote[sock]++
			b.Take(Record{Kind: Writes, Sock: sock, N: wrote[sock]})
		case "failed":
			b.Take(Record{Kind: Failed, Sock: sock, N: wrote[sock]})
			wrote[sock]--
		case "unsent":
			b.Take(Record{Kind: Unsent, Sock: sock})
		case "read":
			b.Take(Record{Kind: Read, Sock: sock, N: n})
		case "closed":
			b.Take(Record{Kind: Closed, Sock: sock})
		case "kill":
			b.Socket(sock).Killed = true
		case "hears":
			b.Heard(Tag{sock, n})
		case "sends":
			for range sock {
				b.Accept(b.Next())
			}
		default:
			t.Fatalf("%q: %d fields", line, fields)
		}
	}
}

// TestBook: what a kill explains, a drain does not.
func TestBook(t *testing.T) {
	const opening = "opened 1\nwrites 1\nhears 1 1\nsends 2\nread 1 1\nread 1 2\n"
	for _, tt := range []struct {
		name, story string
		out, in     Count
		unsent      int
		clean       bool
	}{
		{"all is well", opening, Count{Sent: 1, Got: 1}, Count{Sent: 2, Got: 2}, 0, true},
		{"the client is faster than the app's record", "hears 1 1\nopened 1\nwrites 1\n", Count{Sent: 1, Got: 1}, Count{}, 0, true},
		{"nobody wrote it", "opened 1\nhears 1 1\n", Count{Sent: 1, Got: 1, Doubled: 1}, Count{}, 0, false},
		{"twice to the client", opening + "hears 1 1\n", Count{Sent: 1, Got: 1, Doubled: 1}, Count{Sent: 2, Got: 2}, 0, false},
		{"a socket that refuses", opening + "writes 1\nfailed 1\nunsent 1\n", Count{Sent: 1, Got: 1}, Count{Sent: 2, Got: 2}, 2, true},
		{"a drain loses the last word", opening + "writes 1\nclosed 1\nopened 2\nwrites 2\nhears 2 1\n",
			Count{Sent: 3, Got: 2, Lost: 1}, Count{Sent: 2, Got: 2}, 0, false},
		{"a kill loses the last word", opening + "writes 1\nkill 1\nopened 2\nwrites 2\nhears 2 1\n",
			Count{Sent: 3, Got: 2, Tail: 1}, Count{Sent: 2, Got: 2}, 0, true},
		{"a kill loses too many", opening + strings.Repeat("writes 1\n", 21) + "kill 1\nopened 2\nwrites 2\nhears 2 1\n",
			Count{Sent: 23, Got: 2, Lost: 21}, Count{Sent: 2, Got: 2}, 0, false},
		{"a kill loses one between others", opening + "writes 1\nwrites 1\nkill 1\nhears 1 3\n",
			Count{Sent: 3, Got: 2, Lost: 1}, Count{Sent: 2, Got: 2}, 0, false},
		{"an old app speaks after the new one", opening + "writes 1\nopened 2\nwrites 2\nhears 2 1\nhears 1 2\n",
			Count{Sent: 3, Got: 3, Reordered: 1}, Count{Sent: 2, Got: 2}, 0, false},
		{"a drain repeats", opening + "closed 1\nopened 2\nread 2 2\n",
			Count{Sent: 1, Got: 1}, Count{Sent: 2, Got: 2, Doubled: 1}, 0, false},
		{"a kill repeats", opening + "kill 1\nopened 2\nread 2 2\n",
			Count{Sent: 1, Got: 1}, Count{Sent: 2, Got: 2, Again: 1}, 0, true},
		{"the killed app's record comes last", "opened 1\nsends 3\nread 1 1\nkill 1\nopened 2\nread 2 2\nread 2 3\nread 1 2\n",
			Count{}, Count{Sent: 3, Got: 3, Again: 1}, 0, true},
		{"a kill, a drain, and a repetition by the drain", opening + "kill 1\nopened 2\nread 2 2\nclosed 2\nopened 3\nread 3 2\n",
			Count{Sent: 1, Got: 1}, Count{Sent: 2, Got: 2, Again: 1, Doubled: 1}, 0, false},
		{"the killed app had it and did not read it", opening + "sends 2\nkill 1\nopened 2\nread 2 4\n",
			Count{Sent: 1, Got: 1}, Count{Sent: 4, Got: 3, Tail: 1}, 0, true},
		{"the drained app did not read it", opening + "sends 2\nclosed 1\nopened 2\nread 2 4\n",
			Count{Sent: 1, Got: 1}, Count{Sent: 4, Got: 3, Lost: 1}, 0, false},
		{"an app reads out of order", "opened 1\nsends 3\nread 1 1\nread 1 3\nread 1 2\n",
			Count{}, Count{Sent: 3, Got: 3, Reordered: 1}, 0, false},
		{"what was never sent", "opened 1\nread 1 1\nread 1 0\n", Count{}, Count{Doubled: 2}, 0, false},
		{"the last one is lost", opening + "sends 1\n", Count{Sent: 1, Got: 1}, Count{Sent: 3, Got: 2, Lost: 1}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b Book
			tell(t, &b, tt.story)
			out, in := b.Counts(Rules{Final: true, OnlyKilled: true, LastWords: 20})
			if out != tt.out || in != tt.in || b.Unsent != tt.unsent {
				t.Errorf("out %+v, in %+v, %d unsent", out, in, b.Unsent)
			}
			if clean := out.Clean() && in.Clean(); clean != tt.clean {
				t.Errorf("clean is %v", clean)
			}
		})
	}
}

// TestOutbound: without OnlyKilled the end of any replaced socket is a reason
// for its tail, and nothing else is.
func TestOutbound(t *testing.T) {
	const three = "writes 1\nwrites 1\nwrites 1\n"
	for name, tt := range map[string]struct {
		story string
		want  Count
	}{
		"nothing":              {"", Count{}},
		"in order":             {three + "hears 1 1\nhears 1 2\nhears 1 3\n", Count{Sent: 3, Got: 3}},
		"hole":                 {three + "hears 1 1\nhears 1 3\n", Count{Sent: 3, Got: 2, Lost: 1}},
		"begins late":          {three + "hears 1 3\n", Count{Sent: 3, Got: 1, Lost: 2}},
		"ends early":           {three + "hears 1 1\n", Count{Sent: 3, Got: 1, Lost: 2}},
		"hole filled":          {three + "hears 1 1\nhears 1 3\nhears 1 2\n", Count{Sent: 3, Got: 3, Reordered: 1}},
		"twice":                {three + "hears 1 1\nhears 1 2\nhears 1 2\nhears 1 3\n", Count{Sent: 3, Got: 3, Doubled: 1}},
		"hole filled twice":    {three + "hears 1 2\nhears 1 1\nhears 1 1\nhears 1 3\n", Count{Sent: 3, Got: 3, Reordered: 1, Doubled: 1}},
		"replaced":             {three + "hears 1 1\nwrites 2\nhears 2 1\n", Count{Sent: 4, Got: 2, Tail: 2}},
		"old one speaks again": {three + "hears 1 1\nwrites 2\nhears 2 1\nhears 1 2\nhears 1 3\n", Count{Sent: 4, Got: 4, Reordered: 2}},
		"old one repeats":      {"writes 1\nhears 1 1\nwrites 2\nhears 2 1\nhears 1 1\n", Count{Sent: 2, Got: 2, Reordered: 1, Doubled: 1}},
		"old one leaves a hole": {
			three + "writes 1\nhears 1 1\nwrites 2\nhears 2 1\nhears 1 4\n", Count{Sent: 5, Got: 3, Reordered: 1, Lost: 2},
		},
		"a socket that was never heard": {three + "writes 2\nhears 2 1\n", Count{Sent: 4, Got: 1, Tail: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var b Book
			tell(t, &b, tt.story)
			if out, _ := b.Counts(Rules{Final: true}); out != tt.want {
				t.Errorf("%+v, want %+v", out, tt.want)
			}
		})
	}
}

// TestInbound: of three messages of the client.
func TestInbound(t *testing.T) {
	for name, tt := range map[string]struct {
		reads [][2]uint32 // socket and number
		want  Count
	}{
		"nothing":       {nil, Count{Lost: 3}},
		"in order":      {[][2]uint32{{1, 1}, {1, 2}, {1, 3}}, Count{Got: 3}},
		"moved":         {[][2]uint32{{1, 1}, {2, 2}, {2, 3}}, Count{Got: 3}},
		"moved, again":  {[][2]uint32{{1, 1}, {1, 2}, {2, 2}, {2, 3}}, Count{Got: 3, Again: 1}},
		"last is lost":  {[][2]uint32{{1, 1}, {1, 2}}, Count{Got: 2, Lost: 1}},
		"hole":          {[][2]uint32{{1, 1}, {1, 3}}, Count{Got: 2, Lost: 1}},
		"hole filled":   {[][2]uint32{{1, 1}, {1, 3}, {1, 2}}, Count{Got: 3, Reordered: 1}},
		"twice":         {[][2]uint32{{1, 1}, {1, 2}, {1, 2}, {1, 3}}, Count{Got: 3, Doubled: 1}},
		"two at a time": {[][2]uint32{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {1, 3}, {2, 3}}, Count{Got: 3, Again: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var b Book
			tell(t, &b, "sends 3\n")
			for _, r := range tt.reads {
				b.Take(Record{Kind: Read, Sock: r[0], N: r[1]})
			}
			tt.want.Sent = 3
			if _, in := b.Counts(Rules{Final: true}); in != tt.want {
				t.Errorf("%+v, want %+v", in, tt.want)
			}
		})
	}
}

// TestUnderWay: what may still come is not lost.
func TestUnderWay(t *testing.T) {
	var b Book
	tell(t, &b, "sends 3\nread 1 1\nread 1 2\nwrites 1\nwrites 1\nhears 1 1\n")
	m := b.Mark()
	out, in := b.Counts(Rules{OnlyKilled: true})
	if want := (Count{Sent: 2, Got: 1}); out != want {
		t.Errorf("outbound %+v, want %+v", out, want)
	}
	if want := (Count{Sent: 3, Got: 2}); in != want {
		t.Errorf("inbound %+v, want %+v", in, want)
	}
	if tell(t, &b, "hears 1 2\nread 1 3\n"); b.Passed(m) {
		t.Error("nothing was sent since")
	}
	if tell(t, &b, "writes 1\nhears 1 3\n"); b.Passed(m) {
		t.Error("the client sent nothing since")
	}
	if tell(t, &b, "sends 1\nread 1 4\n"); !b.Passed(m) {
		t.Error("both ways something has passed")
	}
}

// TestMissing: what is told at once when a message comes.
func TestMissing(t *testing.T) {
	var b Book
	tell(t, &b, "sends 9\nwrites 1\nwrites 1\nhears 1 1\n")
	if n := b.Heard(Tag{2, 2}); n != 2 {
		t.Errorf("%d are missing before it, want the last of socket 1 and the first of 2", n)
	}
	if n := b.Heard(Tag{2, 3}); n != 0 {
		t.Errorf("%d are missing, want none", n)
	}
	for _, want := range [][2]uint32{{2, 1}, {4, 1}, {3, 0}, {5, 0}} {
		if n := b.Take(Record{Kind: Read, Sock: 1, N: want[0]}); n != int(want[1]) {
			t.Errorf("%d are missing before %d, want %d", n, want[0], want[1])
		}
	}
}

// TestOverlaps: a socket that reads on while its successor is open is owned
// twice, whatever the order in which the records come.
func TestOverlaps(t *testing.T) {
	const ms = int64(time.Millisecond)
	var b Book
	for _, r := range []Record{
		{Kind: Opened, Sock: 2, At: 100 * ms}, {Kind: Opened, Sock: 1, At: 10 * ms},
		{Kind: Read, Sock: 1, N: 1, At: 101 * ms}, {Kind: Closed, Sock: 1, At: 200 * ms},
		{Kind: Writes, Sock: 1, N: 5, At: 300 * ms}, // nobody hears it
	} {
		b.Take(r)
	}
	if n := b.Overlaps(time.Millisecond); n != 0 {
		t.Errorf("%d within the slack", n)
	}
	if b.Take(Record{Kind: Read, Sock: 1, N: 2, At: 102 * ms}); b.Overlaps(time.Millisecond) != 1 {
		t.Error("an overlap was not found")
	}
	if n := b.Open(); n != 1 {
		t.Errorf("%d sockets are open, want 1", n)
	}
}

// TestForget: a long run keeps few of the sockets and all of the counts.
func TestForget(t *testing.T) {
	const sockets, keep = 99, 33
	var b Book
	rules := Rules{OnlyKilled: true}
	for i := range sockets {
		tell(t, &b, fmt.Sprintf("opened %d\nwrites %[1]d\nwrites %[1]d\nhears %[1]d 1\nclosed %[1]d\n", i+1))
		b.Forget(keep, rules)
	}
	if n := len(b.Sockets()); n > keep {
		t.Errorf("%d sockets are remembered", n)
	}
	rules.Final = true
	if out, _ := b.Counts(rules); out != (Count{Sent: 2 * sockets, Got: sockets, Lost: sockets}) {
		t.Errorf("%+v", out)
	}
}

// FuzzBook: whatever comes, the account adds up to what a list shows. A byte
// is a socket and a number; those below 128 are heard, the others read.
func FuzzBook(f *testing.F) {
	f.Add([]byte{0x11, 0x12, 0x14, 0x13, 0x21, 0x15, 0x15})
	f.Add([]byte{0x91, 0x92, 0x92, 0xa2, 0xa3, 0x94})
	f.Fuzz(func(t *testing.T, script []byte) {
		const sent = 16
		var b Book
		tell(t, &b, fmt.Sprintf("sends %d\n", sent))
		heard, read, any := map[Tag]bool{}, map[Tag]bool{}, map[uint32]bool{}
		high := map[uint32]uint32{}
		var wantOut, wantIn Count
		for _, c := range script {
			at := Tag{uint32(c>>4) & 7, uint32(c&15) + 1}
			if c < 128 {
				b.Heard(at)
				if heard[at] {
					wantOut.Doubled++
				}
				heard[at] = true
				high[at.Stream] = max(high[at.Stream], at.N)
				continue
			}
			b.Take(Record{Kind: Read, Sock: at.Stream, N: at.N})
			switch {
			case read[at]:
				wantIn.Doubled++
			case any[at.N]:
				wantIn.Again++
			}
			read[at], any[at.N] = true, true
		}
		for sock, h := range high {
			b.Take(Record{Kind: Writes, Sock: sock, N: h})
			wantOut.Sent += int(h)
		}
		wantOut.Got, wantOut.Lost = len(heard), wantOut.Sent-len(heard)
		wantIn.Sent, wantIn.Got, wantIn.Lost = sent, len(any), sent-len(any)
		out, in := b.Counts(Rules{Final: true})
		out.Reordered, in.Reordered = 0, 0
		if out != wantOut || in != wantIn {
			t.Fatalf("%x: out %+v, in %+v, want %+v, %+v", script, out, in, wantOut, wantIn)
		}
	})
}
