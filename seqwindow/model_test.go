package seqwindow

import (
	"bytes"
	"errors"
	"testing"
)

// model is the naive window: a slice of whole messages, and positions that are
// plain indexes counted from the first message of the session. Nothing in it
// wraps, spans or is freed.
type model struct {
	limits    Limits
	base      Serial // serial before the first message
	msgs      []modelMessage
	acked     int // how many messages, counted from the first
	sent      int
	highest   int
	journaled int
	written   int // bytes of message sent+1 that are written
}

type modelMessage struct {
	body  []byte
	stamp uint32
}

func (m *model) serial(i int) Serial { return m.base + Serial(i) }

func (m *model) bytes() (n int) {
	for _, msg := range m.msgs[m.acked:] {
		n += len(msg.body)
	}
	return n
}

func (m *model) fits(n int) bool {
	held := len(m.msgs) - m.acked
	return held == 0 || held < m.limits.Messages && m.bytes()+n <= m.limits.Bytes
}

func (m *model) unsent() []byte {
	var all []byte
	for _, msg := range m.msgs[m.sent:] {
		all = append(all, msg.body...)
	}
	return all[m.written:]
}

func (m *model) advance(n int) {
	for m.written += n; m.sent < len(m.msgs) && m.written >= len(m.msgs[m.sent].body); m.sent++ {
		m.written -= len(m.msgs[m.sent].body)
	}
	m.highest = max(m.highest, m.sent)
}

func (m *model) release(i int) {
	m.acked = max(m.acked, i)
	m.journaled = max(m.journaled, m.acked)
}

// pair runs the same operations on a Sender and on the model.
type pair struct {
	t    *testing.T
	pool *Pool
	s    Sender
	m    model
}

func newPair(t *testing.T, limits Limits, budget int64, acked Serial) *pair {
	p := &pair{t: t, pool: NewPool(budget), m: model{limits: limits, base: acked}}
	p.s.Init(p.pool, limits, acked)
	p.check()
	return p
}

// body is a message whose every byte depends on its number and place, so that
// a slice of another message, or from another place, is noticed.
func body(seq Serial, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(uint32(seq)*31 + uint32(i)*7 + uint32(i>>8))
	}
	return b
}

func (p *pair) append(size int) error {
	p.t.Helper()
	msg := modelMessage{body(p.s.Head()+1, size), uint32(p.s.Head()) ^ 0xa5a5}
	fits, before := p.m.fits(size), p.pool.InUse()
	half := size / 2
	err := p.s.AppendV([][]byte{msg.body[:half], nil, msg.body[half:]}, msg.stamp)
	switch {
	case err == nil && fits:
		p.m.msgs = append(p.m.msgs, msg)
	case errors.Is(err, ErrFull) && !fits:
	case errors.Is(err, ErrBudget) && fits:
		need := int64(size+headerSize+chunkData-1) / chunkData * chunkSize
		if p.pool.Budget() <= 0 || before+need <= p.pool.Budget() {
			p.t.Fatalf("append of %d bytes: %v, but %d of %d are in use", size, err, before, p.pool.Budget())
		}
	default:
		p.t.Fatalf("append of %d bytes: %v, want it to fit: %v", size, err, fits)
	}
	p.check()
	return err
}

func (p *pair) write(n int) {
	p.t.Helper()
	n = min(n, len(p.m.unsent()))
	p.s.Advance(n)
	p.m.advance(n)
	p.check()
}

func (p *pair) ack(i int) {
	p.t.Helper()
	freed, err := p.s.Ack(p.m.serial(i))
	want := 0
	if i <= p.m.sent {
		want = max(0, i-p.m.acked)
		p.m.release(i)
	}
	if beyond := i > p.m.sent; errors.Is(err, ErrBeyond) != beyond || !beyond && err != nil {
		p.t.Fatalf("ack %d of %d sent: %v", i, p.m.sent, err)
	}
	if freed != want {
		p.t.Fatalf("ack %d: freed %d, want %d", i, freed, want)
	}
	p.check()
}

func (p *pair) rewind(i int) {
	p.t.Helper()
	err := p.s.Rewind(p.m.serial(i))
	switch {
	case i < p.m.acked:
		if !errors.Is(err, ErrLost) {
			p.t.Fatalf("rewind to %d, acked %d: %v", i, p.m.acked, err)
		}
	case i > p.m.highest:
		if !errors.Is(err, ErrBeyond) {
			p.t.Fatalf("rewind to %d, highest %d: %v", i, p.m.highest, err)
		}
	case err != nil:
		p.t.Fatalf("rewind to %d: %v", i, err)
	default:
		p.m.release(i)
		p.m.sent, p.m.written = i, 0
	}
	p.check()
}

// replace gives every message held another size, once nothing is under way.
func (p *pair) replace(grow int) {
	p.t.Helper()
	if p.m.sent != p.m.acked || p.m.written > 0 {
		return
	}
	var with Sender
	with.Init(p.pool, Limits{Messages: 1 << 20, Bytes: 1 << 30}, p.s.Acked())
	msgs := append([]modelMessage(nil), p.m.msgs...)
	for i := p.m.acked; i < len(msgs); i++ {
		msgs[i].body = body(p.m.serial(i+1), len(msgs[i].body)/2+grow)
		if err := with.Append(msgs[i].body, msgs[i].stamp); err != nil {
			with.Reset()
			p.check()
			return
		}
	}
	p.s.Replace(&with)
	p.m.msgs = msgs
	equal(p.t, "left in the replacement", with.Empty(), true)
	p.check()
}

