package doctor

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// orderSize is what small servers take in one message.
const orderSize = 16 << 10

// order sends a message and behind it a ping. Who reads both answers them in
// that order; who answers pings for another does so first. leads are by how much.
func order(s *socket, e *diagnosis.Echo, leads *[]time.Duration) {
	own := ping(0, 16)
	text := strings.Repeat("wsresilience doctor ", orderSize/20) // it takes longer than a ping to come back
	began := time.Now()
	_ = s.writeRaw(appendFrame(appendFrame(nil, ws.OpText, []byte(text)), ws.OpPing, own)) // the reader tells how it ended
	var echoed, ponged time.Duration
	for until := began.Add(echoWait); echoed == 0 || ponged == 0; {
		r, ok := s.wait(time.Until(until))
		if !ok || r.op == ws.OpClose {
			break
		}
		switch {
		case r.op == ws.OpPong && string(r.payload) == string(own):
			ponged = max(1, r.at.Sub(began))
		case r.op != ws.OpPong && string(r.payload) == text:
			echoed = max(1, r.at.Sub(began))
		case r.op != ws.OpPong:
			e.Strange++
			if e.Strange > echoTries {
				e.Changed = true
				return
			}
		}
	}
	switch {
	case echoed == 0:
		e.Mute = s.ended() == nil && e.Strange == 0
		e.Changed = e.Strange > 0
		return
	case e.RTT == 0 || echoed < e.RTT:
		e.RTT = echoed
	}
	if ponged == 0 {
		return
	}
	e.Tried++
	if ponged < echoed {
		e.Before++
		*leads = append(*leads, echoed-ponged)
		slices.Sort(*leads)
		e.Lead = (*leads)[len(*leads)/2]
	}
}

// ask sends the message that the user gave, and measures how long something
// takes to come back.
func (p *probe) ask(ctx context.Context) {
	began := time.Now()
	s := p.link(ctx) // which says it
	if s == nil {
		return
	}
	defer s.close()
	e := &diagnosis.Echo{}
	if _, ok := message(s); ok {
		e.RTT = time.Since(began)
	} else {
		e.Mute = s.ended() == nil
	}
	p.note(func(f *diagnosis.Facts) { f.Echo = e })
}
