package seqwindow

import (
	"bytes"
	"errors"
	"testing"
	"unsafe"
)

// nearWrap starts a direction where its third message is number 0.
const nearWrap Serial = 1<<32 - 3

func TestSenderIsSmall(t *testing.T) {
	// One lives in each direction of each idle session.
	if size := unsafe.Sizeof(Sender{}); size > 120 {
		t.Fatalf("Sender has %d bytes, want at most 120", size)
	}
}

func TestSenderResumesInsideAMessage(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
	for range 5 {
		p.append(100)
	}
	p.write(250) // two messages and a half
	p.ack(1)
	p.rewind(1) // the peer lacks message 2, and half of 3 is worth nothing
	equal(t, "first byte", p.s.Pending(nil, 1)[0][0], body(nearWrap+2, 100)[0])
	p.write(150)
	p.rewind(2) // an earlier connection did deliver message 2
	p.rewind(3) // beyond what any connection was given
	p.write(1 << 30)
	p.ack(5)
	equal(t, "head after the wrap", p.s.Head(), 2)
}

func TestSenderCursorInTheChunkThatIsFreed(t *testing.T) {
	for room := range 2 * headerSize {
		p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
		p.append(chunkData - headerSize - room) // leaves room bytes in the first chunk
		p.write(1 << 30)
		p.markTo(1)
		p.append(3 * chunkData)
		p.ack(1) // cursor and mark stand at the end of what is freed
		p.write(1)
		p.ack(1)
		p.write(2 * chunkData)
		p.rewind(1)
		p.write(1 << 30)
		p.ack(2)
	}
}

func TestSenderFreesAnAcknowledgedChunkAtOnce(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
	p.append(chunkData - headerSize) // exactly one chunk
	equal(t, "one chunk", p.pool.InUse(), chunkSize)
	p.append(1)
	equal(t, "two chunks", p.pool.InUse(), 2*chunkSize)
	p.write(1 << 30)
	p.ack(1)
	equal(t, "one chunk again", p.pool.InUse(), chunkSize)
	p.ack(2)
	equal(t, "none", p.pool.InUse(), 0)
}

func TestSenderReplaceKeepsPositions(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
	for range 4 {
		p.append(3000)
	}
	p.write(1 << 30)
	p.markTo(3)
	p.rewind(1)
	p.replace(2 * chunkData)
	p.write(chunkData + 5)
	p.ack(1)
	p.rewind(3) // delivered by the first connection, in the old form
	p.append(10)
	p.write(1 << 30)
	p.ack(5)
}

func TestSenderHoldsNoChunkTooMany(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
	p.append(chunkData - 2*headerSize) // leaves room for exactly a header
	p.append(chunkData)
	equal(t, "header in the first chunk, message in the second", p.pool.InUse(), 2*chunkSize)
}

func TestSenderTakesOneMessageOfAnySizeWhenEmpty(t *testing.T) {
	p := newPair(t, Limits{Messages: 10, Bytes: 100}, 0, nearWrap)
	if err := p.append(50 * chunkData); err != nil {
		t.Fatalf("oversize message into an empty window: %v", err)
	}
	if err := p.append(1); !errors.Is(err, ErrFull) {
		t.Fatalf("message behind an oversize one: %v, want ErrFull", err)
	}
	for p.s.Unsent() {
		p.write(777)
	}
	p.ack(1)
	if err := p.append(1); err != nil {
		t.Fatalf("message after the oversize one is gone: %v", err)
	}
}

func TestSenderBudgetRefusesAndRecovers(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 3*chunkSize, nearWrap)
	if err := p.append(4 * chunkData); !errors.Is(err, ErrBudget) {
		t.Fatalf("four chunks of a budget of three: %v", err)
	}
	equal(t, "in use after a refusal", p.pool.InUse(), 0)
	for p.append(1000) == nil {
	}
	equal(t, "in use when exhausted", p.pool.InUse(), 3*chunkSize)
	p.write(5000)
	p.ack(p.m.sent)
	if err := p.append(1000); err != nil {
		t.Fatalf("append after an acknowledgement: %v", err)
	}
	p.reset()
	equal(t, "in use after the session", p.pool.InUse(), 0)
}

func TestSenderDefaultLimits(t *testing.T) {
	var s Sender
	s.Init(NewPool(0), Limits{}, 0)
	for range DefaultMessages {
		if err := s.Append([]byte{1}, 0); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "Fits after DefaultMessages", s.Fits(1), false)
	s.Reset()
	if err := s.Append(make([]byte, DefaultBytes-1), 0); err != nil {
		t.Fatal(err)
	}
	equal(t, "Fits up to DefaultBytes", s.Fits(1), true)
	equal(t, "Fits beyond DefaultBytes", s.Fits(2), false)
}

