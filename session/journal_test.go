package session

import (
	"testing"
	"time"
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
		st.s.JournalLost(st.now)
	}
	st.settle()
	st.wait(maxLostPause)
	after := st.s.Counters()
	if n, f := after.Records-records, after.Frames-frames; n != 1 || f != 2 {
		t.Errorf("%d records with %d messages, want 1 with 2", n, f)
	}
}
