package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// Implementation limits of what one session's answer takes.
const (
	maxEvents = 200

	// locateTimeout bounds a search in the journal.
	locateTimeout = 3 * time.Second
)

// A Detail is the answer to /sessions/{id}: a session that lives here, or what is
// known of one that does not.
type Detail struct {
	*Session
	Here bool `json:"here"` // it lives in this sidecar

	Windows  *Windows        `json:"windows,omitempty"`
	Journal  *SessionJournal `json:"journal,omitempty"`
	Traffic  *Traffic        `json:"traffic,omitempty"`
	Snapshot *snapshot.View  `json:"snapshot,omitempty"` // what a fresh app socket would hear first, without payloads

	// Ended is how it ended here last, if that is remembered.
	Ended *End `json:"ended,omitempty"`
	// Located is what the journal says of one that is not here, and LocateError why
	// it says nothing.
	Located     *Location `json:"located,omitempty"`
	LocateError string    `json:"locate_error,omitempty"`

	Events []Event `json:"events"` // those that are remembered, the oldest first
}

// A Location is what the journal says of a session.
type Location struct {
	Owner    string    `json:"owner"` // that wrote last
	Lease    string    `json:"lease"` // of that owner: live, gone, released or unknown
	Epoch    uint32    `json:"epoch"`
	State    string    `json:"state"`              // attached, detached, handed_over or ended, as it was written last
	Detached time.Time `json:"detached,omitzero"`  // since when it has no client
	Messages int       `json:"messages"`           // to the client that the journal holds
	Gap      bool      `json:"gap,omitempty"`      // some are missing: whoever adopts it has to reset it
	App      string    `json:"app_left,omitempty"` // what is not known of the app it was handed over with
}

// LocationOf says what a state of the journal means.
func LocationOf(st *store.State, lease store.LeaseState) Location {
	l := Location{Owner: st.Owner, Lease: lease.String(), Epoch: st.Epoch, State: "attached", Messages: len(st.Frames), Gap: st.Gap}
	if st.DetachedAt != 0 {
		l.State, l.Detached = "detached", time.UnixMilli(st.DetachedAt).UTC()
	}
	switch {
	case st.Kind == store.End:
		l.State = "ended"
	case st.Handed:
		l.State = "handed_over"
	}
	switch {
	case st.Unclean:
		l.App = "its socket broke before the hand-over"
	case st.Owed:
		l.App = "it may have owed an answer"
	}
	return l
}

func (c *Console) session(w http.ResponseWriter, r *http.Request) {
	id, status, err := c.named(r.Context(), strings.ToLower(r.PathValue("id")))
	if err != nil {
		answer(w, status, err.Error()+"\n")
		return
	}
	d, known := c.detail(r.Context(), id)
	if !known {
		status = http.StatusNotFound
	}
	answerJSON(w, status, d)
}

// named finds the session that is meant by an id, or by a beginning of one that no
// other session has which lives here or of which something is remembered. status is
// that of the answer; of an error, which is for whoever asked, too.
func (c *Console) named(ctx context.Context, s string) (id wire.SessionID, status int, err error) {
	if len(s) == 2*len(id) {
		if id, err = parseID(s); err != nil {
			return id, http.StatusBadRequest, err
		}
		return id, http.StatusOK, nil
	}
	if !beginsID(s) {
		return id, http.StatusBadRequest, fmt.Errorf("%q is no session's id, nor the beginning of one: 32 digits from 0 to f", s)
	}
	look := c.look(ctx)
	if look == nil {
		return id, http.StatusServiceUnavailable, ctx.Err()
	}
	found := map[wire.SessionID]bool{}
	for v := range c.cfg.Sidecar.Views() {
		if !look.at() {
			break
		}
		if strings.HasPrefix(v.ID.String(), s) {
			found[v.ID] = true
		}
	}
	look.done()
	c.history.ids(s, found)
	for id = range found {
		if len(found) == 1 {
			return id, http.StatusOK, nil
		}
	}
	if len(found) == 0 {
		return id, http.StatusNotFound, fmt.Errorf("no session whose id begins with %s lives here, and nothing is remembered of one; by its whole id one of another sidecar is found too", s)
	}
	return id, http.StatusConflict, fmt.Errorf("%d sessions have an id that begins with %s: give more of it", len(found), s)
}

// detail collects what is known of a session, and reports whether anything is.
func (c *Console) detail(ctx context.Context, id wire.SessionID) (d Detail, known bool) {
	d.Events = eventsOf(c.history.of(id, maxEvents))
	if r, ok := c.history.end(id); ok {
		end := endOf(&r)
		d.Ended = &end
	}
	v, context, ok := c.cfg.Sidecar.View(id)
	if !ok {
		d.Session = &Session{ID: id.String(), State: "not_here"}
		c.locate(ctx, id, &d)
		return d, len(d.Events) > 0 || d.Ended != nil || d.Located != nil
	}
	s := sessionOf(&v, time.Now())
	d.Here, d.Session, d.Traffic = true, &s, trafficOf(&v.Counters)
	if v.Resilient() {
		d.Windows = &Windows{windowOf(v.ToClient), windowOf(v.ToApp)}
		if d.Journal = journalOf(v.Journal); context.ID != "" {
			d.Snapshot = &context
		}
	}
	return d, true
}

// locate asks the journal who has a session that is not here.
func (c *Console) locate(ctx context.Context, id wire.SessionID, d *Detail) {
	if c.cfg.Locate == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	done := turn(ctx, c.locating)
	if done == nil {
		d.LocateError = "the journal is asked too much just now: try again"
		return
	}
	defer done()
	l, err := c.cfg.Locate(ctx, id)
	switch {
	case err == nil:
		d.Located = &l
	case !errors.Is(err, store.ErrNotFound):
		d.LocateError = err.Error()
	}
}

func (c *Console) snapshot(w http.ResponseWriter, r *http.Request) {
	id, err := parseID(r.PathValue("id"))
	if err != nil {
		refuse(w, err)
		return
	}
	_, context, ok := c.cfg.Sidecar.View(id)
	if !ok {
		answer(w, http.StatusNotFound, "this session is not here\n")
		return
	}
	answerJSON(w, http.StatusOK, context)
}
