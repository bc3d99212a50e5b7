package console

import (
	"net/http"
	"time"
)

// Sessions is the answer to /sessions.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Matched  int       `json:"matched"`        // how many there are of those that are asked for
	Lives    int       `json:"all"`            // how many there are
	Next     string    `json:"next,omitempty"` // cursor of the next answer; "": there is none
}

func (c *Console) sessions(w http.ResponseWriter, r *http.Request) {
	l, err := parseListing(r.URL.Query())
	if err != nil {
		refuse(w, err)
		return
	}
	look := c.look(r.Context())
	if look == nil {
		return
	}
	defer look.done()
	found, matched, lives, more := l.list(c.cfg.Sidecar.Views(), look)
	answer := Sessions{Sessions: make([]Session, len(found)), Matched: matched, Lives: lives}
	now := time.Now()
	for i := range found {
		answer.Sessions[i] = sessionOf(&found[i].view, now)
	}
	if more {
		answer.Next = found[len(found)-1].String()
	}
	answerJSON(w, http.StatusOK, answer)
}

// Ended is the answer to /ended.
type Ended struct {
	Ended []End `json:"ended"` // the newest first
}

func (c *Console) ended(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := parseFilter(q, "kind", "limit")
	if err != nil {
		refuse(w, err)
		return
	}
	limit, err := parseLimit(q, "limit", defaultListed)
	if err != nil {
		refuse(w, err)
		return
	}
	answerJSON(w, http.StatusOK, Ended{Ended: endsOf(c.history.ends(limit, f.meant))})
}