func (p *pair) markTo(i int) {
	p.t.Helper()
	i = min(i, len(p.m.msgs))
	p.s.SetJournaled(p.m.serial(i))
	p.m.journaled = max(i, p.m.acked)
	p.check()
}

func (p *pair) skip(n int) {
	p.t.Helper()
	if !p.s.Empty() {
		return
	}
	p.s.Skip(n)
	p.m.msgs = append(p.m.msgs, make([]modelMessage, n)...)
	p.settle()
}

func (p *pair) reset() {
	p.t.Helper()
	p.s.Reset()
	p.settle()
}

// settle makes everything in the model done.
func (p *pair) settle() {
	p.t.Helper()
	n := len(p.m.msgs)
	p.m.acked, p.m.sent, p.m.highest, p.m.journaled, p.m.written = n, n, n, n, 0
	p.check()
}

// check compares all that can be seen of the two.
func (p *pair) check() {
	p.t.Helper()
	s, m, n := &p.s, &p.m, len(p.m.msgs)
	equal(p.t, "Head", s.Head(), m.serial(n))
	equal(p.t, "Acked", s.Acked(), m.serial(m.acked))
	equal(p.t, "Sent", s.Sent(), m.serial(m.sent))
	equal(p.t, "Reach", s.HighestSent(), m.serial(m.highest))
	equal(p.t, "Journaled", s.Journaled(), m.serial(m.journaled))
	equal(p.t, "Len", s.Len(), n-m.acked)
	equal(p.t, "Bytes", s.Bytes(), m.bytes())
	equal(p.t, "Empty", s.Empty(), n == m.acked)
	equal(p.t, "Unsent", s.Unsent(), m.sent < n)
	equal(p.t, "MidMessage", s.MidMessage(), m.written > 0)
	for _, size := range []int{1, m.limits.Bytes - m.bytes(), m.limits.Bytes - m.bytes() + 1} {
		equal(p.t, "Fits", s.Fits(size), m.fits(size))
	}
	p.checkPending()
	p.checkEach(m.acked)
	p.checkEach(m.journaled)
	p.checkEach((m.acked + n) / 2)
	p.checkMemory()
}

func (p *pair) checkPending() {
	p.t.Helper()
	want := p.m.unsent()
	if got := bytes.Join(p.s.Pending(nil, 1<<30), nil); !bytes.Equal(got, want) {
		p.t.Fatalf("Pending shows %d bytes that differ from the %d unsent", len(got), len(want))
	}
	for _, limit := range []int{0, 1, 100, chunkData} {
		parts := p.s.Pending(nil, limit)
		got := bytes.Join(parts, nil)
		if len(parts) == 0 != (len(want) == 0) || len(parts) > 1 && len(got) > limit || !bytes.HasPrefix(want, got) {
			p.t.Fatalf("Pending(%d) shows %d bytes in %d parts of %d unsent", limit, len(got), len(parts), len(want))
		}
	}
	var rest []byte
	if p.m.written > 0 {
		rest = p.m.msgs[p.m.sent].body[p.m.written:]
	}
	if got := bytes.Join(p.s.PendingMessage(nil), nil); !bytes.Equal(got, rest) {
		p.t.Fatalf("PendingMessage shows %d bytes that differ from the %d left", len(got), len(rest))
	}
}

func (p *pair) checkEach(after int) {
	p.t.Helper()
	i := after
	p.s.Each(p.m.serial(after), func(seq Serial, stamp uint32, parts [][]byte) bool {
		i++
		equal(p.t, "Each seq", seq, p.m.serial(i))
		want := p.m.msgs[i-1]
		equal(p.t, "Each stamp", stamp, want.stamp)
		if got := bytes.Join(parts, nil); !bytes.Equal(got, want.body) {
			p.t.Fatalf("Each: message %d differs", seq)
		}
		return true
	})
	equal(p.t, "Each end", i, len(p.m.msgs))
	seq, stamp, ok := p.s.OldestUnjournaled()
	equal(p.t, "OldestUnjournaled ok", ok, p.m.journaled < len(p.m.msgs))
	if ok {
		equal(p.t, "OldestUnjournaled seq", seq, p.m.serial(p.m.journaled+1))
		equal(p.t, "OldestUnjournaled stamp", stamp, p.m.msgs[p.m.journaled].stamp)
	}
}

// checkMemory: nothing while empty (I6), and otherwise no chunk but the first
// and the last that is not full, save for what a header does not fit into.
func (p *pair) checkMemory() {
	p.t.Helper()
	used := p.pool.InUse()
	if p.s.Empty() {
		equal(p.t, "InUse while empty", used, 0)
		return
	}
	stored := p.s.Bytes() + headerSize*p.s.Len()
	if most := int64(stored/(chunkData-headerSize+1)+2) * chunkSize; used > most {
		p.t.Fatalf("%d bytes in use for %d stored, want at most %d", used, stored, most)
	}
	if budget := p.pool.Budget(); budget > 0 && used > budget {
		p.t.Fatalf("%d bytes in use, the budget is %d", used, budget)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
