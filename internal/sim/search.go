package sim

import (
	"time"

	"github.com/wsresilience/wsresilience/internal/redial"
)

// search looks for an app that is gone, as package redial says, until the session has
// a fresh socket or wants none.
func (d *driver) search(t *task, s *redial.Search) {
	for d.m.AppLost() && !d.over {
		switch step := s.Next(d.restartFacts(s)).(type) {
		case redial.Wait:
			d.waits(t, step.Until)
		case redial.Probe:
			if !d.p.app.probe(t) && !s.Failed(d.p.now()) {
				d.giveUp()
				return
			}
		case redial.Dial:
			if socket := d.p.app.dial(t, d.talk); socket != nil {
				now := d.enter()
				if !d.m.AppBack(now, "", false) {
					socket.refusedBySidecar()
					d.settle(now)
					d.giveUp()
					return
				}
				d.history.Made(now, s)
				d.joinApp(socket)
				d.p.f.reach("app: a session has a fresh socket of an app that restarted")
				d.settle(now)
				return
			}
			if !s.Failed(d.p.now()) {
				d.giveUp()
				return
			}
		default:
			d.giveUp()
			return
		}
	}
}

// findCause finds out whether an app has ended its socket because its pod stops.
func (d *driver) findCause(t *task, s *redial.Search) {
	for d.m.AwaitsCause() && !d.over {
		switch step := s.Next(d.restartFacts(s)).(type) {
		case redial.Wait:
			d.waits(t, step.Until)
			continue
		case redial.Probe:
			if d.p.app.probe(t) || s.Failed(d.p.now()) {
				continue
			}
		case redial.Close:
			d.giveUp()
			return
		}
		break
	}
	now := d.enter()
	if d.m.AwaitsCause() {
		d.m.AppLeft()
	}
	d.settle(now)
}

func (d *driver) restartFacts(s *redial.Search) *redial.Facts {
	now := d.enter()
	return &redial.Facts{
		Now: now, Said: d.m.AppSaidRestart(), Certain: d.m.AppRestartCertain(), Attached: d.m.Attached(),
		Evidence: s.Evidence(now, &d.p.sockets),
	}
}

// waits is for a time, or for the client to come or go, which is looked at now and
// then.
func (d *driver) waits(t *task, until time.Time) {
	limit := 100 * time.Millisecond
	if !until.IsZero() {
		limit = min(limit, max(time.Millisecond, until.Sub(d.p.now())))
	}
	t.sleep(limit)
}

func (d *driver) giveUp() {
	now := d.enter()
	d.m.AppGivenUp(now)
	d.settle(now)
}

// joinApp gives the driver its app's socket.
func (d *driver) joinApp(s *appSocket) {
	d.p.sockets.Opened()
	d.counted = true
	d.app = d.newLeg(s.end.peer)
	d.app.app = s
	s.owner = d
	d.talk.socketOpens(s, d)
}
