package sim

import (
	"bytes"
	"context"
	"time"

	"github.com/wsresilience/wsresilience/store"
)

// A journal is what a cluster of JetStream is to sidecars: a chain of messages for
// each session, appended to by compare-and-set at a leader, and read from a replica,
// which may be behind.
type journal struct {
	f      *fleet
	chains map[store.ID]*ring
	last   store.Revision

	electing time.Time     // until when nobody answers
	full     bool          // appends are refused
	lag      time.Duration // how far what is read is behind
	slow     time.Duration // what an answer takes more
	unsure   time.Time     // until when a compare-and-set may be answered by "busy"
}

// A ring is one session's chain.
type ring struct{ messages []written }

type written struct {
	store.Message
	at time.Time
}

func (r *ring) newest() store.Revision {
	if r == nil || len(r.messages) == 0 {
		return 0
	}
	return r.messages[len(r.messages)-1].Revision
}

// callWait is how long a call of the backend waits for its answer.
const callWait = 2 * time.Second

// A way is the connection of one sidecar to the journal: a store.Backend.
type way struct {
	j *journal
	p *pod
}

// call sends a request to the leader, and comes back with what was answered, or with
// ErrUnavailable: the answer of a request that was carried out may be lost.
func (w *way) call(ctx context.Context, serve func() error) (err error) {
	c, p := ctx.(*callContext), w.p
	if c.Err() != nil {
		return store.ErrUnavailable
	}
	err = store.ErrUnavailable
	c.t.call(func(done func()) {
		p.after(min(callWait, c.by.Sub(p.f.now)), done)
		if p.unheard { // nothing of it arrives
			return
		}
		p.f.after(w.travel(), func() {
			if p.f.now.Before(w.j.electing) {
				return
			}
			result := serve()
			if p.unanswered { // it was carried out, and nobody hears
				p.f.reach("journal: an answer is lost")
				return
			}
			p.f.after(w.travel(), func() {
				p.run(func() {
					err = result
					done()
				})
			})
		})
	})
	return err
}

// travel is the time of a request, or of an answer.
func (w *way) travel() time.Duration {
	d := 200*time.Microsecond + time.Duration(w.p.f.random.Int64N(int64(800*time.Microsecond)))
	if w.j.slow > 0 {
		d += time.Duration(w.p.f.random.Int64N(int64(w.j.slow)))
	}
	return d
}

// Append implements store.Backend.
func (w *way) Append(ctx context.Context, id store.ID, after store.Revision, data []byte) (rev store.Revision, err error) {
	data = bytes.Clone(data)
	err = w.call(ctx, func() (err error) {
		rev, err = w.j.append(id, after, data)
		return err
	})
	return rev, err
}

func (j *journal) append(id store.ID, after store.Revision, data []byte) (store.Revision, error) {
	r := j.chains[id]
	switch newest := r.newest(); {
	case j.f.now.Before(j.unsure) && j.f.random.IntN(2) == 0:
		return 0, store.ErrBusy
	case newest != after:
		known := j.f.random.IntN(2) == 0
		return 0, &store.FencedError{Newest: newest, Known: known}
	case j.full:
		return 0, store.ErrFull
	}
	if r == nil {
		r = &ring{}
		j.chains[id] = r
	}
	j.last++
	r.messages = append(r.messages, written{store.Message{Revision: j.last, Data: data}, j.f.now})
	if len(r.messages) > store.Ring {
		r.messages = r.messages[1:]
	}
	return j.last, nil
}

// Read implements store.Backend.
func (w *way) Read(ctx context.Context, id store.ID, after store.Revision, limit int) (list []store.Message, err error) {
	err = w.call(ctx, func() error {
		known := w.j.f.now
		if lag := w.j.lag; lag > 0 {
			known = known.Add(-time.Duration(w.j.f.random.Int64N(int64(lag))))
		}
		r := w.j.chains[id]
		if r == nil {
			return nil
		}
		for _, m := range r.messages {
			if m.at.After(known) {
				w.j.f.reach("journal: a read is stale")
				break
			}
			if m.Revision > after && len(list) < limit {
				list = append(list, m.Message)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// MaxData implements store.Backend.
func (w *way) MaxData() int { return 1 << 20 }

// Ready implements store.Backend.
func (w *way) Ready(context.Context) error { return nil }

// Close implements store.Backend.
func (w *way) Close() error { return nil }

// newJournal returns an empty one.
func newJournal(f *fleet) *journal { return &journal{f: f, chains: map[store.ID]*ring{}} }

// wipe loses everything. lose loses the newest records of each session, as a power cut
// does to a journal that has not written them to its disks.
func (j *journal) wipe() { j.chains = map[store.ID]*ring{} }

func (j *journal) lose(n int) {
	for id, r := range j.chains {
		if r.messages = r.messages[:max(0, len(r.messages)-n)]; len(r.messages) == 0 {
			delete(j.chains, id)
		}
	}
}
