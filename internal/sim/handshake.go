package sim

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/admission"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// A handshake is one attempt of a client, wherever it has got to.
type handshake struct {
	of    *program
	talk  *talk
	offer wire.Offer
	link  *link
	end   *end // the sidecar's, of the socket with the client
	via   *pod // who has passed it on; nil: it came by itself

	answered   bool
	misdirect  func() // tells the sidecar that passed it on that the session is not here
	processing func() // that it takes longer
}

// gone reports whether the client is known to have given the attempt up.
func (h *handshake) gone() bool { return h.end.over || h.end.deaf }

// accept answers with 101.
func (h *handshake) accept() {
	h.answered = true
	h.end.send(func(*end) { h.link.accepted() })
}

// refuse answers with a status, and retry is what Retry-After asks for.
func (h *handshake) refuse(retry time.Duration) {
	h.answered = true
	h.end.send(func(*end) { h.link.refused(retry) })
	h.end.close()
}

// reset accepts the handshake and tells the client why it cannot have its session.
func (h *handshake) reset(reason wire.ResetReason) {
	h.accept()
	h.writeReset(reason)
}

func (h *handshake) writeReset(reason wire.ResetReason) {
	h.of.f.note("client %d: RESET %v", h.of.n, reason)
	p := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, wire.AppendReset(nil, reason))
	p = frame.Append(p, ws.Header{Fin: true, OpCode: ws.OpClose}, wire.AppendClosePayload(nil, wire.CodeReset, reason.String()))
	h.end.write([][]byte{p})
	h.end.close()
}

// handshake serves an upgrade.
func (p *pod) handshake(h *handshake) {
	if h.offer.Resume == nil {
		p.f.step("a sidecar reads the handshake", h.of, p)
	} else {
		p.f.step("a sidecar reads a resume", h.of, p)
	}
	switch {
	case h.offer.Resume != nil:
		p.start(func(t *task) { p.resume(t, h) })
	case p.refusing:
		h.refuse(6 * time.Second)
	default:
		p.start(func(t *task) { p.fresh(t, h) })
	}
}

// fresh begins a session.
func (p *pod) fresh(t *task, h *handshake) {
	socket := p.app.dial(t, h.talk)
	if socket == nil {
		h.refuse(0)
		return
	}
	if h.gone() {
		socket.refusedBySidecar()
		return
	}
	h.accept()
	p.f.step("the handshake is answered", h.of, p)
	now := p.now()
	d := p.newDriver(h, p.f.newSession())
	d.m = session.New(p.cfg, now, session.Start{ID: d.id, AppReplaceable: true})
	d.chain.Writer = store.NewWriter()
	d.client = d.newLeg(h.end)
	d.joinApp(socket)
	h.talk.begins(d)
	d.m.Attach(now, wire.StatusNew, session.Position{Next: 1, Adopt: h.offer.Adopt}, false)
	p.add(d)
	p.f.step("the session is made", h.of, p)
	d.settle(now)
}

func (p *pod) add(d *driver) {
	p.sessions[d.id] = d
	p.created++
	if p.draining {
		d.m.Drain(true)
	}
}

// A resume brings a client back to its session, by the steps that package admission
// decides on.
type resume struct {
	*handshake
	p       *pod
	t       *task
	facts   admission.Facts
	session wire.SessionID
	found   *driver
	release func()
	ctx     *callContext
}

func (p *pod) resume(t *task, h *handshake) {
	o := h.offer.Resume
	r := &resume{handshake: h, p: p, t: t, facts: admission.Facts{Forwarded: h.via != nil, Position: session.Position{
		Received: seqwindow.Serial(o.Received), Next: seqwindow.Serial(o.Next), Attempt: o.Attempt, Adopt: h.offer.Adopt,
	}}}
	token, err := wire.OpenToken(p.f.ring, o.Token)
	if err == nil {
		r.facts.Token, r.session = token, token.Session
		r.facts.Position.Epoch, r.facts.Position.Generation = token.Epoch, token.Generation
	}
	defer r.endSearch()
	for steps := 0; r.perform(p.policy.Next(r.now())); steps++ {
		if steps > 100 {
			p.f.broke(h.of, "progress", "a resume takes a hundred steps")
		}
	}
}

// now returns the facts as they are at this moment.
func (r *resume) now() *admission.Facts {
	f := &r.facts
	f.Now, f.Draining = r.p.now(), r.p.draining
	if f.Token != nil {
		f.Here, f.Lease = r.p.sessions[r.session] != nil, r.p.lease(f.Token.Owner)
	}
	f.HandingOver = r.found != nil && r.found.m.HandingOver()
	return f
}

