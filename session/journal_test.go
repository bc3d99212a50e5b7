package session

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// An ended session whose journal is away is not kept for ever.
func TestEndIsNotToldForEver(t *testing.T) {
	st := newStage(t)
	st.do([]string{"new"})
	st.do([]string{"journal", "waits"})
	st.do([]string{"client", "cut"})
	st.do([]string{"journal", "fails"})
	st.wait(st.cfg.TTL + time.Second)
	told := 0
	for began := st.now; !st.s.Done(); told++ {
		if st.journal != nil {
			st.do([]string{"journal", "fails"})
		}
		if st.wait(maxRetry); st.now.Sub(began) > 10*time.Minute {
			t.Fatalf("after %v the session still waits for its journal", st.now.Sub(began))
		}
	}
	if told < maxEndTries/2 {
		t.Fatalf("the session gave up after %d tries", told)
	}
}

// While the journal is busy, a message waits that its client is likely to
// acknowledge in a moment, and nothing else does.
func TestJournalIsBusy(t *testing.T) {
	st := newStage(t)
	busy := true
	st.cfg.Busy = func() bool { return busy }
	st.do([]string{"new"})
	records := func() uint64 { return st.s.Counters().Records }
	started := records()
	want := func(what string, n uint64) {
		t.Helper()
		if got := records() - started; got != n {
			t.Fatalf("%s: %d records, want %d", what, got, n)
		}
	}
	const nearly = maxBusyWait - 10*time.Millisecond
	st.do([]string{"app", "text", "one"})
	st.wait(st.cfg.PersistAfter + nearly)
	want("busy", 0)
	st.do([]string{"client", "acks", "1"})
	busy = false
	st.wait(time.Second)
	want("acknowledged meanwhile", 0)

	busy = true
	st.do([]string{"app", "text", "two"})
	st.wait(st.cfg.PersistAfter + nearly/2)
	busy = false
	st.wait(2 * busyPause)
	want("no more", 1)

	busy = true
	st.do([]string{"app", "text", "three"})
	st.wait(st.cfg.PersistAfter + nearly)
	want("busy again", 1)
	st.wait(10*time.Millisecond + 2*busyPause)
	want("busy for too long", 2)

	st.do([]string{"app", "text", "four"})
	st.do([]string{"client", "cut"})
	want("nobody is there", 3)
}

// While the records under way hold all the memory that they may, one with
// messages waits, longer each time; the journal that is back ends the wait.
func TestJournalIsCrowded(t *testing.T) {
	st := newStage(t)
	asked, crowded := 0, false
	st.cfg.Crowded = func() bool { asked++; return crowded }
	st.do([]string{"new"})
	st.do([]string{"client", "acks", "0"}) // it lives
	records := func() uint64 { return st.s.Counters().Records }
	crowded = true
	st.do([]string{"app", "text", "one"})
	st.do([]string{"client", "cut"})
	started := records()
	st.wait(time.Minute)
	if n := records() - started; n != 0 {
		t.Fatalf("%d records while crowded", n)
	}
	if asked < 5 || asked > 40 {
		t.Errorf("asked %d times in a minute", asked)
	}
	crowded = false
	st.s.JournalBack()
	st.settle()
	if n := records() - started; n != 1 {
		t.Fatalf("%d records when there is room again, want 1", n)
	}
	crowded = true
	st.do([]string{"app", "text", "two"})
	st.wait(time.Second)
	crowded = false
	st.wait(2 * maxRetry)
	if n := records() - started; n != 2 {
		t.Fatalf("%d records without being told, want 2", n)
	}
}

// When the journal may have lost what it accepted, the session writes all of it
// again within seconds: what the client lacks, and that it is there at all.
func TestJournalLost(t *testing.T) {
	st := newStage(t)
	st.do([]string{"new"})
	st.do([]string{"client", "acks", "0"})
	st.do([]string{"app", "text", "one"})
	st.do([]string{"client", "cut"})
	st.do([]string{"app", "text", "two"})
	st.settle()
	before := st.s.Counters()
	records, frames := before.Records, before.Frames
	for range 3 {
		st.s.WriteAgain(st.now)
	}
	st.settle()
	st.wait(maxAgainPause)
	after := st.s.Counters()
	if n, f := after.Records-records, after.Frames-frames; n != 1 || f != 2 {
		t.Errorf("%d records with %d messages, want 1 with 2", n, f)
	}
}