func TestSenderEachStopsAndIgnoresWhatIsGone(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
	for range 5 {
		p.append(10)
	}
	p.write(30)
	p.ack(2)
	var seen []Serial
	p.s.Each(nearWrap-5, func(seq Serial, _ uint32, _ [][]byte) bool {
		seen = append(seen, seq)
		return len(seen) < 2
	})
	if len(seen) != 2 || seen[0] != 0 || seen[1] != 1 {
		t.Fatalf("Each from before the window, stopped after two: %v", seen)
	}
	p.s.Each(p.s.Head()+9, func(seq Serial, _ uint32, _ [][]byte) bool {
		t.Fatalf("Each from beyond the window shows %d", seq)
		return false
	})
}

// A peer far out of range, where serial arithmetic has no order, must not move
// anything either.
func TestSenderRejectsSerialsWithoutOrder(t *testing.T) {
	p := newPair(t, Limits{}.withDefaults(), 0, nearWrap)
	p.append(10)
	p.write(10)
	far := p.s.Acked() + 1<<31
	if _, err := p.s.Ack(far); !errors.Is(err, ErrBeyond) {
		t.Fatalf("ack half the circle away: %v", err)
	}
	if err := p.s.Rewind(far); err == nil {
		t.Fatal("rewind half the circle away was taken")
	}
	p.check()
}

func TestSenderPanicsOnBrokenInvariants(t *testing.T) {
	cases := map[string]func(s *Sender){
		"empty message":          func(s *Sender) { s.Append(nil, 0) },
		"skip over what is held": func(s *Sender) { s.Skip(1) },
		"advance beyond the end": func(s *Sender) { s.Advance(4) },
		"mark beyond the last":   func(s *Sender) { s.SetJournaled(s.Head() + 1) },
		"replace by other messages": func(s *Sender) {
			var with Sender
			with.Init(s.pool, Limits{}, s.Acked())
			s.Replace(&with)
		},
		"mark without order to all": func(s *Sender) { s.SetJournaled(s.Acked() + 1<<31) },
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			var s Sender
			s.Init(NewPool(0), Limits{}, nearWrap)
			s.Append([]byte("abc"), 0)
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			f(&s)
		})
	}
}

// Each run empties the window, so that it also takes a chunk from the pool and
// gives it back. The race detector makes sync.Pool forget one chunk in four;
// AllocsPerRun rounds that average down.
func TestSenderDoesNotAllocate(t *testing.T) {
	var s Sender
	s.Init(NewPool(1<<20), Limits{}, nearWrap)
	msg := bytes.Repeat([]byte("x"), 64)
	var iov [][]byte
	received := 0
	show := func(_ Serial, _ uint32, parts [][]byte) bool {
		received += len(parts[0])
		return true
	}
	allocs := testing.AllocsPerRun(1000, func() {
		for range 20 {
			if err := s.Append(msg, 7); err != nil {
				t.Fatal(err)
			}
		}
		iov = s.Pending(iov[:0], 1<<20)
		for _, b := range iov {
			s.Advance(len(b))
		}
		s.SetJournaled(s.Acked() + 10)
		s.Each(s.Journaled(), show)
		if err := s.Rewind(s.Acked() + 5); err != nil {
			t.Fatal(err)
		}
		s.Advance(15 * 64)
		if _, err := s.Ack(s.Head()); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Fatalf("%v allocations per round, want none", allocs)
	}
	if received == 0 {
		t.Fatal("Each showed nothing")
	}
}

func BenchmarkSender(b *testing.B) {
	for _, bench := range []struct {
		name  string
		batch int
	}{{"alone", 1}, {"batch of 32", 32}} {
		b.Run(bench.name, func(b *testing.B) { benchmarkSender(b, bench.batch) })
	}
}

// benchmarkSender is the life of a message of 64 bytes; an acknowledgement
// comes for every batch, and ns/op is per message.
func benchmarkSender(b *testing.B, batch int) {
	var s Sender
	s.Init(NewPool(1<<20), Limits{}, 0)
	msg := make([]byte, 64)
	var iov [][]byte
	b.ReportAllocs()
	b.SetBytes(64)
	for n := 0; b.Loop(); n++ {
		if err := s.Append(msg, 0); err != nil {
			b.Fatal(err)
		}
		iov = s.Pending(iov[:0], 1<<16)
		s.Advance(len(iov[0]))
		if n%batch == batch-1 {
			s.Ack(s.Sent())
		}
	}
	s.Reset()
}
