package sim

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/redial"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

const (
	appendTimeout = 5 * time.Second
	moveGrace     = 2 * time.Second
)

// A driver joins a session's machine to its two sockets, its timer and its journal, as
// the proxy's does.
type driver struct {
	p    *pod
	id   wire.SessionID
	of   *program
	talk *talk
	m    *session.Session
	born int

	chain  store.Chain
	client *leg
	app    *leg
	armed  time.Time
	stalls int
	over   bool
	gone   bool
	moves  bool
	dead   bool
	ended  []func()

	history redial.History
	asked   time.Time
	out     session.Output
	used    bool // out is in use
	counted bool // the app's socket is among the pod's

	inherited int // bytes of what a hand-over left, which may be more than a window
}

// A leg is a driver's end of a socket.
type leg struct {
	d   *driver
	end *end
	app *appSocket // nil: it is the client's
}

func (p *pod) newDriver(h *handshake, id wire.SessionID) *driver {
	p.f.sessions++
	return &driver{p: p, of: h.of, talk: h.talk, id: id, born: p.f.sessions, stalls: p.stalls}
}

// newLeg joins an end of a socket to the driver.
func (d *driver) newLeg(e *end) *leg {
	l := &leg{d: d, end: e}
	e.sink, e.host = l, d.p.run
	return l
}

// enter begins a step.
func (d *driver) enter() time.Time {
	if d.stalls != d.p.stalls && !d.over {
		d.stalls = d.p.stalls
		d.m.SuspectOwnership()
	}
	return d.p.now()
}

func (l *leg) bytes(p []byte) (used int) {
	d := l.d
	for used < len(p) {
		now := d.enter()
		n := 0
		switch l {
		case d.client:
			d.p.f.step("a message of the client arrives", d.of, d.p)
			n = d.m.FromClient(now, p[used:])
		case d.app:
			n = d.m.FromApp(now, p[used:])
			l.app.heard(n)
		default:
			return len(p)
		}
		used += n
		d.settle(now)
		if n == 0 {
			break
		}
	}
	return used
}

func (l *leg) writable() {
	d := l.d
	now := d.enter()
	switch l {
	case d.client:
		d.m.ClientWritable()
	case d.app:
		d.m.AppWritable()
	default:
		return
	}
	d.settle(now)
}

func (l *leg) gone(broken bool) {
	d := l.d
	now := d.enter()
	switch l {
	case d.client:
		d.m.ClientGone(now, broken)
		d.client = nil
		l.end.close()
	case d.app:
		d.appClosed(now, true)
		d.m.AppGone(now, broken)
	default:
		d.p.takeMoved(l.end)
		l.end.abort()
		return
	}
	d.settle(now)
}

// settle acts on the machine's Outputs in their order.
func (d *driver) settle(now time.Time) {
	if d.dead {
		return
	}
	if d.used {
		d.p.f.fail(errors.New("a step within a step"))
	}
	d.used = true
	defer func() { d.used = false }()
	for range 10_000 {
		o := &d.out
		d.m.Output(now, o)
		d.checkOutput(o)
		if len(o.ToApp) > 0 {
			d.m.AppWrote(now, d.app.writeApp(o.ToApp))
		}
		if len(o.ToClient) > 0 {
			d.m.ClientWrote(d.client.end.write(o.ToClient))
		}
		if o.Idle() {
			d.rest(now, o)
			return
		}
		d.perform(now, o)
		if d.dead {
			return
		}
	}
	d.p.f.fail(errors.New("a session never settles"))
}

// rest is after all that is to be done now.
func (d *driver) rest(now time.Time, o *session.Output) {
	if d.client != nil {
		d.client.end.pause(o.PauseClient)
		if !o.PauseClient {
			d.client.end.again()
		}
	}
	if d.app != nil {
		d.app.end.pause(o.PauseApp)
		if !o.PauseApp {
			d.app.end.again()
		}
	}
	d.arm(o.Deadline)
	if d.over && !d.gone && d.m.EndJournaled() {
		d.forget()
	}
}

func (d *driver) forget() {
	if !d.gone {
		d.gone = true
		if d.p.sessions[d.id] == d {
			delete(d.p.sessions, d.id)
		}
	}
}

func (d *driver) arm(at time.Time) {
	if at.IsZero() || !d.armed.IsZero() && !at.Before(d.armed) || d.over && d.m.Done() {
		return
	}
	d.armed = at
	d.p.f.at(at.Add(-d.p.skew), func() {
		if !d.armed.Equal(at) || d.dead {
			return
		}
		d.p.run(func() {
			if d.armed.Equal(at) && !d.dead {
				d.armed = time.Time{}
				now := d.enter()
				if d.p.f.still > maxStill-3 {
					d.p.f.note("client %d at %s: due: %+v", d.of.n, d.p.name, d.m.View(now))
				}
				d.m.Tick(now)
				d.settle(now)
			}
		})
	})
}

