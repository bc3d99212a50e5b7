package event

import (
	"errors"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// A Line is an event in words, the same for the log, the console and traces.
type Line struct {
	Level Level
	Text  string // one for each thing that can happen
	Attrs []Attr

	// Elsewhere: the log has a line about it already, which says more.
	Elsewhere bool
}

// A Level is how much a line matters, in the numbers of log/slog.
type Level int8

const (
	Debug Level = -4
	Info  Level = 0
	Warn  Level = 4
	Error Level = 8
)

// An Attr is something that a line says: a string, an int, a bool or a
// time.Duration.
type Attr struct {
	Name  string
	Value any
}

// Line words e. It returns false for what is only counted: what happens to all
// sessions all the time.
func (e Event) Line() (l Line, ok bool) {
	if e.countedOnly() {
		return Line{}, false
	}
	own := e // so that nothing is made before
	w := wording{e: &own}
	w.about()
	if !w.word() {
		return Line{}, false
	}
	w.advice()
	return w.Line, true
}

// countedOnly reports whether e has no words. It is asked about each record and
// each heartbeat, so that nothing is made for it.
func (e *Event) countedOnly() bool {
	switch e.Kind {
	case Accepted, RoundTrip, TimersFired:
		return true
	case Journaled: // those that nobody wrote are told by who meets them, and anyone can put them there
		return ResultOf(e.Err) != AppendLost || errors.Is(e.Err, store.ErrForeign)
	case Dialled:
		return e.Answer == AppOK
	case Began:
		return e.Client == Resilient && e.Adopted != 0 && e.Fact == ""
	}
	return false
}

// A wording is a Line that is being made.
type wording struct {
	Line
	e *Event
}

func (w *wording) say(level Level, text string) bool {
	w.Level, w.Text = level, text
	return true
}

func (w *wording) text(name, value string) {
	if value != "" {
		w.Attrs = append(w.Attrs, Attr{name, value})
	}
}

func (w *wording) number(name string, value int) {
	if value != 0 {
		w.Attrs = append(w.Attrs, Attr{name, value})
	}
}

func (w *wording) took(name string, d time.Duration) {
	w.Attrs = append(w.Attrs, Attr{name, d})
}

func (w *wording) audit() { w.Attrs = append(w.Attrs, Attr{"audit", true}) }

// about says whose session it is.
func (w *wording) about() {
	e, s := w.e, w.e.Subject
	if e.Session != (Event{}.Session) {
		w.text("session", e.Session.String())
	}
	w.number("epoch", int(s.Epoch()))
	w.text("path", s.Path())
	w.text("client", s.Client())
	w.text("trace", s.Trace().Trace())
}

// came tells where the client is now, if it was elsewhere before.
func (w *wording) came() {
	if e := w.e; e.Came != nil && e.Came != e.Subject {
		w.text("from", e.Came.Client())
		w.text("from_trace", e.Came.Trace().Trace())
	}
}

func (w *wording) advice() {
	w.text("fact", w.e.Fact)
	w.text("setting", w.e.Advice.Setting())
	w.text("docs", w.e.Advice.Page())
}

// word finds the words of what is in Event.Kind, and reports whether there are
// any.
func (w *wording) word() bool {
	switch w.e.Kind {
	case Began:
		return w.began()
	case Ended:
		return w.ended()
	case Detached:
		return w.detached()
	case Resumed:
		return w.resumed()
	case Forwarded:
		return w.forwarded()
	case HandedOver:
		w.text("cause", w.e.HandOver.String())
		return w.say(Info, "session is handed over")
	case Evicted:
		return w.say(Info, "session is given up, since memory is short")
	case MessageRefused:
		return w.messageRefused()
	case MessageSkipped:
		w.number("messages", w.e.Messages)
		w.e.Fact = "connections ended at it again and again, with 1003, 1007 or 1009; the app goes on without it"
		return w.say(Warn, "message given up by its client")
	case HeartbeatRejected:
		w.audit()
		w.text("reason", w.e.Beat.String())
		return w.say(Info, "heartbeat rejected")
	case Keyed:
		return w.keyed()
	case Authorized:
		return w.authorized()
	case TokenReused:
		w.audit()
		return w.say(Warn, "a resume token came that was used up, or that two clients use: there may be a copy of it")
	case Refused:
		return w.refused()
	case AppRestarted, Dialled:
		return w.app()
	case AppLost:
		w.took("waits", w.e.Took)
		return w.say(Info, "the app's socket was lost: its client is held until it is back")
	}
	return w.process()
}

// keyed words what became of a message with a key, where that has to be known: it
// may have acted twice, or not at all.
func (w *wording) keyed() bool {
	switch w.e.Fate {
	case idempotency.FateAgain:
		w.audit()
		return w.say(Warn, "a message may act twice: the sidecar that had it first is gone, and its rule has it repeated")
	case idempotency.FateForbidden:
		w.audit()
		return w.say(Info, "a message was skipped: its entity is in a state that it does not follow")
	case idempotency.FateDoubt:
		w.audit()
		return w.say(Warn, "a message was refused: it may have acted, and the sidecar that had it first is gone")
	}
	return false
}

// process words what is about links and about this process.
func (w *wording) process() bool {
	switch w.e.Kind {
	case OwnershipChecked:
		w.text("outcome", w.e.Ownership.String())
		return w.say(Info, "session asked the journal whether it is still ours, since this process had stalled")
	case LinkState:
		w.text("state", w.e.Link.String())
		return w.say(Debug, "link to a client changed")
	case Blind:
		return w.say(Debug, "plain connection carries no WebSocket frames: it passes as bytes")
	case Journaled:
		return w.say(Warn, "the journal lost records of a session: they are written again")
	case Panicked:
		w.Elsewhere = true
		return w.say(Error, "session broke an invariant")
	}
	return false
}

func (w *wording) began() bool {
	switch {
	case w.e.Client == Plain: // there may be thousands a second, and metrics count them
		return w.say(Debug, "plain connection began")
	case w.e.Adopted == 0:
		return w.say(Info, "session began")
	case w.e.Fact == "":
		return false // Resumed says it
	}
	w.text("reason", w.e.Adopted.String())
	w.text("owner", w.e.Owner)
	w.text("former", w.e.Former)
	return w.say(Info, "session adopted")
}

func (w *wording) ended() bool {
	e := w.e
	w.text("reason", e.Ending.String())
	w.text("by", endedBy(e))
	w.number("code", int(e.Code))
	w.took("age", e.Took)
	if e.Fact == "" {
		e.Fact = endingFact(e)
	}
	switch {
	case e.Client == Plain:
		return w.say(Debug, "plain connection ended")
	case e.Ending == session.EndedReused:
		w.audit()
		return w.say(Warn, "session ended")
	}
	return w.say(Info, "session ended")
}

func (w *wording) detached() bool {
	e := w.e
	w.text("cause", e.Cause.String())
	w.number("code", int(e.Code))
	w.came()
	if e.Fact == "" {
		e.Fact = detachFacts[e.Cause]
	}
	level := Info
	if e.Ending != 0 {
		level = Debug // Ended says it
	}
	return w.say(level, "session detached")
}

var detachFacts = map[DetachCause]string{
	DetachedClient:       "the client closed its connection, as a page does that is left",
	DetachedGone:         "the connection broke",
	DetachedHeartbeat:    "no answer to heartbeats",
	DetachedShutdown:     "this sidecar stops or handed the session over",
	DetachedSuperseded:   "superseded by another connection of the same session",
	DetachedUnauthorized: "the app does not accept the client any more, and the client did not come with a new handshake",
}

func (w *wording) resumed() bool {
	e := w.e
	level := Info
	switch e.Resume {
	case ResumeReset:
		w.text("reason", e.Reset.String())
		w.number("status", e.Status)
		w.say(level, "resume refused: RESET")
	case ResumeAdopted:
		w.text("reason", e.Adopted.String())
		w.text("owner", e.Owner)
		w.text("former", e.Former)
		w.say(level, "session adopted")
	default:
		w.text("owner", e.Owner)
		w.say(level, "session resumed")
	}
	if e.Resume != ResumeReset {
		if e.Away >= 0 {
			w.took("away", e.Away)
		}
		w.Attrs = append(w.Attrs, Attr{"replayed", e.Lacking})
	}
	w.text("via", e.Via)
	w.came()
	w.took("took", e.Took)
	return true
}

func (w *wording) forwarded() bool {
	w.text("owner", w.e.Owner)
	w.text("outcome", w.e.Forward.String())
	w.took("took", w.e.Took)
	if w.e.Forward == ForwardServed {
		w.e.Fact = "what came of it is in the owner's log, under the same session"
		return w.say(Info, "client passed on to the owner of its session")
	}
	w.e.Fact = "the journal says what becomes of it"
	return w.say(Info, forwardTexts[w.e.Forward])
}

var forwardTexts = [...]string{
	ForwardNotOwner: "the owner of a session does not have it any more", ForwardRefused: "the owner of a session is gone: nothing listens at its address",
	ForwardUnreachable: "the owner of a session cannot be reached",
}

func (w *wording) messageRefused() bool {
	w.text("from", directionOf(w.e.FromApp))
	w.number("size", w.e.Size)
	w.number("limit", w.e.Limit)
	return w.say(Warn, "message refused: it is above the limit")
}

func directionOf(fromApp bool) string {
	if fromApp {
		return "app"
	}
	return "client"
}

func (w *wording) authorized() bool {
	w.number("status", w.e.Status)
	switch w.e.Answer {
	case AppRefused:
		w.audit()
		return w.say(Info, "the app does not allow a client its session any more")
	case AppFailed:
		return w.say(Warn, "the app could not tell whether a client may have its session")
	}
	return w.say(Debug, "the app allows a client its session")
}

// refused words requests that got no further. Whoever sends what is malformed
// could fill the log.
func (w *wording) refused() bool {
	w.text("reason", w.e.Refusal.String())
	level := Debug
	switch w.e.Refusal {
	case RefusedDescriptors, RefusedDraining, RefusedHandshakes, RefusedJournal, RefusedMemory, RefusedResume, RefusedSessions, RefusedUpstream, RefusedUpstreamTimeout:
		level = Info
	case RefusedProof:
		w.audit()
		level = Info
	}
	return w.say(level, "request refused")
}

func (w *wording) app() bool {
	e := w.e
	w.took("took", e.Took)
	switch {
	case e.Kind == AppRestarted && e.Restart == RestartOK:
		w.text("reason", wire.AdoptAppRestarted.String())
		e.Fact = "the app is back, and has a new socket for the session"
		return w.say(Info, "session adopted")
	case e.Kind == AppRestarted:
		w.text("outcome", e.Restart.String())
		return w.say(Info, "the app's socket was lost: "+restartTexts[e.Restart])
	}
	w.number("status", e.Status)
	failed := Warn
	if e.Fact == "" {
		failed = Debug // one of the attempts of a search, which AppLost tells of
	}
	if e.Session != (Event{}.Session) {
		e.Fact = strings.TrimPrefix(e.Fact+"; the session stays, and is tried for again", "; ")
	}
	switch {
	case e.Answer == AppFailed:
		return w.say(failed, "app handshake failed")
	case e.Session == (Event{}.Session): // of a client that begins: whom an app lets in is its affair
		return w.say(Debug, "the app refused a handshake")
	case e.Answer == AppRefused:
		return w.say(Info, "the app refused a handshake")
	}
	return false
}

var restartTexts = [...]string{
	RestartGaveUp: "it did not come back", RestartClosed: "it ended this one, and lives",
}

// endedBy is who ended a session.
func endedBy(e *Event) string {
	if e.Ending != session.EndedClosed {
		return endings[e.Ending].by
	}
	return closings[e.Closed].by
}

func endingFact(e *Event) string {
	if e.Ending != session.EndedClosed {
		return endings[e.Ending].fact
	}
	return closings[e.Closed].fact
}

// who ended something, and what that followed from.
type who struct{ by, fact string }

var endings = map[session.Ending]who{
	session.EndedBroken:       {"", "one side broke"},
	session.EndedTimeout:      {"sidecar", "the client did not answer heartbeats"},
	session.EndedExpired:      {"sidecar", "the client did not come back in time"},
	session.EndedMemory:       {"sidecar", "memory was short, and the journal out of reach"},
	session.EndedHanded:       {"sidecar", "it was handed over: another sidecar goes on with it"},
	session.EndedFenced:       {"sidecar", "another sidecar has adopted it"},
	session.EndedReleased:     {"sidecar", "this sidecar stops, and there is no journal"},
	session.EndedShutdown:     {"sidecar", "this sidecar stops"},
	session.EndedPanic:        {"sidecar", "it broke an invariant: this is a bug"},
	session.EndedUnauthorized: {"app", "the app does not accept the client any more"},
	session.EndedReused:       {"sidecar", "there is a copy of its token (WSR_TOKEN_REUSE=end)"},
	session.EndedLagged:       {"client", "it was further behind the other devices of its user than is kept for it (WSR_SHARE_LAG)"},
	session.EndedKilled:       {"sidecar", "it did not come to its end before the sidecar did"},
}

var closings = map[session.CloseCause]who{
	session.CauseClient:         {"client", ""},
	session.CauseApp:            {"app", ""},
	session.CauseAppBroke:       {"app", "the app's connection ended without a close frame"},
	session.CauseUnrestored:     {"app", "the app's socket ended as when an app restarts, and nothing restores the app's context on another one"},
	session.CauseAppViolation:   {"app", "the app broke the WebSocket protocol"},
	session.CauseAppTooBig:      {"sidecar", "the app sent a message above the limit"},
	session.CauseAppStalled:     {"app", "a message of the app did not come whole, and kept memory for which others waited"},
	session.CauseNotUTF8:        {"client", "the app sent text that is not UTF-8, which the client refuses"},
	session.CauseClientTooBig:   {"client", "the app sent a message that is too big for the client"},
	session.CauseNotRestored:    {"sidecar", "the client did not restore the app's context in time"},
	session.CauseContextRefused: {"app", "the app did not take its context back"},
	session.CauseNoApp:          {"sidecar", "nothing restores the app's context on a fresh app socket"},
	session.CauseOtherProtocol:  {"app", "the app chose another subprotocol than the client was told"},
	session.CauseBefore:         {"", "client and app were over with each other before it was adopted"},
}
