package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// How pings are sent.
const (
	rounds     = 6 // at most, until two were measured while this machine was not late itself
	perRound   = 16
	apart      = 15 * time.Millisecond
	together   = apart / 5 // pongs that are closer came together
	alone      = 1500 * time.Millisecond
	pongWait   = 3 * time.Second
	paddings   = 32 << 10 / 125 // frames that fill usual buffers
	largest    = 125            // RFC 6455 §5.5
	underWay   = 16             // pings of a volume at once
	volume     = 1 << 20
	quickBytes = 96 << 10
	pourTime   = 20 * time.Second // on far links less passes
	quickPour  = 3 * time.Second
)

// ping makes a payload that nobody has by chance.
func ping(n uint32, size int) []byte {
	p := make([]byte, size)
	_, _ = rand.Read(p) // never fails
	binary.BigEndian.PutUint32(p, n)
	return p
}

// beat sends pings and notes what comes back. It leaves the socket open.
func beat(ctx context.Context, s *socket) *diagnosis.Beats {
	b := &diagnosis.Beats{}
	if b.Held = lonely(s, b); b.Got == 0 || b.Held != diagnosis.HeldNowhere {
		b.End = s.ended()
		return b
	}
	own := newControl()
	defer own.close()
	clean := 0
	for range rounds {
		if ctx.Err() != nil || s.ended() != nil {
			break
		}
		r := round(s, b, own)
		b.Rounds = append(b.Rounds, r)
		if r.Late <= diagnosis.MaxLate {
			clean++
		}
		if clean == 2 {
			break
		}
	}
	b.End = s.ended()
	return b
}

// lonely sends one ping, and more only if it is not answered: first frames that
// ask for no answer, then many that do.
func lonely(s *socket, b *diagnosis.Beats) diagnosis.Held {
	await := func(p []byte) bool {
		for until := time.Now().Add(alone); ; {
			r, ok := s.wait(time.Until(until))
			switch {
			case !ok:
				return false
			case r.op == ws.OpPong && bytes.Equal(r.payload, p):
				b.Got++
				return true
			case r.op == ws.OpPong && len(r.payload) == len(p):
				b.Changed++
				b.Got++
				return true
			}
		}
	}
	p := ping(0, 16)
	b.Sent++
	_ = s.write(ws.OpPing, p) // the reader tells how it ended
	if await(p) || s.ended() != nil {
		return diagnosis.HeldNowhere
	}
	// It may only be far away.
	if await(p) || s.ended() != nil {
		return diagnosis.HeldNowhere
	}
	filler := make([][]byte, paddings)
	for i := range filler {
		filler[i] = ping(uint32(i), largest)
	}
	_ = s.writeAll(ws.OpPong, filler...)
	if await(p) {
		return diagnosis.HeldUp
	}
	_ = s.writeAll(ws.OpPing, filler...)
	if await(p) {
		return diagnosis.HeldDown
	}
	return diagnosis.HeldNowhere
}

// round sends pings evenly, and measures this machine's own lateness with them.
func round(s *socket, b *diagnosis.Beats, own *control) diagnosis.Round {
	r := diagnosis.Round{Sent: perRound}
	sent := map[uint32]time.Time{}
	payloads := map[uint32][]byte{}
	var previous time.Time
	take := func(g received) {
		if g.op != ws.OpPong || len(g.payload) < 4 {
			return
		}
		n := binary.BigEndian.Uint32(g.payload)
		at, ok := sent[n]
		if !ok {
			return
		}
		delete(sent, n)
		b.Got++
		if !bytes.Equal(g.payload, payloads[n]) {
			b.Changed++
		}
		r.RTTs = append(r.RTTs, g.at.Sub(at))
		if !previous.IsZero() && g.at.Sub(previous) < together {
			r.Bursts++
		}
		previous = g.at
	}
	begin := time.Now()
	for i := range uint32(perRound) {
		due := begin.Add(time.Duration(i) * apart)
		for {
			g, ok := s.wait(time.Until(due))
			if !ok {
				break
			}
			take(g)
		}
		if s.ended() != nil {
			return r
		}
		now := time.Now()
		r.Late = max(r.Late, now.Sub(due))
		p := ping(i+1, 16)
		sent[i+1], payloads[i+1] = now, p
		own.probe()
		b.Sent++
		_ = s.write(ws.OpPing, p) // the reader tells how it ended
	}
	for until := time.Now().Add(pongWait); len(sent) > 0; {
		g, ok := s.wait(time.Until(until))
		if !ok {
			break
		}
		take(g)
	}
	r.Late = max(r.Late, own.late())
	return r
}

// pour sends pings of the largest size until so many bytes have passed each way.
func pour(ctx context.Context, s *socket, wanted int, limit time.Duration) *diagnosis.Volume {
	v := &diagnosis.Volume{Wanted: wanted}
	began := time.Now()
	waiting := map[uint32][]byte{}
	n := uint32(0)
	for v.Passed < wanted && ctx.Err() == nil && time.Since(began) < limit {
		for len(waiting) < underWay {
			n++
			p := ping(n, largest)
			waiting[n] = p
			if s.write(ws.OpPing, p) != nil {
				break
			}
		}
		g, ok := s.wait(pongWait)
		if !ok {
			break
		}
		if g.op != ws.OpPong || len(g.payload) != largest {
			continue
		}
		id := binary.BigEndian.Uint32(g.payload)
		p, known := waiting[id]
		if !known || !bytes.Equal(p, g.payload) {
			v.Changed++
		}
		delete(waiting, id)
		v.Passed += largest
	}
	<-after(s, 50*time.Millisecond)
	v.End = s.ended()
	return v
}

// after is when a socket is over, or the time is.
func after(s *socket, d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	go func() {
		defer close(c)
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-s.over:
		case <-t.C:
		}
	}()
	return c
}
