package doctor

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/wire"
)

// headSizes are lengths of one header line: what a resume brings, and what
// cookies make of a request, up to what proxies take as delivered.
var headSizes = []int{1200, 2000, 4000, 7000}

// heads finds how long a header may be.
func (p *probe) heads(ctx context.Context) {
	l := &diagnosis.Limit{}
	for _, n := range headSizes {
		v := p.works
		v.padding = n
		h, s := p.open(ctx, v)
		if s != nil {
			s.close()
			l.Passed = n
			continue
		}
		if ctx.Err() != nil || h.Stage < diagnosis.Asking || h.Status >= 500 || h.Status == http.StatusTooManyRequests {
			break // it says nothing about headers
		}
		without := p.link(ctx)
		if without == nil {
			break // nor does one without the header pass now
		}
		without.close()
		if h, s = p.open(ctx, v); s != nil {
			s.close()
			l.Passed = n
			continue // it was something else
		}
		l.Failed, l.Handshake = n, h
		break
	}
	if l.Passed == 0 && l.Failed == 0 {
		return
	}
	p.note(func(f *diagnosis.Facts) { f.Heads = l })
}

// longResume presents the longest token there is, which is none.
func (p *probe) longResume(ctx context.Context) {
	h, s := p.open(ctx, variant{protocols: p.offer(&wire.Resume{Token: strings.Repeat("A", wire.MaxToken), Received: 1, Next: 1})})
	if s != nil {
		s.close()
	}
	if ctx.Err() == nil {
		p.note(func(f *diagnosis.Facts) { f.LongResume = h })
	}
}

// messageSizes are payloads, in bytes.
var messageSizes = []int{1 << 10, 16 << 10, 64<<10 + 1, 128<<10 + 1, 512 << 10, 1<<20 - 16}

// violations finds how large a message may be without the app: the sidecar
// refuses each that is none of its own with 4400, and what is in between with
// another code, or none.
func (p *probe) violations(ctx context.Context, most int) {
	l := &diagnosis.Limit{}
	judged, answered, code := false, false, int(wire.CodeViolation)
	for i, n := range messageSizes {
		if n > most || p.t.Quick && i > 2 || ctx.Err() != nil {
			break
		}
		end, ping := p.violation(ctx, n)
		if end == nil {
			break // nothing is known
		}
		if end.Cause == diagnosis.None && end.Code == int(wire.CodeViolation) {
			judged, answered = true, answered || ping
			l.Passed = n
			continue
		}
		if i == 0 && end.Cause != diagnosis.BadFrame && end.Code != int(ws.StatusMessageTooBig) {
			// So small a message passes: the sidecar has judged, and the code is lost.
			judged, answered, code = true, ping, end.Code
			break
		}
		if ctx.Err() == nil {
			l.Failed, l.End = n, end
		}
		break
	}
	p.note(func(f *diagnosis.Facts) {
		if f.Messages = l; l.Passed == 0 && l.Failed == 0 {
			f.Messages = nil
		}
		if f.Session != nil {
			f.Session.Tried, f.Session.Judged, f.Session.Answered, f.Session.Code = true, judged, answered, code
		}
	})
}

// How an echo is asked.
const (
	echoWait  = 5 * time.Second
	echoTries = 10
)

// echo sends messages that the app sends back: small ones with a ping behind each,
// and then larger and larger ones.
func (p *probe) echo(ctx context.Context) {
	e := &diagnosis.Echo{}
	defer p.note(func(f *diagnosis.Facts) { f.Echo = e })
	// Compression takes some apps longer than a pong.
	_, s := p.open(ctx, variant{protocols: p.t.Subprotocols, noDeflate: true, noOrigin: p.works.noOrigin})
	if s == nil {
		return
	}
	var leads []time.Duration
	for range echoTries {
		if order(s, e, &leads); e.Mute || e.Changed || s.ended() != nil {
			break
		}
	}
	e.End = s.ended()
	s.close()
	if e.Mute || e.Changed || e.End != nil {
		return
	}
	if _, s = p.open(ctx, variant{protocols: p.t.Subprotocols, single: true, noOrigin: p.works.noOrigin}); s == nil {
		return
	}
	l := p.grow(ctx, s, e)
	e.End = s.ended()
	s.close()
	p.note(func(f *diagnosis.Facts) { f.Messages = l })
}

// grow sends larger and larger messages.
func (p *probe) grow(ctx context.Context, s *socket, e *diagnosis.Echo) *diagnosis.Limit {
	l := &diagnosis.Limit{}
	for i, n := range messageSizes {
		if p.t.Quick && i > 3 || ctx.Err() != nil {
			break
		}
		m := bytes.Repeat([]byte("e"), n)
		_ = s.write(ws.OpText, m) // the reader tells how it ended
		got, ok := answer(s, m)
		switch {
		case ok:
			l.Passed = n
			continue
		case got != nil:
			e.Changed = true
		default:
			l.Failed, l.End, l.Mute = n, s.ended(), s.ended() == nil
		}
		break
	}
	return l
}

// answer waits for m. Another message may come before it, such as a greeting.
func answer(s *socket, m []byte) (got []byte, ok bool) {
	for range echoTries {
		p, there := message(s)
		if !there {
			return got, false
		}
		if bytes.Equal(p, m) {
			return p, true
		}
		got = p
	}
	return got, false
}

// message waits for one.
func message(s *socket) ([]byte, bool) {
	for until := time.Now().Add(echoWait); ; {
		r, ok := s.wait(time.Until(until))
		if !ok || r.op == ws.OpClose {
			return nil, false
		}
		if r.op != ws.OpPong {
			return r.payload, true
		}
	}
}
