package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
)

// silenceGrid are the silences that are tried, one connection each: a second more
// than what proxies and NATs have as their limits.
var silenceGrid = []time.Duration{
	2 * time.Second, 4 * time.Second, 6 * time.Second, 11 * time.Second, 16 * time.Second, 21 * time.Second, 31 * time.Second, 46 * time.Second,
	61 * time.Second, 91 * time.Second, 121 * time.Second, 181 * time.Second, 241 * time.Second, 301 * time.Second, 351 * time.Second, 421 * time.Second, 601 * time.Second,
}

// silencesUpTo are those that fit.
func silencesUpTo(limit time.Duration) []time.Duration {
	list := []time.Duration{}
	for _, d := range silenceGrid {
		if d < limit {
			list = append(list, d)
		}
	}
	return append(list, limit)
}

// busyPace is how often the connection says something that is never silent.
const busyPace = 500 * time.Millisecond

// sameTime is how much later than a quiet connection the busy one may end for
// both to have ended at the same age.
const sameTime = time.Second

// silences opens a connection for each silence, and one that is never silent,
// all at once. When one is found dead, those that are to be silent for longer are
// asked too, and it is over soon.
func (p *probe) silences(ctx context.Context) {
	durations := silencesUpTo(p.t.Idle)
	found := make(chan struct{})
	var once sync.Once
	results := make([]diagnosis.Silence, len(durations))
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, d := range durations {
		all.Go(func() {
			results[i] = p.silent(ctx, d, found)
			if r := results[i]; r.End != nil || r.Mute {
				once.Do(func() { close(found) })
			} else if r.Alive {
				p.t.Progress(fmt.Sprintf("silence: %s survived", d.Round(time.Second)))
			}
		})
	}
	var busy sync.WaitGroup
	var b *diagnosis.Busy
	over := make(chan struct{})
	busy.Go(func() { b = p.busy(ctx, over) })
	all.Wait()
	close(over)
	busy.Wait()
	results = slices.DeleteFunc(results, func(s diagnosis.Silence) bool { return !s.Alive && !s.Mute && s.End == nil })
	p.note(func(f *diagnosis.Facts) { f.Silences, f.Busy = results, b })
}

// silent keeps one connection quiet, and then asks whether it lives.
func (p *probe) silent(ctx context.Context, d time.Duration, found <-chan struct{}) diagnosis.Silence {
	r := diagnosis.Silence{For: d}
	s := p.link(ctx)
	if s == nil {
		return r
	}
	defer s.close()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.over:
	case <-ctx.Done():
		r.Heard, _ = s.pings()
		return r
	case <-t.C:
	case <-found:
		// What cut another one, at its time, cuts this one within a moment.
		select {
		case <-s.over:
		case <-ctx.Done():
		case <-time.After(sameTime):
			r.For = time.Since(s.began)
		}
	}
	r.Quiet = s.quietest()
	r.Heard, _ = s.pings()
	_, beacon := s.pings()
	if r.Beacon = beacon != nil; r.Beacon {
		if h, err := heartbeat.ParsePayload(beacon.payload); err == nil {
			p.sidecarClock(h.TimeMillis, beacon.at)
		}
	}
	if r.End = s.ended(); r.End != nil {
		return r
	}
	if !p.answersPings() {
		r.Alive = true // as far as can be told
		return r
	}
	r.Alive = answers(s)
	if r.End = s.ended(); r.End != nil {
		r.Alive = false
	}
	r.Mute = !r.Alive && r.End == nil
	return r
}

// afterClose sees whether a ping is answered that stands behind a close frame,
// where each end has read its last.
func (p *probe) afterClose(ctx context.Context) {
	s := p.link(ctx)
	if s == nil {
		return
	}
	own := ping(0, 16)
	_ = s.writeRaw(appendFrame(appendFrame(nil, ws.OpClose, []byte{0x03, 0xe8}), ws.OpPing, own)) // the reader tells how it ended
	answered := false
	for until := time.Now().Add(time.Second); ; {
		r, ok := s.wait(time.Until(until))
		if !ok {
			break
		}
		answered = answered || r.op == ws.OpPong && string(r.payload) == string(own)
	}
	s.cut()
	p.note(func(f *diagnosis.Facts) { f.AfterClose = answered })
}

// answers reports whether a ping is answered.
func answers(s *socket) bool {
	own := ping(0, 16)
	_ = s.write(ws.OpPing, own) // the reader tells how it ended
	for until := time.Now().Add(pongWait); ; {
		r, ok := s.wait(time.Until(until))
		if !ok {
			return false
		}
		if r.op == ws.OpPong && len(r.payload) == len(own) { // what changes it is told by beats
			return true
		}
	}
}

// busy keeps a connection that says something each second, until over.
func (p *probe) busy(ctx context.Context, over <-chan struct{}) *diagnosis.Busy {
	s := p.link(ctx)
	if s == nil {
		return nil
	}
	defer s.close()
	b := &diagnosis.Busy{}
	tick := time.NewTicker(busyPace)
	defer tick.Stop()
	var grace <-chan time.Time
	for {
		select {
		case <-s.over:
		case <-over:
			// What ended the silent ones may end this one in the same moment.
			over, grace = nil, time.After(sameTime)
			continue
		case <-grace:
		case <-ctx.Done():
		case <-tick.C:
			if !p.answersPings() {
				_ = s.write(ws.OpPing, ping(0, 16)) // the reader tells how it ended
				continue
			}
			if answers(s) || s.ended() != nil {
				continue
			}
			b.Mute = true
		}
		b.End, b.Lasted = s.ended(), time.Since(s.began)
		if b.End != nil {
			b.Lasted = b.End.After
		}
		return b
	}
}
