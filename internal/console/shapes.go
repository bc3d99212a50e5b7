package console

import (
	"time"

	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/session"
)

// A Session is one line of a list, in JSON. Times are milliseconds.
type Session struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`             // resilient or plain
	State   string `json:"state"`            // what it does
	Path    string `json:"path,omitempty"`   // of its handshake
	Client  string `json:"client,omitempty"` // as WSR_LOG_CLIENT says
	Trace   string `json:"trace,omitempty"`  // that the handshake came from
	Owner   string `json:"owner,omitempty"`
	Epoch   uint32 `json:"epoch,omitempty"`
	Adopted string `json:"adopted,omitempty"` // why it has not its first app socket

	Began   time.Time `json:"began"`
	Age     float64   `json:"age_ms"`
	Away    float64   `json:"away_ms,omitempty"`       // how long its client has been away
	Expires float64   `json:"expires_in_ms,omitempty"` // of a detached one
	Lacking int       `json:"lacking_messages,omitempty"`
	Held    int       `json:"held_bytes"` // in both windows
	Link    Link      `json:"link"`
}

// A Link is the way to a client, by its heartbeats.
type Link struct {
	State     string  `json:"state"`
	RTT       float64 `json:"rtt_ms"`       // smoothed; 0: not measured yet
	Deviation float64 `json:"deviation_ms"` // of the latest round trips
	Loss      float64 `json:"loss"`         // share of the latest heartbeats, 0 to 1
	Interval  float64 `json:"interval_ms"`  // between heartbeats
}

// A Window is one direction's messages that are kept.
type Window struct {
	Messages    int  `json:"messages"`
	Bytes       int  `json:"bytes"`
	MaxMessages int  `json:"max_messages,omitempty"`
	MaxBytes    int  `json:"max_bytes"`
	Full        bool `json:"full"` // whoever sends waits
}

// A SessionJournal is how far the journal is behind a session.
type SessionJournal struct {
	On       bool    `json:"on"`
	Lacks    int     `json:"lacks_messages"`
	Writing  bool    `json:"writing"`
	Failures int     `json:"failures_in_a_row"`
	Retry    float64 `json:"retry_in_ms,omitempty"`
}

// Traffic is what passed since the session began here.
type Traffic struct {
	FromClient     uint64 `json:"messages_from_client"`
	FromClientSize uint64 `json:"bytes_from_client"`
	ToClient       uint64 `json:"messages_from_app"`
	ToClientSize   uint64 `json:"bytes_from_app"`
	Replayed       uint64 `json:"replayed"`
	Duplicates     uint64 `json:"duplicates_dropped"`
	WindowFull     uint64 `json:"window_full"` // times
	Beats          uint64 `json:"heartbeats_sent"`
	BeatsAnswered  uint64 `json:"heartbeats_answered"`
	Records        uint64 `json:"journal_records"`
}

// Windows are those of both directions.
type Windows struct {
	ToClient Window `json:"to_client"`
	ToApp    Window `json:"to_app"`
}

func sessionOf(v *proxy.SessionView, now time.Time) Session {
	s := Session{
		ID: v.ID.String(), Kind: v.Kind.String(), State: v.Phase.String(), Path: v.Subject.Path(), Client: v.Subject.Client(), Trace: v.Subject.Trace().Trace(),
		Owner: v.Owner, Epoch: v.Epoch,
		Began: v.Began.UTC(), Age: ms(max(now.Sub(v.Began), 0)), Away: ms(v.Away), Expires: ms(v.ExpiresIn), Lacking: v.Lacking, Held: v.ToClient.Bytes + v.ToApp.Bytes,
		Link: Link{v.Link.State.String(), ms(v.Link.RTT), ms(v.Link.Deviation), v.Link.Loss, ms(v.Link.Interval)},
	}
	if v.Adopted != 0 {
		s.Adopted = v.Adopted.String()
	}
	return s
}

func windowOf(w session.WindowView) Window {
	return Window{w.Messages, w.Bytes, w.MaxMessages, w.MaxBytes, w.Full}
}

func journalOf(j session.JournalView) *SessionJournal {
	return &SessionJournal{j.On, j.Lacks, j.Writing, j.Failures, ms(j.RetryIn)}
}

func trafficOf(c *session.Counters) *Traffic {
	return &Traffic{
		FromClient: c.InMessages, FromClientSize: c.InBytes, ToClient: c.OutMessages, ToClientSize: c.OutBytes,
		Replayed: c.Replayed, Duplicates: c.Duplicates, WindowFull: c.WindowFull,
		Beats: c.BeatsSent, BeatsAnswered: c.BeatsHeard, Records: c.Records,
	}
}

// ms is a time as it is in JSON: milliseconds, as exact as microseconds.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
