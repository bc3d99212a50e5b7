package console

import (
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// statusEvents is how many of the latest notable events a Status has.
const statusEvents = 50

// A Status is the answer to /status: the sidecar as a whole.
type Status struct {
	At      time.Time `json:"at"`
	Name    string    `json:"name"` // among the sidecars: instance@address
	Version string    `json:"version"`
	Began   time.Time `json:"began"`

	Ready bool     `json:"ready"`
	Why   string   `json:"why,omitempty"`   // it is not
	Notes []string `json:"notes,omitempty"` // what an operator should know all the same

	Sessions SessionCounts      `json:"sessions"`
	Memory   Memory             `json:"memory"`
	Drain    observe.DrainState `json:"drain"`
	Journal  Journal            `json:"journal"`
	Fleet    []Member           `json:"fleet"` // empty: the journal is not shared

	Events []Event `json:"events"` // the latest notable ones, the oldest first
}

// SessionCounts are how many there are.
type SessionCounts struct {
	Attached int `json:"attached"`
	Detached int `json:"detached"`
	Plain    int `json:"plain"`
	Tunnels  int `json:"tunnels"` // clients that are passed through to other sidecars
}

// Memory is what windows hold.
type Memory struct {
	Used   int64 `json:"used_bytes"`
	Budget int64 `json:"budget_bytes"`
}

// A Journal is how the journal is.
type Journal struct {
	Kind         string    `json:"kind"` // embedded or external
	Available    bool      `json:"available"`
	Why          string    `json:"why,omitempty"`  // it is not
	Since        time.Time `json:"since,omitzero"` // when that became so
	Appending    int       `json:"appends_under_way"`
	AppendingLen int64     `json:"appending_bytes"`
	Share        int64     `json:"share_bytes,omitempty"` // of records that it takes from one session now
	Streams      []Stream  `json:"streams,omitempty"`     // as of the last check
}

// A Stream is one of the journal.
type Stream struct {
	Name string `json:"name"`
	Held int64  `json:"held_bytes"`
	Most int64  `json:"most_bytes"` // 0: not bounded
}

// A Member is a sidecar that shares the journal.
type Member struct {
	Owner    string    `json:"owner"`
	Self     bool      `json:"self,omitempty"`
	Lease    string    `json:"lease"` // live, gone, released or unknown
	Draining bool      `json:"draining,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Renewed  float64   `json:"renewed_ms_ago"`
}

func (c *Console) status(w http.ResponseWriter, r *http.Request) {
	if err := knows(r.URL.Query()); err != nil {
		refuse(w, err)
		return
	}
	look := c.look(r.Context())
	if look == nil {
		return
	}
	st := c.cfg.Sidecar.Stats()
	look.done()
	s := Status{
		At: time.Now().UTC(), Began: c.began.UTC(),
		Sessions: SessionCounts{st.Attached, st.Detached, st.Plain, st.Tunnels},
		Memory:   Memory{st.WindowBytes, st.Budget},
		Drain:    observe.DrainState{Draining: st.Draining, Sessions: st.Attached + st.Detached, Plain: st.Plain, Tunnels: st.Tunnels},
		Fleet:    []Member{},
		Events:   eventsOf(c.history.since(0, statusEvents, func(r *record) bool { return weigh(&r.e) == notable })),
	}
	c.cfg.About(&s)
	answerJSON(w, http.StatusOK, s)
}

// MemberOf is m in JSON.
func MemberOf(m *natsstore.Member) Member {
	return Member{m.Owner, m.Self, m.Lease.String(), m.Draining, m.Since, ms(m.Renewed)}
}
