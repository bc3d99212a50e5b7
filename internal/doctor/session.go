package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	welcomeWait = 5 * time.Second // PROTOCOL §2.3
	unaskedWait = 500 * time.Millisecond
	resumeTries = 4
	quickTries  = 2

	// unknownType is a control message that no version has, so that a sidecar
	// judges it (PROTOCOL §4) and no app sees it.
	unknownType = 0x7f
)

// offer is a list of subprotocols with wsr.v1.
func (p *probe) offer(r *wire.Resume) []string {
	o := wire.Offer{App: p.t.Subprotocols, Resilient: true, Resume: r}
	return o.Protocols()
}

// marker is an offer that only a sidecar understands, and refuses.
func (p *probe) marker() []string { return append([]string{wire.Decoy}, "wsr.adopt") }

// welcome waits for what a sidecar says first.
func welcome(s *socket, f *diagnosis.Session, patience time.Duration) {
	r, ok := s.wait(patience)
	switch {
	case !ok, r.op == ws.OpClose:
		f.End = s.ended()
		return
	case r.op != ws.OpBinary || !wire.IsMagic(r.payload):
		f.Got = fmt.Sprintf("the first message is of %d bytes and not a sidecar's", len(r.payload))
		return
	}
	if reset, _, err := wire.ParseReset(r.payload); err == nil {
		f.Reset = reset
		return
	}
	w, err := wire.ParseWelcome(r.payload)
	if err != nil {
		f.Strange, f.Got = true, text(err)
		return
	}
	f.Welcome = w
}

// session begins a session on an open socket, cuts it and resumes it, and ends
// it in the end.
func (p *probe) session(ctx context.Context, s *socket, chosen bool) {
	f := &diagnosis.Session{}
	patience := welcomeWait
	if !chosen { // it would come right behind the 101
		patience = unaskedWait
	}
	welcome(s, f, patience)
	f.Hidden = !chosen && (f.Welcome != nil || f.Strange)
	if !chosen && !f.Hidden {
		s.close()
		return // an ordinary WebSocket
	}
	p.note(func(facts *diagnosis.Facts) { facts.Session = f })
	if f.Welcome == nil || !chosen {
		s.close()
		return
	}
	p.t.Progress("a sidecar: wsr.v1")
	p.clock(s)
	s.cut()
	tries := resumeTries
	if p.t.Quick {
		tries = quickTries
	}
	token := f.Welcome.Token
	for i := range tries {
		if ctx.Err() != nil {
			return
		}
		last := i == tries-1
		r, next := p.resume(ctx, token, uint32(i+1), last)
		p.note(func(facts *diagnosis.Facts) { facts.Resumes = append(facts.Resumes, r) })
		if next == "" {
			return
		}
		token = next
	}
}

// clock notes the sidecar's clock, by its heartbeat if one comes in a moment.
func (p *probe) clock(s *socket) {
	_ = s.write(ws.OpBinary, wire.AppendAck(nil, 0)) // shows that WELCOME was read (PROTOCOL §8.4)
	for until := time.Now().Add(50 * time.Millisecond); ; {
		r, ok := s.wait(time.Until(until))
		if !ok {
			return
		}
		b, err := wire.ParseBeat(r.payload, wire.Heartbeat)
		if err != nil {
			continue
		}
		if h, err := heartbeat.ParsePayload(b.Payload[:]); err == nil {
			p.sidecarClock(h.TimeMillis, r.at)
		}
	}
}

// sidecarClock notes what a heartbeat said.
func (p *probe) sidecarClock(millis uint64, at time.Time) {
	off := time.UnixMilli(int64(millis)).Sub(at)
	p.note(func(f *diagnosis.Facts) {
		if len(f.Clocks) > 0 && f.Clocks[len(f.Clocks)-1].Of == "the sidecar" {
			return
		}
		// It was under way for less than the fastest answer, or a little more.
		f.Clocks = append(f.Clocks, diagnosis.Clock{Of: "the sidecar", Low: off, High: off + f.FastestAnswer + 10*time.Millisecond})
	})
}

// resume comes back with a token. The last time it ends the session, having seen
// whether a ping behind a violation is answered, which nobody can who obeys
// PROTOCOL §4.
func (p *probe) resume(ctx context.Context, token string, attempt uint32, last bool) (diagnosis.Resume, string) {
	began := time.Now()
	h, s := p.open(ctx, variant{protocols: p.offer(&wire.Resume{Token: token, Next: 1, Attempt: attempt})})
	r := diagnosis.Resume{Handshake: *h, Address: h.Address}
	if s == nil {
		return r, ""
	}
	if r.Plain = h.Protocol != wire.Subprotocol; r.Plain {
		s.close()
		return r, ""
	}
	var f diagnosis.Session
	welcome(s, &f, welcomeWait)
	r.Took = time.Since(began)
	r.Reset, r.Welcomed = f.Reset, f.Welcome != nil
	if f.Welcome == nil {
		s.close()
		return r, ""
	}
	r.Status, r.Adopted = f.Welcome.Status, f.Welcome.Reason
	_ = s.write(ws.OpBinary, wire.AppendAck(nil, f.Welcome.NextOutbound-1))
	if !last {
		s.cut()
		return r, f.Welcome.Token
	}
	_ = s.write(ws.OpBinary, wire.AppendClose(nil, ws.StatusNormalClosure, ""))
	<-after(s, farewell)
	s.close()
	return r, ""
}

// violation sees in a session of its own whether a ping is answered that the
// sidecar never reads, and how large a message may be.
func (p *probe) violation(ctx context.Context, size int) (*diagnosis.End, bool) {
	_, s := p.open(ctx, variant{protocols: p.offer(nil)})
	if s == nil {
		return nil, false
	}
	var f diagnosis.Session
	welcome(s, &f, welcomeWait)
	if f.Welcome == nil {
		s.close()
		return nil, false
	}
	message := append([]byte(wire.Magic), unknownType)
	if size > len(message) {
		message = append(message, make([]byte, size-len(message))...)
	}
	own := ping(0, 16)
	_ = s.writeRaw(appendFrame(appendFrame(nil, ws.OpBinary, message), ws.OpPing, own)) // the reader tells how it ended
	answered := false
	for {
		r, ok := s.wait(pongWait)
		if !ok || r.op == ws.OpClose {
			break
		}
		answered = answered || r.op == ws.OpPong && string(r.payload) == string(own)
	}
	end := s.ended()
	s.cut()
	p.finish(ctx, f.Welcome)
	return end, answered
}

// finish ends a session whose connection is gone.
func (p *probe) finish(ctx context.Context, w *wire.WelcomeMessage) {
	_, s := p.open(ctx, variant{protocols: p.offer(&wire.Resume{Token: w.Token, Next: 1, Attempt: 1})})
	if s == nil {
		return
	}
	var f diagnosis.Session
	if welcome(s, &f, welcomeWait); f.Welcome != nil {
		_ = s.write(ws.OpBinary, wire.AppendAck(nil, f.Welcome.NextOutbound-1))
		_ = s.write(ws.OpBinary, wire.AppendClose(nil, ws.StatusNormalClosure, ""))
		<-after(s, farewell)
	}
	s.close()
}