// slow is a session whose client acknowledges late: every message is journaled.
func slow(t *testing.T) (st *stage, say func(n int)) {
	st = newStage(t)
	st.cfg.WindowBytes, st.cfg.MaxMessage = 1<<20, 1<<20
	st.do([]string{"new"})
	st.do([]string{"client", "acks", "0"})
	said := 0
	return st, func(n int) {
		for range n {
			said++
			st.do([]string{"app", "text", strings.Repeat("x", 100<<10)})
			st.wait(2 * st.cfg.PersistAfter)
			st.do([]string{"client", "acks", strconv.Itoa(said)})
		}
	}
}

// What a session's chain of records holds is bounded whatever it sends, and goes
// soon after it is quiet, and at its end.
func TestChainIsLightened(t *testing.T) {
	holds := func(st *stage) int64 { return st.s.journal.cadence.Holds() }
	st, say := slow(t)
	for range 30 {
		say(10)
		if n := holds(st); n > 9<<20 {
			t.Fatalf("the chain holds %d bytes", n)
		}
	}
	if n := st.s.Counters().Records; n > 300+4*64 {
		t.Errorf("%d records for 300 messages", n)
	}
	st.wait(quietPause + time.Second)
	if n := holds(st); n > 512<<10 {
		t.Errorf("the chain of a quiet session holds %d bytes", n)
	}
	before := st.s.Counters().Records
	st.wait(time.Minute)
	if n := st.s.Counters().Records - before; n > 1 {
		t.Errorf("%d records of an idle session", n)
	}

	st, say = slow(t)
	say(20)
	st.do([]string{"client", "closes", "1000"})
	st.do([]string{"app", "frame-close", "1000"})
	st.wait(time.Second)
	if n := holds(st); n > 512<<10 || !st.s.Done() {
		t.Errorf("the chain of an ended session holds %d bytes; done: %v", n, st.s.Done())
	}
}

// A session that holds more than the journal has room for from one makes room,
// and waits when that is not enough; one that holds little is always taken.
func TestShare(t *testing.T) {
	st, say := slow(t)
	share := int64(1 << 30)
	st.cfg.Share = func() int64 { return share }
	say(20)
	share = 1 << 20
	say(1)
	if n := st.s.journal.cadence.Holds(); n > share {
		t.Errorf("the chain holds %d bytes, its share is %d", n, share)
	}
	share = 64 << 10
	before := st.s.Counters().Frames
	st.do([]string{"app", "text", strings.Repeat("x", 100<<10)})
	st.do([]string{"client", "cut"})
	st.wait(time.Minute)
	if n := st.s.Counters().Frames - before; n != 0 {
		t.Errorf("%d messages above the share are written", n)
	}
	share = 1 << 30
	st.wait(10 * time.Second)
	if n := st.s.Counters().Frames - before; n != 1 {
		t.Errorf("%d messages are written when there is room, want 1", n)
	}

	st = newStage(t)
	st.cfg.Share = func() int64 { return 64 << 10 }
	st.do([]string{"new"})
	st.do([]string{"client", "acks", "0"})
	st.do([]string{"app", "text", "small"})
	st.do([]string{"client", "cut"})
	if n := st.s.Counters().Frames; n != 1 {
		t.Errorf("%d messages of a small session are written, want 1", n)
	}
}

