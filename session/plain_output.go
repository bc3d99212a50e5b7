package session

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// Output is as in Session.
func (p *Plain) Output(now time.Time, o *Output) {
	o.reset()
	if p.ended == 0 && p.app.between() && len(p.client.kept) == 0 {
		p.addPing()
	}
	o.ToApp = p.app.compose(o.ToApp)
	o.ToClient = p.client.compose(o.ToClient)
	if len(o.ToApp)+len(o.ToClient) > 0 {
		p.app.offered, p.client.offered = size(o.ToApp), size(o.ToClient)
		return
	}
	tooFast := p.cfg.tooFast(now)
	o.PauseClient, o.PauseApp = len(p.app.kept) > 0 || tooFast, len(p.client.kept) > 0
	p.settlePending(now)
	if p.ended == 0 {
		p.settleShut(o)
	}
	if p.ended != 0 {
		p.composeEnd(o)
		return
	}
	if p.blind && !p.toldBlind {
		p.toldBlind, o.Blind = true, true
		return
	}
	var d deadline
	d.addTime(p.until)
	d.addTime(p.pending.deadline)
	if p.pings() {
		d.addTime(p.beat.Deadline())
	}
	if tooFast {
		d.add(p.cfg.pace.until)
	}
	o.Deadline = d.at.Time()
}

// compose offers what the leg is to take.
func (l *plainLeg) compose(dst [][]byte) [][]byte {
	if l.blocked {
		return dst
	}
	if len(l.kept) > 0 {
		dst = append(dst, l.kept)
	}
	return append(dst, l.lent...)
}

// wrote notes what a side took.
func (p *Plain) wrote(l *plainLeg, n int) {
	p.moved = p.moved || n > 0
	l.wrote(n)
	p.charge(l)
}

// charge counts what is kept against the memory of all sessions.
func (p *Plain) charge(l *plainLeg) {
	if n := cap(l.kept); n != l.charged {
		p.cfg.Pool.Memory().Charge(int64(n - l.charged))
		l.charged = n
	}
}

// Forget gives back what is kept. Nothing else follows.
func (p *Plain) Forget() {
	p.forgetKept(&p.client)
	p.forgetKept(&p.app)
}

func (p *Plain) forgetKept(l *plainLeg) {
	l.kept = nil
	p.charge(l)
}

// wrote settles what was offered: the rest is kept, for it is only lent.
func (l *plainLeg) wrote(n int) {
	l.blocked = n < l.offered
	n -= consume(&l.kept, n)
	for _, b := range l.lent {
		k := min(n, len(b))
		l.kept = append(l.kept, b[k:]...)
		n -= k
	}
	l.lent = l.lent[:0]
}

// AppWrote is as in Session.
func (p *Plain) AppWrote(_ time.Time, n int) { p.wrote(&p.app, n) }

// ClientWrote is as in Session.
func (p *Plain) ClientWrote(n int) { p.wrote(&p.client, n) }

// AppWritable is as in Session.
func (p *Plain) AppWritable() { p.app.blocked = false }

// ClientWritable is as in Session.
func (p *Plain) ClientWritable() {
	p.client.blocked = false
	p.beat.Heard() // a peer that takes bytes lives
}

// ClientGone notes that the client sent its last byte, or that its connection
// broke.
func (p *Plain) ClientGone(now time.Time, broken bool) { p.gone(now, &p.client, broken) }

// AppGone is ClientGone for the app.
func (p *Plain) AppGone(now time.Time, broken bool) { p.gone(now, &p.app, broken) }

// gone notes the end of a side. What it said before its connection broke the
// other would have got without us, and so it does.
func (p *Plain) gone(now time.Time, leg *plainLeg, broken bool) {
	leg.gone = true
	if broken {
		p.forgetKept(leg)
		if len(p.other(leg).kept) > 0 && p.broke == nil {
			p.broke = leg
		} else {
			p.Forget()
			p.end(EndedBroken, nil, 0)
		}
	}
	if p.until.IsZero() {
		p.until, p.moved = now.Add(p.halfClosed()), false
	}
}

// other returns the side that leg is not.
func (p *Plain) other(leg *plainLeg) *plainLeg {
	if leg == &p.client {
		return &p.app
	}
	return &p.client
}

// settleShut passes the end of one side's bytes on to the other.
func (p *Plain) settleShut(o *Output) {
	if p.broke != nil {
		if len(p.other(p.broke).kept) == 0 {
			p.end(EndedBroken, nil, 0)
		}
		return
	}
	if p.client.gone && !p.app.shut && len(p.app.kept) == 0 {
		p.app.shut, o.ShutApp = true, true
	}
	if p.app.gone && !p.client.shut && len(p.client.kept) == 0 {
		p.client.shut, o.ShutClient = true, true
	}
	if p.client.gone && p.app.gone && p.client.shut && p.app.shut {
		p.end(EndedClosed, nil, 0)
	}
}

// composeEnd sends both sides a close frame, where a frame may stand.
func (p *Plain) composeEnd(o *Output) {
	if p.reported {
		return
	}
	p.reported = true
	o.Ended, o.CloseClient, o.CloseApp = p.ended, p.drop, true
	if wire.ValidFrameCode(p.drop.Code) && !p.blind && p.app.takesFrame() && len(p.client.kept) == 0 && !p.client.shut {
		o.FinalToClient = appendClose(o.FinalToClient, ws.Header{Fin: true, OpCode: ws.OpClose}, p.drop.Code, p.drop.Reason)
	}
	if p.appCloseCode != 0 && !p.blind && p.client.takesFrame() && len(p.app.kept) == 0 && !p.app.shut {
		o.FinalToApp = appendClose(nil, p.cfg.masked(ws.OpClose), p.appCloseCode, "")
	}
	p.Forget()
}

// takesFrame reports whether a frame could be put behind what came from this
// side.
func (l *plainLeg) takesFrame() bool { return l.between() && !l.closing && !l.gone }

// Done reports whether the end was reported.
func (p *Plain) Done() bool { return p.reported }

// Persisted never comes: a plain connection has no journal.
func (p *Plain) Persisted(time.Time, PersistResult) {}