// perform takes a step, and reports whether another one follows.
func (r *resume) perform(step admission.Step) bool {
	f := &r.facts
	switch step := step.(type) {
	case admission.Forward:
		return r.forward(step.Owner)
	case admission.Look:
		return r.look()
	case admission.Load:
		r.load()
	case admission.Release:
		r.p.f.reach("owner: a token of a higher epoch proves that it was replaced")
		r.found.replaced()
		f.Released()
	case admission.HandOver:
		return r.handOver()
	case admission.Adopt:
		return r.adopt()
	case admission.Attach:
		r.attach()
		return false
	case admission.Misdirect:
		r.answered = true
		r.misdirect()
		return false
	case admission.Refuse:
		r.p.f.reach("resume: " + step.Reason.String())
		r.p.f.note("client %d at %s: refused: %s", r.of.n, r.p.name, step.Fact)
		r.reset(step.Reason)
		return false
	}
	return true
}

func (r *resume) endSearch() {
	if r.release != nil {
		r.release()
	}
	r.found, r.release, r.ctx = nil, nil, nil
}

// look finds the session here, or keeps others from adopting it here.
func (r *resume) look() bool {
	r.endSearch()
	p := r.p
	for {
		if d := p.sessions[r.session]; d != nil {
			r.found = d
			now := d.enter()
			at := r.facts.Position
			if d.m.Token(at.Epoch, at.Generation, at.Attempt) == session.TokenNewer {
				r.facts.Looked(admission.Replaced, 0, "")
				return true
			}
			u := d.m.Resumable(now, at, p.draining)
			r.facts.Looked(admission.Found, u.Reason, u.Fact)
			return true
		}
		if _, taken := p.adopting[r.session]; !taken {
			p.adopting[r.session] = nil
			id := r.session
			r.release = func() {
				waiting := p.adopting[id]
				delete(p.adopting, id)
				for _, wake := range waiting {
					wake()
				}
			}
			r.facts.Looked(admission.Absent, 0, "")
			return true
		}
		r.p.f.reach("resume: one waits for another that adopts here")
		r.t.call(func(done func()) {
			p.adopting[r.session] = append(p.adopting[r.session], done)
			p.after(5*time.Second, done)
		})
		if r.gone() {
			return false
		}
	}
}

// load reads the session's state.
func (r *resume) load() {
	r.ctx = r.t.context(appendTimeout)
	r.p.f.step("the journal is read", r.of, r.p)
	f := &r.facts
	f.Read(store.LoadKnown(r.ctx, r.p.store, store.ID(r.session), f.Token.Epoch, pause))
	owner := f.OwnerInQuestion()
	f.Owner = admission.Liveness{Lease: r.p.lease(owner), Unreachable: r.p.contact(owner).UnreachableFor(r.p.f.now)}
}

// handOver gives the session up for the sidecar that the client has come to.
func (r *resume) handOver() bool {
	if r.processing != nil {
		r.processing()
	}
	over := false
	r.t.call(func(done func()) {
		r.found.handOver(true, patience, func() { over = true; done() })
		r.p.after(patience+4*time.Second, done)
	})
	r.facts.HandOver = admission.HandOverLate
	if over {
		r.facts.HandOver = admission.HandedOver
	}
	return !r.gone()
}

// attach joins the client's new connection with the session that was found.
func (r *resume) attach() {
	d := r.found
	if r.gone() {
		return
	}
	r.accept()
	r.p.f.step("the session was found", r.of, r.p)
	at := r.facts.Position
	now := d.enter()
	reason := d.m.Resumable(now, at, r.p.draining).Reason
	if reason == 0 && d.m.Attached() {
		r.p.f.reach("resume: a newer connection supersedes one that looks alive")
		d.m.Supersede(now)
		d.settle(now)
		reason = d.m.Resumable(now, at, r.p.draining).Reason
	}
	if reason == 0 {
		reason = d.m.Attach(now, wire.StatusResumed, at, false)
	}
	if reason != 0 {
		r.writeReset(reason)
		return
	}
	d.m.CountResume(now)
	d.client = d.newLeg(r.end)
	r.talk.attached(d, at, false)
	r.p.f.step("the client is attached again", r.of, r.p)
	d.settle(now)
	r.end.again()
}

// replaced lets go of a session that another sidecar has adopted.
func (d *driver) replaced() {
	now := d.enter()
	d.m.Replaced(now)
	d.settle(now)
	d.forget()
}
