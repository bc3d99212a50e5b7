// Package jupyter is the preset for the channels of a Jupyter kernel, in the
// protocol v1.kernel.websocket.jupyter.org and in the older JSON (WebSocket
// protocols in the documentation of Jupyter Server).
package jupyter

import (
	"net/url"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// keyRequest is the prefix of the keys of requests under way, by msg_id. They are
// saved.
const keyRequest = "request/"

// maxID bounds a msg_id, which is a UUID and a number as a rule.
const maxID = 256

// subprotocol is that of version 1.
const subprotocol = "v1.kernel.websocket.jupyter.org"

// A preset follows one conversation. A fresh socket leads to the same kernel, which
// has all that the client told it, and needs to hear nothing. A request is never
// sent again: while one is under way its reply would be lost with the old socket,
// and the snapshot is incomplete.
type preset struct{ asked snapshot.Requests }

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Recognises implements snapshot.Protocol: the subprotocol is the protocol's, or
// the path and the query are those of a kernel's channels and there is none.
func Recognises(h snapshot.Handshake) bool {
	if h.Subprotocol != "" {
		return h.Subprotocol == subprotocol
	}
	at := strings.Split(h.Path, "/")
	if len(at) < 5 {
		return false
	}
	at = at[len(at)-4:]
	q, err := url.ParseQuery(h.Query)
	return err == nil && q.Has("session_id") && at[0] == "api" && at[1] == "kernels" && at[2] != "" && at[3] == "channels"
}

// Inbound implements [snapshot.Preset].
func (p *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	msg, ok := parse(m)
	channel, kind, id := msg.channel, msg.kind(), msg.id()
	switch {
	case !ok || kind == "" || len(id) > maxID:
		c.SetIncomplete()
		p.asked.Unclear()
	case (channel == "shell" || channel == "control") && strings.HasSuffix(kind, "_request") && id != "":
		c.SetPending(now, keyRequest+id)
		p.asked.Asked(id, true)
	case channel == "stdin": // what a request asked for, whose reply is awaited
	default: // comms, which widgets answer by comms of theirs, or not
		p.asked.Unclear()
	}
}

// Outbound implements [snapshot.Preset].
func (p *preset) Outbound(c snapshot.Conversation, _ time.Time, m snapshot.Message) (swallow bool) {
	msg, ok := parse(m)
	if !ok {
		return false
	}
	switch kind := msg.kind(); {
	case strings.HasSuffix(kind, "_reply"):
		id := msg.parentID()
		c.Forget(keyRequest + id)
		p.asked.Answered(id)
	case kind == "status" && msg.gone(): // a kernel that begins anew answers nothing
		c.ForgetAll(keyRequest)
		p.asked.AnsweredAll("")
	}
	return false
}

// Owes implements [snapshot.Replier].
func (p *preset) Owes(snapshot.Conversation) snapshot.Owed { return p.asked.Owed() }

// Restore implements [snapshot.Preset].
func (p *preset) Restore(c snapshot.Conversation, _ time.Time) {
	p.asked = snapshot.Requests{}
	c.ForgetAll(keyRequest)
	c.Restored()
}

// Tick implements [snapshot.Preset].
func (p *preset) Tick(snapshot.Conversation, time.Time) {}

// Deadline implements [snapshot.Preset].
func (p *preset) Deadline() time.Time { return time.Time{} }
