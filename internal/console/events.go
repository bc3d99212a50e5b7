package console

import (
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// An Event is what happened, in JSON.
type Event struct {
	N       uint64    `json:"n"` // its number in this process
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Text    string    `json:"text"` // with its cause
	Notable bool      `json:"notable,omitempty"`
	Session string    `json:"session,omitempty"`
	Path    string    `json:"path,omitempty"`
	Client  string    `json:"client,omitempty"`
	Took    float64   `json:"took_ms,omitempty"`
}

func eventOf(r *record) Event {
	e := Event{
		N: r.n, At: r.time(), Kind: r.e.Kind.String(), Text: r.e.String(), Notable: weigh(&r.e) == notable,
		Path: r.e.Subject.Path(), Client: r.e.Subject.Client(), Took: ms(r.e.Took),
	}
	if r.e.Session != (wire.SessionID{}) {
		e.Session = r.e.Session.String()
	}
	return e
}

func eventsOf(list []record) []Event {
	events := make([]Event, len(list))
	for i := range list {
		events[i] = eventOf(&list[i])
	}
	return events
}

// An End is a session, or a plain connection, that is over, in JSON.
type End struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id"`
	Kind   string    `json:"kind"`
	Path   string    `json:"path,omitempty"`
	Client string    `json:"client,omitempty"`
	Age    float64   `json:"age_ms"` // how old it was
	Why    string    `json:"why"`    // a word
	Text   string    `json:"text"`
}

func endOf(r *record) End {
	return End{
		At: r.time(), ID: r.e.Session.String(), Kind: r.e.Client.String(), Path: r.e.Subject.Path(), Client: r.e.Subject.Client(),
		Age: ms(r.e.Took), Why: r.e.Ending.String(), Text: r.e.String(),
	}
}

// Ends lists those that are over, the newest first.
func endsOf(list []record) []End {
	ends := make([]End, len(list))
	for i := range list {
		ends[i] = endOf(&list[i])
	}
	return ends
}

// meant reports whether an event is about what a filter means.
func (f *filter) meant(r *record) bool {
	return f.about(r.e.Session, r.e.Client, r.e.Subject)
}
