package session

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// hostile drives a session with bytes that nobody vouches for, on sockets
// that take little, over connections that come and go.
type hostile struct {
	t                *testing.T
	cfg              *Config
	now              time.Time
	s                *Session
	client, app      []byte // read and not used
	clientGot        []byte // what the connection took; not looked at
	clientRoom, room int
	due              bool // a record is in flight
	over             bool
}

func (h *hostile) settle() {
	for {
		var o Output
		h.s.Output(h.now, &o)
		if len(o.ToApp) > 0 {
			h.s.AppWrote(h.now, accept(&h.room, o.ToApp, &h.clientGot))
		}
		if len(o.ToClient) > 0 {
			h.s.ClientWrote(accept(&h.clientRoom, o.ToClient, &h.clientGot))
		}
		h.clientGot = h.clientGot[:0]
		h.due = h.due || o.Persist != nil
		h.over = h.over || o.Ended != 0
		if held, most := h.s.Held(), 2*h.s.windowLimit(); held > most {
			h.t.Fatalf("%d bytes held, at most %d allowed (I6)", held, most)
		}
		if queued := len(h.s.client.control) + len(h.s.app.control); queued > 2*(maxControlQueue+wire.MaxControl+ws.MaxControlFramePayloadSize) {
			h.t.Fatalf("%d bytes of control frames wait", queued)
		}
		if o.Idle() {
			return
		}
	}
}

func (h *hostile) feed(p []byte, unread *[]byte, fn func(time.Time, []byte) int) {
	*unread = append(*unread, p...)
	for len(*unread) > 0 {
		n := fn(h.now, *unread)
		h.settle()
		if *unread = (*unread)[n:]; n == 0 {
			return
		}
	}
}

// resume attaches where that is allowed, with or without compression.
func (h *hostile) resume(received uint32, deflate bool) {
	at := Position{Received: seqwindow.Serial(received), Next: h.s.inbox.Received()}
	if r, _ := h.s.Check(at); r != 0 {
		at.Received = h.s.window.Acked()
	}
	if r, _ := h.s.Check(at); r != 0 {
		return
	}
	h.s.Supersede(h.now)
	h.settle()
	h.client = nil
	if h.over || h.s.Attach(h.now, wire.StatusResumed, at, deflate) != 0 {
		return
	}
	h.settle()
}

// step takes an operation, its argument and bytes off ops.
func (h *hostile) step(ops []byte) (rest []byte) {
	op, n := ops[0], int(ops[1])
	ops = ops[2:]
	take := ops[:min(n, len(ops))]
	switch op % 7 {
	case 0:
		if h.s.Attached() {
			h.feed(take, &h.client, h.s.FromClient)
		}
		return ops[len(take):]
	case 1:
		h.feed(take, &h.app, h.s.FromApp)
		return ops[len(take):]
	case 2:
		h.clientRoom = 4 * n
		h.s.ClientWritable()
	case 3:
		h.room = 4 * n
		h.s.AppWritable()
	case 4:
		h.s.ClientGone(h.now, n%2 == 0)
	case 5:
		h.resume(uint32(n), op >= 128)
	case 6:
		h.now = h.now.Add(time.Duration(n) * 20 * time.Millisecond)
		if h.due {
			h.due = false
			h.s.Persisted(h.now, []PersistResult{Persisted, Persisted, PersistFailed, PersistLost, PersistRefused}[n%5])
		}
		h.s.Tick(h.now)
	}
	h.settle()
	return ops
}

