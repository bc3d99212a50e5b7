package frame

import (
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/budget"
	"github.com/wsresilience/wsresilience/internal/monotime"
)

// A message that has not come whole holds what it will need; one for which there
// is no memory waits, uses nothing of what comes, and goes on when there is.
func TestMessageWaitsForMemory(t *testing.T) {
	share := budget.New(100_000).Share(75_000)
	b := &Buffers{Memory: share}
	whole := Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, make([]byte, 20_000))
	var list [3]Messages
	for i := range list {
		m := &list[i]
		*m = Messages{Rules: client, Max: 30_000, Buffers: b}
		if _, n, ok, err := m.Next(whole[:10]); n != 0 || ok || err != nil {
			t.Fatalf("%d: %d bytes used, ok %v, %v", i, n, ok, err)
		}
	}
	// The first fits. The second does not, and is let through as the only one.
	for i, want := range []bool{false, false, true} {
		if list[i].Waits() != want {
			t.Errorf("%d waits: %v", i, list[i].Waits())
		}
	}
	last := &list[2]
	if _, n, ok, err := last.Next(whole); n != 0 || ok || err != nil {
		t.Errorf("a message that waits uses %d bytes, ok %v, %v", n, ok, err)
	}
	if _, n, ok, err := list[0].Next(whole); n != len(whole) || !ok || err != nil {
		t.Fatalf("%d bytes used, ok %v, %v", n, ok, err)
	}
	list[1].Reset()
	if _, n, ok, err := last.Next(whole); n != len(whole) || !ok || err != nil {
		t.Errorf("with memory it uses %d bytes, ok %v, %v", n, ok, err)
	}
	if share.Used() != 0 || share.Waiting() != 0 {
		t.Errorf("%d bytes are held by nobody, %d wait", share.Used(), share.Waiting())
	}
}

// Fragments hold what they are together, a ping between them gives nothing back,
// and what was joined is given back by Release.
func TestFragmentsHoldMemory(t *testing.T) {
	share := budget.New(0).Share(0)
	m := Messages{Rules: client, Max: 30_000, Buffers: &Buffers{Memory: share}}
	first := Append(nil, ws.Header{OpCode: ws.OpText, Masked: true}, make([]byte, 5_000))
	rest := Append(nil, ws.Header{Masked: true}, make([]byte, 5_000))
	ping := Append(nil, ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true}, nil)
	last := Append(nil, ws.Header{Fin: true, Masked: true}, nil)
	feed := func(b []byte) bool {
		_, n, ok, err := m.Next(b)
		if err != nil || n != len(b) {
			t.Fatalf("%d of %d bytes used: %v", n, len(b), err)
		}
		return ok
	}
	feed(first)
	feed(rest)
	if held := share.Used(); held < 10_000 {
		t.Errorf("%d bytes are held for 10000", held)
	}
	before := share.Used()
	if !feed(ping) || share.Used() != before {
		t.Error("a ping gives memory back")
	}
	if !feed(last) || share.Used() == 0 {
		t.Error("the message's memory is given back while it is used")
	}
	if m.Release(); share.Used() != 0 {
		t.Errorf("%d bytes are held by nobody", share.Used())
	}
}

// A message that keeps memory for which others wait has its time.
func TestOverdue(t *testing.T) {
	b := &Buffers{Memory: budget.New(10_000).Share(10_000)}
	half := Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true}, make([]byte, 20_000))[:14]
	slow := Messages{Rules: client, Max: 30_000, Buffers: b}
	other := slow
	_, _, _, _ = slow.Next(half)
	at := func(d time.Duration) monotime.Time { return monotime.At(time.Unix(1000, 0).Add(d)) }
	if slow.Overdue(at(0)) || slow.Overdue(at(time.Hour)) {
		t.Error("it is overdue though nobody waits")
	}
	_, _, _, _ = other.Next(half)
	if !other.Waits() || other.Overdue(at(time.Hour)) {
		t.Error("one that waits is overdue")
	}
	if slow.Overdue(at(overdueAfter)) || !slow.Overdue(at(2*overdueAfter)) {
		t.Error("it has another time than it should")
	}
}