// perform does what is rare.
func (d *driver) perform(now time.Time, o *session.Output) {
	if rec := o.Persist; rec != nil {
		d.p.start(func(t *task) { d.append(t, rec) })
	}
	if o.CloseClient != nil && d.client != nil {
		e := d.client.end
		final := bytes.Clone(o.FinalToClient)
		if o.Ended == session.EndedHanded && len(final) > 0 {
			d.closeMoved(e, final)
		} else {
			e.write([][]byte{final})
			e.close()
		}
		d.client = nil
	}
	if o.CloseApp && d.app != nil {
		d.app.writeApp([][]byte{bytes.Clone(o.FinalToApp)})
		d.appClosed(now, o.FindCause)
		d.app.end.close()
		d.app = nil
	}
	switch {
	case o.RedialApp:
		d.p.f.reach("app: it is dialled again")
		s, ok := d.history.Lost(now, d.m.Attached(), appRetry, d.p.random.Float64)
		if !ok {
			d.m.AppGivenUp(now)
		} else {
			d.p.start(func(t *task) { d.search(t, &s) })
		}
	case o.FindCause:
		d.p.f.reach("app: why it left a pod that drains is looked for")
		s := redial.Leave(now)
		d.p.start(func(t *task) { d.findCause(t, &s) })
	}
	if o.Ended != 0 {
		d.finish(o.Ended)
	}
}

// appClosed notes, once, that the app's socket is gone.
func (d *driver) appClosed(now time.Time, broke bool) {
	if d.counted {
		d.counted = false
		d.p.sockets.Closed(now, broke)
	}
}

// closeMoved keeps the connection of a client whose session goes on elsewhere.
func (d *driver) closeMoved(e *end, final []byte) {
	if !d.moves {
		ask := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, wire.AppendGoAway(nil, wire.GoAwayDraining, 0))
		if e.write([][]byte{ask}) != len(ask) {
			e.write([][]byte{final})
			e.close()
			return
		}
	}
	p := d.p
	p.moved = append(p.moved, e)
	p.after(moveGrace, func() {
		if p.takeMoved(e) {
			e.write([][]byte{final})
			e.close()
		}
	})
}

// takeMoved forgets such a connection, and reports whether it was still there.
func (p *pod) takeMoved(e *end) bool {
	i := slices.Index(p.moved, e)
	if i >= 0 {
		p.moved = slices.Delete(p.moved, i, i+1)
	}
	return i >= 0
}

func (d *driver) finish(why session.Ending) {
	if d.over {
		return
	}
	d.over = true
	d.p.f.reach("session: it ends as " + why.String())
	d.p.f.note("client %d at %s: session of epoch %d ends: %v", d.of.n, d.p.name, d.m.Epoch(), why)
	d.talk.ownerEnds(d, why)
	for _, wake := range d.ended {
		wake()
	}
	d.ended = nil
}

// append writes a record behind the session's newest.
func (d *driver) append(t *task, rec *store.Record) {
	t.sleep(0) // off the thread of the session
	if rec.Kind == store.Claim {
		d.p.f.step("the journal is given the claim", d.of, d.p)
	} else {
		d.p.f.step("the journal is given a record", d.of, d.p)
	}
	err := d.chain.Append(t.context(appendTimeout), d.p.store, store.ID(d.id), rec)
	d.p.f.records++
	result := session.PersistResultOf(err)
	d.p.f.note("client %d at %s: record %d of epoch %d, kind %v: %v", d.of.n, d.p.name, rec.N, rec.Epoch, rec.Kind, err)
	d.talk.recorded(d, rec, result)
	if d.dead {
		return
	}
	now := d.enter()
	suspect := d.m.OwnershipSuspect()
	d.m.Persisted(now, result)
	d.settle(now)
	switch {
	case suspect && result == session.PersistRefused:
		d.p.f.reach("owner: one that stalled is fenced")
	case suspect && !d.m.OwnershipSuspect():
		d.p.f.reach("owner: one that stalled is confirmed")
	case result == session.PersistRefused:
		d.p.f.reach("owner: one is fenced")
	case result == session.PersistLost:
		d.p.f.reach("journal: a chain was lost and is written again")
	}
}

// handOver gives the session up, and calls done when it is over here.
func (d *driver) handOver(moves bool, limit time.Duration, done func()) {
	if done != nil {
		if d.over {
			d.p.soon(done)
		} else {
			d.ended = append(d.ended, done)
		}
	}
	d.p.f.step("the session is handed over", d.of, d.p)
	now := d.enter()
	d.moves = d.moves || moves
	if !d.over {
		d.m.HandOver(now, limit)
	}
	d.settle(now)
}

// dies ends the driver with its process.
func (d *driver) dies(silently bool) {
	d.dead = true
	d.talk.ownerDies(d)
	if d.client != nil {
		d.client.end.ends(silently)
	}
	if d.app != nil {
		d.app.end.ends(silently)
	}
}
