package console

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/wire"
)

// An Event is what happened, in JSON. Its words are those of the log.
type Event struct {
	N       uint64    `json:"n"` // its number in this process
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Notable bool      `json:"notable,omitempty"` // it explains something

	Session string `json:"session,omitempty"`
	Epoch   uint32 `json:"epoch,omitempty"`
	Path    string `json:"path,omitempty"`
	Client  string `json:"client,omitempty"`
	Trace   string `json:"trace,omitempty"`

	What   string         `json:"what"`           // one text for each thing that can happen
	Fact   string         `json:"fact,omitempty"` // what it follows from
	Text   string         `json:"text"`           // all of it in a line
	Advice *Advice        `json:"advice,omitempty"`
	Attrs  map[string]any `json:"attrs,omitempty"` // what it says beside; times in milliseconds
}

// An Advice is what an operator could set so that it does not happen again.
type Advice struct {
	Setting string `json:"setting"`
	Docs    string `json:"docs"` // a page about it
}

// shownElsewhere are attributes that have a field of their own.
var shownElsewhere = []string{"session", "epoch", "path", "client", "trace", "fact", "setting", "docs", "audit"}

func eventOf(r *record) Event {
	who := r.e.Subject
	e := Event{
		N: r.n, At: r.time(), Kind: r.e.Kind.String(), Notable: weigh(&r.e) == notable,
		Epoch: who.Epoch(), Path: who.Path(), Client: who.Client(), Trace: who.Trace().Trace(),
	}
	if r.e.Session != (wire.SessionID{}) {
		e.Session = r.e.Session.String()
	}
	e.say(r)
	return e
}

// say takes the words of what happened.
func (e *Event) say(r *record) {
	l, ok := r.e.Line()
	if !ok {
		e.What = processText(&r.e)
		e.Text = e.What
		return
	}
	e.What = l.Text
	var details []string
	for _, a := range l.Attrs {
		if a.Name == "fact" {
			e.Fact = fmt.Sprint(a.Value)
		}
		if slices.Contains(shownElsewhere, a.Name) {
			continue
		}
		value := a.Value
		said := fmt.Sprint(value)
		if d, ok := value.(time.Duration); ok {
			value, said = ms(d), rounded(d)
		}
		if e.Attrs == nil {
			e.Attrs = map[string]any{}
		}
		e.Attrs[a.Name] = value
		details = append(details, strings.ReplaceAll(a.Name, "_", " ")+" "+said)
	}
	e.Text = e.What
	if e.Fact != "" {
		e.Text += ": " + e.Fact
	}
	if len(details) > 0 {
		e.Text += " (" + strings.Join(details, ", ") + ")"
	}
	e.Advice = adviceOf(r.e.Advice)
}

func adviceOf(a event.Advice) *Advice {
	if a.Setting() == "" {
		return nil
	}
	return &Advice{a.Setting(), a.Page()}
}

// rounded is a time as one reads it.
func rounded(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// processText words what is about no session, of which the log has lines that its
// own code writes.
func processText(e *event.Event) string {
	switch e.Kind {
	case event.StoreChanged:
		if e.Available {
			return "the journal is back: what it missed is written now"
		}
		return "the journal is away: sessions go on from memory"
	case event.StreamChanged:
		return "a stream of the journal was not as it has to be: " + e.Stream.String()
	case event.ForeignRecord:
		return "a message in the journal that no owner wrote was skipped"
	case event.Short:
		return "the system gives out no more " + e.Resource.String()
	case event.Journaled:
		return "the journal did not take a record: " + event.ResultOf(e.Err).String()
	}
	return e.String()
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
	Trace  string    `json:"trace,omitempty"`
	Age    float64   `json:"age_ms"` // how old it was
	Reason string    `json:"reason"` // a word
	By     string    `json:"by,omitempty"`
	Code   uint16    `json:"code,omitempty"` // of the close
	Why    string    `json:"why"`            // in words
	Advice *Advice   `json:"advice,omitempty"`
}

func endOf(r *record) End {
	e := eventOf(r)
	end := End{
		At: e.At, ID: e.Session, Kind: r.e.Client.String(), Path: e.Path, Client: e.Client, Trace: e.Trace,
		Age: ms(r.e.Took), Reason: r.e.Ending.String(), Code: r.e.Code, Advice: e.Advice,
	}
	end.By, _ = e.Attrs["by"].(string)
	if end.Why = e.Fact; end.Why == "" {
		end.Why = end.Reason
		if end.By != "" {
			end.Why += " by the " + end.By
		}
	}
	if end.Code != 0 {
		end.Why += fmt.Sprintf(" (%d)", end.Code)
	}
	return end
}

// endsOf lists those that are over.
func endsOf(list []record) []End {
	ends := make([]End, len(list))
	for i := range list {
		ends[i] = endOf(&list[i])
	}
	return ends
}

// meant reports whether an event is about what a filter means, also by where the
// client of a session came from meanwhile.
func (f *filter) meant(r *record) bool {
	return f.about(r.e.Session, r.e.Client, r.e.Subject) || r.e.Came != nil && f.about(r.e.Session, r.e.Client, r.e.Came)
}
