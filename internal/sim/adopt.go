package sim

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// peerWait is how long an owner may take to prove itself, and for its answer if it
// does not say that it takes longer.
const peerWait = 2 * time.Second

// forward passes the client on to the session's owner, and reports whether another
// step follows.
func (r *resume) forward(owner string) bool {
	r.endSearch()
	p := r.p
	p.f.step("the client is passed on", r.of, p)
	answer := p.pass(r, owner)
	if answer == 0 {
		p.f.reach("tunnel: a client is passed on")
		return false
	}
	r.facts.Answered(owner, answer)
	return true
}

// pass asks an owner to prove itself and gives it the handshake. 0: it has answered
// the client.
func (p *pod) pass(r *resume, owner string) (result admission.Answer) {
	o := p.f.byName[owner]
	c := p.contact(owner)
	now := p.f.now
	if c.Down(now) {
		return admission.Unreachable
	}
	place := o.place
	there := p.f.pods[place]
	switch {
	case !p.reaches(place), there.paused:
		r.t.sleep(peerWait)
		c.Failed(p.f.now, now)
		p.f.reach("tunnel: an owner does not answer")
		return admission.Unreachable
	case !there.alive && there.silent:
		r.t.sleep(peerWait)
		c.Failed(p.f.now, now)
		return admission.Unreachable
	case !there.alive:
		r.t.sleep(time.Millisecond)
		c.Connected(p.f.now)
		return admission.Refused
	}
	r.t.sleep(2 * time.Millisecond)
	c.Connected(p.f.now)
	if there.name != owner {
		c.Answered(p.f.now)
		return admission.NotOwner
	}
	began, limit := p.f.now, p.f.now.Add(peerWait)
	result = admission.Unreachable
	heard := false
	h := &handshake{of: r.of, talk: r.talk, offer: r.offer, link: r.link, end: r.end, via: p}
	r.end.via, r.end.peer.via = []*pod{p}, []*pod{p}
	r.t.call(func(done func()) {
		h.processing = func() { limit = p.f.now.Add(patience + 5*time.Second) }
		h.misdirect = func() {
			p.f.after(time.Millisecond, func() {
				if p.reaches(place) {
					result, heard = admission.NotOwner, true
					done()
				}
			})
		}
		there.run(func() { there.handshake(h) })
		p.watch(h, there, &limit, func() bool { return heard }, done)
	})
	switch {
	case h.answered && !heard:
		r.answered = true
		c.Answered(p.f.now)
		return 0
	case heard:
		c.Answered(p.f.now)
	default:
		c.Failed(p.f.now, began)
		h.end.f.reach("tunnel: an owner begins to answer and does not go on")
	}
	r.end.via, r.end.peer.via = nil, nil
	return result
}

// watch looks for the answer of a sidecar to which a client was passed on.
func (p *pod) watch(h *handshake, there *pod, limit *time.Time, heard func() bool, done func()) {
	p.after(time.Millisecond, func() {
		switch {
		case heard():
		case h.answered, !there.alive, p.f.now.After(*limit), h.gone():
			done()
		default:
			p.watch(h, there, limit, heard, done)
		}
	})
}

// adopt claims the session and, if that stands, goes on with it.
func (r *resume) adopt() bool {
	p, at := r.p, r.facts.Position
	p.f.step("the session is claimed", r.of, p)
	state, err := store.Adopt(r.ctx, p.store, store.Adoption{
		ID: store.ID(r.session), From: r.facts.Record, Owner: p.name, Now: p.now(),
		Received: uint32(at.Received), Epoch: at.Epoch, Early: at.Next != 0,
		Generation: at.Generation, Attempt: at.Attempt,
	})
	if err != nil {
		r.facts.AdoptFailed(err)
		p.f.reach("adopt: a claim does not stand")
		return true
	}
	p.f.step("the claim stands", r.of, p)
	var socket *appSocket
	if !state.Closed {
		if socket = p.app.dial(r.t, r.talk); socket == nil {
			p.f.reach("adopt: the app does not answer, and the session is given back")
			ctx := r.t.context(appendTimeout)
			_ = store.GiveBack(ctx, p.store, store.ID(r.session), state)
			r.refuse(0)
			return false
		}
	}
	now := p.now()
	d := p.newDriver(r.handshake, r.session)
	m, reason := session.Adopt(p.cfg, now, session.Adoption{Start: session.Start{ID: r.session, AppReplaceable: true}, State: state, Position: at, AppOpen: socket != nil})
	if reason != 0 {
		if socket != nil {
			socket.refusedBySidecar()
		}
		_ = store.GiveBack(r.t.context(appendTimeout), p.store, store.ID(r.session), state)
		r.reset(reason)
		return false
	}
	p.f.note("client %d at %s: adopts epoch %d", r.of.n, p.name, state.Epoch)
	d.m, d.chain = m, store.Chain{Writer: state.Writer, Revision: state.Revision}
	d.inherited = m.Held()
	r.talk.adopted(d)
	if socket != nil {
		d.joinApp(socket)
	}
	p.f.reach("adopt: " + m.Adopted().String())
	if r.gone() {
		p.f.reach("adopt: the client has gone meanwhile")
	} else {
		r.accept()
		if reason := m.Attach(now, wire.StatusAdopted, at, false); reason != 0 {
			r.writeReset(reason)
		} else {
			d.client = d.newLeg(r.end)
			r.talk.attached(d, at, true)
		}
	}
	p.add(d)
	p.f.step("the session is adopted", r.of, p)
	d.settle(now)
	r.end.again()
	return false
}
