package seqwindow

import (
	"testing"
	"time"
	"unsafe"
)

var epoch = time.Unix(1_700_000_000, 0)

func TestReceiverIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Receiver{}); size > 56 {
		t.Fatalf("Receiver has %d bytes, want at most 56", size)
	}
}

func TestReceiverVerdicts(t *testing.T) {
	var r Receiver
	r.Init(1<<32 - 2)
	for _, c := range []struct {
		seq  Serial
		want Verdict
	}{
		{1<<32 - 2, Duplicate},
		{0, Gap},
		{1<<32 - 1, Fresh},
		{0, Fresh},
		{1<<32 - 1, Duplicate},
		{2, Gap},
		{1 << 31, Gap}, // no order
		{1, Fresh},
	} {
		if got := r.Accept(c.seq); got != c.want {
			t.Fatalf("Accept(%d): %v, want %v", c.seq, got, c.want)
		}
	}
	equal(t, "Next", r.Next(), 2)
	equal(t, "Received", r.Received(), 2)
}

func TestReceiverAcknowledgesLate(t *testing.T) {
	var r Receiver
	r.Init(nearWrap)
	take := func(n int) Serial {
		for range n {
			r.Next()
		}
		return r.Received()
	}
	wantDue := func(when string, now time.Time, want bool) {
		t.Helper()
		if n, due := r.AckDue(now); due != want {
			t.Fatalf("%s: due for %d: %v, want %v", when, n, due, want)
		}
	}
	wantDue("nothing received", epoch.Add(time.Hour), false)
	first := take(1)
	wantDue("received but not handled (I3)", epoch.Add(time.Hour), false)
	r.Handled(epoch, first, 10)
	wantDue("just handled", epoch, false)
	r.Handled(epoch.Add(150*time.Millisecond), take(1), 10)
	equal(t, "deadline counts from the first", r.AckDeadline().Equal(epoch.Add(DefaultAckDelay)), true)
	wantDue("just before", epoch.Add(DefaultAckDelay-1), false)
	wantDue("delay over", epoch.Add(DefaultAckDelay), true)
	r.Acked(epoch, first) // behind what is handled by now
	wantDue("the second message still waits", epoch.Add(DefaultAckDelay), true)
	r.Acked(epoch, r.Received())
	equal(t, "no deadline", r.AckDeadline(), time.Time{})

	now := epoch.Add(time.Minute)
	r.Handled(now, take(DefaultAckMessages-1), 1)
	wantDue("31 messages", now, false)
	r.Handled(now, take(1), 1)
	wantDue("32 messages", now, true)
	n, _ := r.AckDue(now)
	equal(t, "cumulative", n, r.Received())
	r.Acked(now, n)

	r.Handled(now, take(1), DefaultAckBytes-1)
	wantDue("a byte less than 64 KiB", now, false)
	r.Handled(now, take(1), 1)
	wantDue("64 KiB", now, true)
}

func TestReceiverPolicy(t *testing.T) {
	r := Receiver{Policy: &AckPolicy{Messages: 2, Bytes: 100, Delay: time.Second}}
	r.Init(0)
	r.Handled(epoch, r.Next(), 1)
	equal(t, "own delay", r.AckDeadline().Equal(epoch.Add(time.Second)), true)
	r.Handled(epoch, r.Next(), 1)
	equal(t, "own messages", r.AckDeadline().Equal(epoch), true)
	r.Policy = &AckPolicy{Delay: -1}
	r.Acked(epoch, 1)
	equal(t, "at once", r.AckDeadline().Equal(epoch), true)
}

func TestReceiverAcksRide(t *testing.T) {
	r := Receiver{Policy: &AckPolicy{Messages: 8, Bytes: 100, Delay: 40 * time.Millisecond}}
	r.Init(0)
	at := func(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }
	equal(t, "nothing to tell", r.ShouldPiggyback(at(0)), false)
	r.Handled(at(0), r.Next(), 1)
	equal(t, "29 ms after the first", r.ShouldPiggyback(at(29)), false)
	equal(t, "30 ms after the first", r.ShouldPiggyback(at(30)), true)
	r.Acked(at(0), r.Received())
	equal(t, "nothing more to tell", r.ShouldPiggyback(at(1000)), false)
	r.Handled(at(20), r.Next(), 1)
	equal(t, "29 ms after the last one", r.ShouldPiggyback(at(29)), false)
	equal(t, "30 ms", r.ShouldPiggyback(at(30)), true)
	for range 4 {
		r.Handled(at(20), r.Next(), 1)
	}
	equal(t, "five messages", r.ShouldPiggyback(at(20)), false)
	r.Handled(at(20), r.Next(), 1)
	equal(t, "six messages", r.ShouldPiggyback(at(20)), true)
	_, due := r.AckDue(at(20))
	equal(t, "it is not due", due, false)
	r.Acked(at(20), r.Received())
	r.Handled(at(21), r.Next(), 74)
	equal(t, "74 bytes", r.ShouldPiggyback(at(21)), false)
	r.Handled(at(21), r.Next(), 1)
	equal(t, "75 bytes", r.ShouldPiggyback(at(21)), true)
}