// What an app says to a client that is away gathers, so that it is one record each
// time. What happens to the session does not wait, and takes along what has
// gathered; nor does what is handed over.
func TestJournalGathers(t *testing.T) {
	st := newStage(t)
	st.cfg.PersistAway = 2 * time.Second
	st.do([]string{"new"})
	started := *st.s.Counters()
	want := func(what string, records, frames uint64) {
		t.Helper()
		c := st.s.Counters()
		if got := c.Records - started.Records; got != records || c.Frames-started.Frames != frames {
			t.Fatalf("%s: %d records with %d messages, want %d with %d", what, got, c.Frames-started.Frames, records, frames)
		}
	}
	st.do([]string{"app", "text", "one"})
	st.do([]string{"client", "cut"})
	want("detached, with what was under way", 1, 1)
	st.do([]string{"app", "text", "two"})
	st.wait(time.Second)
	st.do([]string{"app", "text", "three"})
	st.wait(900 * time.Millisecond)
	want("gathering", 1, 1)
	st.wait(200 * time.Millisecond)
	want("gathered", 2, 3)

	st.do([]string{"app", "text", "four"})
	st.wait(3 * time.Second)
	want("a single one", 3, 4)

	st.do([]string{"app", "text", "five"})
	st.wait(time.Second)
	st.do([]string{"resume", "received=0", "next=1"})
	want("attached again", 4, 4)
	st.wait(st.cfg.PersistAfter - time.Millisecond)
	want("the client may acknowledge it in a moment", 4, 4)
	st.do([]string{"client", "acks", "5"})
	st.wait(time.Second)
	want("it has", 4, 4)
	st.do([]string{"client", "cut"})
	want("away again", 5, 4)

	st.do([]string{"app", "text", "six"})
	st.do([]string{"app", "frame-close", "4001"})
	want("the app has closed", 6, 5)
}

// What has gathered is handed over at once.
func TestJournalGathersForNobody(t *testing.T) {
	st := newStage(t)
	st.cfg.PersistAway = time.Minute
	st.do([]string{"new"})
	st.do([]string{"client", "cut"})
	st.do([]string{"app", "text", "one"})
	st.do([]string{"handover"})
	st.do([]string{"app", "frame-close", "1000"})
	if last := st.log[len(st.log)-1]; last != "session ends: handed" {
		t.Errorf("%q, want the session handed over", st.log)
	}
}

// heardUntil is a driver that has read all that came until then.
type heardUntil struct{ at monotime.Time }

func (h *heardUntil) Heard(now monotime.Time) monotime.Time { return min(now, h.at) }

// An acknowledgement that may lie in the client's socket is read before a message
// counts as late: its age is that at which the driver knows what has come.
func TestJournalKnowsWhatItHasHeard(t *testing.T) {
	st := newStage(t)
	h := new(heardUntil)
	st.out.Heard = h
	until := func(ago time.Duration) { h.at = monotime.At(st.now.Add(-ago)) }
	st.do([]string{"new"})
	started := st.s.Counters().Records
	want := func(what string, n uint64) {
		t.Helper()
		if got := st.s.Counters().Records - started; got != n {
			t.Fatalf("%s: %d records, want %d", what, got, n)
		}
	}
	until(0)
	st.do([]string{"app", "text", "one"})
	st.wait(10 * st.cfg.PersistAfter)
	want("nothing was read since", 0)
	st.do([]string{"client", "acks", "1"})
	until(0)
	st.wait(time.Second)
	want("it was in the socket", 0)

	until(0)
	st.do([]string{"app", "text", "two"})
	st.wait(st.cfg.PersistAfter + 10*time.Millisecond)
	until(20 * time.Millisecond)
	st.wait(2 * unheardPause)
	want("read up to when it was not late", 0)
	until(0)
	st.wait(2 * unheardPause)
	want("read up to now", 1)

	until(time.Second)
	st.do([]string{"app", "text", "three"}) // said after all that is known
	st.wait(unheardPause)
	want("not known yet", 1)
	st.do([]string{"client", "cut"})
	want("nobody is there who could have acknowledged it", 2)
}

// While the journal has little to do for clients that are away, nothing gathers.
func TestJournalGathersUnderLoad(t *testing.T) {
	st := newStage(t)
	st.cfg.PersistAway = 2 * time.Second
	busy := false
	st.cfg.AwayBusy = func() bool { return busy }
	st.do([]string{"new"})
	st.do([]string{"client", "cut"})
	for i, c := range []struct {
		busy   bool
		frames uint64
	}{{false, 1}, {true, 1}, {true, 1}, {false, 4}, {false, 5}} {
		busy = c.busy
		st.do([]string{"app", "text", "news"})
		if n := st.s.Counters().Frames; n != c.frames {
			t.Errorf("message %d: %d are written, want %d", i+1, n, c.frames)
		}
	}
	busy = true
	st.do([]string{"app", "text", "news"})
	st.wait(2100 * time.Millisecond)
	if n := st.s.Counters().Frames; n != 6 {
		t.Errorf("%d messages are written after the time to gather, want 6", n)
	}
}