// Whatever comes from either side: nothing panics, no more is held than the
// windows and a message (I6, I8), and the end gives all of it back.
func FuzzHostileSession(f *testing.F) {
	f.Add([]byte("\x00\x11\x82\x8b\x00\x00\x00\x00\xffWSR\x02\x00\x00\x00\x01ab"), false)
	f.Add([]byte("\x01\x04\x81\x02hi\x02\x10\x04\x00\x05\x00\x06\xff"), false)
	f.Add([]byte("\x01\x06\xc2\x04\x4a\x04\x00\x00\x04\x00\x05\x00\x02\xff\x01\x04\x88\x02\x03\xe8"), true)
	f.Add([]byte("\x03\x01\x00\x12\x81\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00\x03\xff"), false)
	f.Fuzz(func(t *testing.T, ops []byte, deflate bool) {
		if len(ops) > 8000 {
			return
		}
		h := &hostile{t: t, cfg: simConfig(), now: time.Unix(1_700_000_000, 0), clientRoom: 1000, room: 1000}
		h.s = New(h.cfg, h.now, Start{Deflate: deflate})
		h.s.Attach(h.now, wire.StatusNew, Position{Next: 1}, deflate)
		h.settle()
		for len(ops) >= 2 && !h.over {
			ops = h.step(ops)
		}
		h.s.End(h.now, EndedReleased, ws.StatusInternalServerError)
		h.settle()
		if n := h.cfg.Pool.InUse(); n != 0 {
			t.Fatalf("an ended session holds %d bytes", n)
		}
	})
}

// lane is one direction of a plain connection.
type lane struct {
	in, unread, got []byte
	feed            func(time.Time, []byte) int
}

// arrive hands over the next bytes, and keeps what was not used.
func (l *lane) arrive(now time.Time, n int) {
	n = min(n, len(l.in))
	l.unread = append(l.unread, l.in[:n]...)
	l.in = l.in[n:]
	if len(l.unread) > 0 {
		l.unread = l.unread[l.feed(now, l.unread):]
	}
}

// pair is a plain connection and its two directions.
type pair struct {
	p     *Plain
	now   time.Time
	lanes [2]*lane
	ended bool
}

// settle lets each side take room bytes.
func (q *pair) settle(room int) {
	back := room
	for {
		var o Output
		q.p.Output(q.now, &o)
		if len(o.ToApp) > 0 {
			q.p.AppWrote(q.now, accept(&room, o.ToApp, &q.lanes[0].got))
		}
		if len(o.ToClient) > 0 {
			q.p.ClientWrote(accept(&back, o.ToClient, &q.lanes[1].got))
		}
		if q.ended = q.ended || o.Ended != 0; o.Idle() {
			return
		}
	}
}

// arrive brings n bytes of a lane, unless all is over.
func (q *pair) arrive(l *lane, n, room int) {
	if !q.ended {
		l.arrive(q.now, n)
		q.settle(room)
		q.p.AppWritable()
		q.p.ClientWritable()
	}
}

// Both directions of a plain connection at once, before any heartbeat is due:
// each is the bytes that came, in the order in which they came (I10), and none
// is kept back.
func FuzzPlainBothWays(f *testing.F) {
	f.Add([]byte("\x81\x82\x00\x00\x00\x00hi"), []byte("\x81\x02yo\x89\x00"), []byte("\x10\x11\x42\x93"))
	f.Add([]byte("\x88\x80\x00\x00\x00\x00"), []byte("\x88\x00"), []byte("\xff\xfe\x01\x02"))
	f.Fuzz(func(t *testing.T, client, app, cuts []byte) {
		q := &pair{now: time.Unix(1_700_000_000, 0)}
		q.p = NewPlain(simConfig(), q.now)
		q.lanes = [2]*lane{{in: client, feed: q.p.FromClient}, {in: app, feed: q.p.FromApp}}
		for _, c := range cuts {
			q.arrive(q.lanes[c&1], int(c>>4)+1, int(c>>1&7)*2)
		}
		for range len(client) + len(app) + 4 {
			q.arrive(q.lanes[0], 64, 1<<20)
			q.arrive(q.lanes[1], 64, 1<<20)
		}
		q.settle(1 << 20)
		for i, whole := range [2][]byte{client, app} {
			l := q.lanes[i]
			if !bytes.HasPrefix(whole, l.got) {
				t.Fatalf("lane %d: % x came out of % x", i, l.got, whole)
			}
			if q.ended || len(l.got) != len(whole) {
				t.Fatalf("lane %d: % x came out of % x, % x waits", i, l.got, whole, l.unread)
			}
		}
	})
}