// TestReceiverAcksAnswers: who answers each message at a slow pace need never
// acknowledge in a message of its own.
func TestReceiverAcksAnswers(t *testing.T) {
	for _, pace := range []time.Duration{time.Millisecond, 16 * time.Millisecond, 18 * time.Millisecond, time.Minute} {
		r := Receiver{Policy: &AckPolicy{Messages: 1000, Delay: 20 * time.Millisecond}}
		r.Init(0)
		now := epoch
		r.Handled(now, r.Next(), 1)
		r.Acked(now, r.Received())
		for range 200 {
			now = now.Add(pace)
			if n, due := r.AckDue(now); due {
				t.Fatalf("an answer every %v: ACK %d is due without one", pace, n)
			}
			r.Handled(now, r.Next(), 1)
			if r.ShouldPiggyback(now) {
				r.Acked(now, r.Received())
			}
		}
	}
}

// FuzzReceiver compares with a model that keeps a list of what was handled and
// not acknowledged, and asks each of the three rules of it.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{0, 1, 1, 5, 2, 0, 3, 200, 4, 0})
	f.Add([]byte{1, 40, 2, 9, 5, 1, 3, 255, 3, 255, 4, 1, 0, 2, 2, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		type handled struct {
			at    time.Time
			bytes int
		}
		var (
			policy   = &AckPolicy{Messages: 4, Bytes: 300, Delay: 100 * time.Millisecond}
			r        = Receiver{Policy: policy}
			now      = epoch
			received = 0 // messages since the start
			waiting  []handled
			acked    = 0
		)
		r.Init(nearWrap)
		for ; len(script) >= 2; script = script[2:] {
			arg := int(script[1])
			switch script[0] % 5 {
			case 0: // a serial near the one that is expected
				ahead := arg%7 - 3
				want := Gap
				if ahead == 1 {
					want = Fresh
					received++
				} else if ahead <= 0 {
					want = Duplicate
				}
				equal(t, "Accept", r.Accept(Add(r.Received(), ahead)), want)
			case 1:
				received++
				equal(t, "Next", r.Next(), Add(nearWrap, received))
			case 2: // the consumer takes one more
				if n := acked + len(waiting); n < received {
					r.Handled(now, Add(nearWrap, n+1), arg)
					waiting = append(waiting, handled{now, arg})
				}
			case 3:
				now = now.Add(time.Duration(arg) * time.Millisecond)
			case 4:
				n, _ := r.AckDue(now)
				r.Acked(now, n)
				acked, waiting = acked+len(waiting), nil
			}
			due, sum := len(waiting) >= policy.Messages, 0
			for _, h := range waiting {
				sum += h.bytes
				due = due || !now.Before(h.at.Add(policy.Delay))
			}
			due = due || len(waiting) > 0 && sum >= policy.Bytes
			n, got := r.AckDue(now)
			equal(t, "due", got, due)
			equal(t, "ack", n, Add(nearWrap, acked+len(waiting)))
			equal(t, "Received", r.Received(), Add(nearWrap, received))
			equal(t, "no deadline", r.AckDeadline().IsZero(), len(waiting) == 0)
		}
	})
}

func TestReceiverPanicsOnBrokenInvariants(t *testing.T) {
	for name, f := range map[string]func(r *Receiver){
		"handled before received": func(r *Receiver) { r.Handled(epoch, 2, 0) },
		"acked before handled":    func(r *Receiver) { r.Acked(epoch, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			var r Receiver
			r.Init(0)
			r.Next()
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			f(&r)
		})
	}
}

func TestReceiverDoesNotAllocate(t *testing.T) {
	r := Receiver{Policy: &AckPolicy{Messages: 1}}
	r.Init(nearWrap)
	now := epoch
	allocs := testing.AllocsPerRun(1000, func() {
		r.Handled(now, r.Next(), 64)
		n, due := r.AckDue(now)
		if !due {
			t.Fatal("not due after one message")
		}
		r.Acked(now, n)
	})
	if allocs != 0 {
		t.Fatalf("%v allocations per message, want none", allocs)
	}
}
