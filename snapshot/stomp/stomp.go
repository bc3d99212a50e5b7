// Package stomp is the preset for STOMP 1.0 to 1.2.
package stomp

import (
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/keepalive"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Keys of entries. They are saved.
const (
	keyConnect     = "connect"      // the client's CONNECT or STOMP frame
	keyConnected   = "connected"    // a mark: the client has heard CONNECTED
	keySubscribe   = "subscribe/"   // by id: a SUBSCRIBE frame
	keyReceipt     = "receipt/"     // by receipt: the key of the SUBSCRIBE that asked for it
	keyTransaction = "transaction/" // by name: under way
	keyUpload      = "upload"       // under way: a frame of the client goes on in another message
	keyDownload    = "download"     // under way: a frame of the broker does
)

// A preset follows one conversation. It keeps the CONNECT frame, credentials
// included, and a SUBSCRIBE frame for each subscription, and sends heart-beats
// for the client while it is away.
//
// An open transaction ends with its connection: while there is one the
// conversation is incomplete. Messages that the client had not acknowledged
// are sent again by a broker that has them, and an ACK for the earlier copy is
// an error to some; receipts that the old broker owed for anything but a
// SUBSCRIBE are lost with it.
type preset struct {
	fromClient, fromBroker stream
	heartBeat              keepalive.Timer   // what the client has promised (STOMP 1.2 "Heart-beating")
	connecting             bool              // a restore awaits CONNECTED
	ended                  bool              // the broker has said ERROR, or has heard DISCONNECT
	asked                  snapshot.Requests // receipts
}

// New returns a preset that follows a new conversation.
func New() snapshot.Preset { return &preset{} }

// Recognises implements snapshot.Protocol: the subprotocol is STOMP's.
func Recognises(h snapshot.Handshake) bool {
	return h.Subprotocol == "v10.stomp" || h.Subprotocol == "v11.stomp" || h.Subprotocol == "v12.stomp"
}

// Inbound implements [snapshot.Preset].
func (t *preset) Inbound(c snapshot.Conversation, now time.Time, m snapshot.Message) {
	t.heartBeat.Sent(now)
	t.fromClient.feed(m.Data, func(f frame) {
		if f.raw != nil {
			t.clientFrame(c, now, m.Binary, f)
			return
		}
		t.asked.Unclear() // split over messages, and not read
		if f.command != "SEND" {
			c.SetIncomplete()
		}
	})
	t.trackPartial(c, now, keyUpload, &t.fromClient)
}

// trackPartial notes whether a stream is within a frame: a fresh socket could not
// continue it, and neither could the client.
func (t *preset) trackPartial(c snapshot.Conversation, now time.Time, key string, s *stream) {
	if s.atBoundary() {
		c.Forget(key)
	} else if !c.Pending(key) {
		c.SetPending(now, key)
	}
}

// clientFrame looks at a frame of the client.
func (t *preset) clientFrame(c snapshot.Conversation, now time.Time, binary bool, f frame) {
	name, _ := f.header("transaction")
	receipt, wanted := f.header("receipt")
	switch {
	case wanted:
		t.asked.Asked(receipt, true)
	case f.command == "SEND", f.command == "COMMIT":
		t.asked.Unclear() // whoever hears it may answer
	}
	switch f.command {
	case "CONNECT", "STOMP":
		c.ForgetAll("")
		c.Keep(now, keyConnect, snapshot.Message{Binary: binary, Data: f.raw})
	case "SUBSCRIBE":
		key := subscriptionKey(f)
		if wanted {
			c.Keep(now, keyReceipt+receipt, snapshot.Message{Data: []byte(key)})
		}
		c.Keep(now, key, snapshot.Message{Binary: binary, Data: f.raw})
	case "UNSUBSCRIBE":
		c.Forget(subscriptionKey(f))
	case "BEGIN":
		c.SetPending(now, keyTransaction+name)
	case "COMMIT", "ABORT":
		c.Forget(keyTransaction + name)
	case "DISCONNECT":
		c.ForgetAll("")
		t.ended = true
		t.heartBeat.SetInterval(now, 0)
	}
}

// subscriptionKey returns the key of a subscription. In STOMP 1.0 the destination
// stands for it where there is no id.
func subscriptionKey(f frame) string {
	if id, ok := f.header("id"); ok {
		return keySubscribe + "id:" + id
	}
	destination, _ := f.header("destination")
	return keySubscribe + "to:" + destination
}

// Outbound implements [snapshot.Preset].
func (t *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	if len(m.Data) == 0 {
		return false
	}
	// Whole messages are swallowed or none, as in mqtt. A message without any
	// frame is a heart-beat, of which a client that is away has no use.
	ours, frames := t.fromBroker.atBoundary(), 0
	t.fromBroker.feed(m.Data, func(f frame) {
		frames++
		ours = t.brokerFrame(c, now, f) && ours
	})
	t.trackPartial(c, now, keyDownload, &t.fromBroker)
	return ours && t.fromBroker.atBoundary() && (frames > 0 || !c.Attached())
}

// brokerFrame looks at a frame of the broker, and reports whether it is for the
// preset and not for the client.
func (t *preset) brokerFrame(c snapshot.Conversation, now time.Time, f frame) (swallow bool) {
	switch f.command {
	case "CONNECTED":
		return t.connected(c, now, f)
	case "RECEIPT":
		id, _ := f.header("receipt-id")
		t.asked.Answered(id)
		t.receipt(c, now, id)
	case "ERROR":
		return t.failed(c)
	}
	return false
}

// receipt notes that the client need not hear this receipt again: the
// SUBSCRIBE is kept without asking for it.
func (t *preset) receipt(c snapshot.Conversation, now time.Time, id string) {
	key, ok := c.Kept(keyReceipt + id)
	if !ok {
		return
	}
	c.Forget(keyReceipt + id)
	if m, ok := c.Kept(string(key.Data)); ok {
		f, _ := cutFrame(m.Data)
		c.Keep(now, string(key.Data), snapshot.Message{Binary: m.Binary, Data: f.without("receipt")})
	}
}

// connected acts on CONNECTED (STOMP 1.2 "Connecting").
func (t *preset) connected(c snapshot.Conversation, now time.Time, f frame) (swallow bool) {
	connect, ok := c.Kept(keyConnect)
	if !ok {
		return false
	}
	client, _ := cutFrame(connect.Data)
	t.heartBeat.SetInterval(now, heartBeatInterval(client, f))
	_, again := c.Kept(keyConnected)
	c.Keep(now, keyConnected, snapshot.Message{})
	if !t.connecting {
		t.ended = true
		return false
	}
	t.connecting = false
	// A broker handles frames in order, so nothing has to be awaited.
	for _, m := range c.All(keySubscribe) {
		c.ToApp(m)
	}
	c.Restored()
	// A client that never heard the answer of the old broker gets this one.
	return again
}

// heartBeatInterval returns how often the client has promised to send something:
// what it can do or what the broker wants, whichever is longer.
func heartBeatInterval(connect, connected frame) time.Duration {
	can := heartBeat(connect, 0)
	wants := heartBeat(connected, 1)
	if can == 0 || wants == 0 {
		return 0
	}
	return max(can, wants)
}

// heartBeat reads one of the two numbers of a heart-beat header.
func heartBeat(f frame, at int) time.Duration {
	text, _ := f.header("heart-beat")
	numbers := strings.Split(text, ",")
	if len(numbers) != 2 {
		return 0
	}
	ms, err := strconv.ParseUint(strings.TrimSpace(numbers[at]), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// failed acts on ERROR (STOMP 1.2 "ERROR"), after which the broker closes. A
// client that is connected as far as it knows does not hear that a restore was
// refused: another attempt may do better.
func (t *preset) failed(c snapshot.Conversation) (swallow bool) {
	if !t.connecting {
		return false
	}
	t.connecting = false
	if _, again := c.Kept(keyConnected); again {
		c.RestoreFailed()
		return true
	}
	c.Restored()
	return false
}

// Owes implements [snapshot.Replier].
func (t *preset) Owes(c snapshot.Conversation) snapshot.Owed {
	_, connecting := c.Kept(keyConnect)
	_, connected := c.Kept(keyConnected)
	switch {
	case connecting && !connected, !t.fromBroker.atBoundary():
		return snapshot.OwedAnswer
	case !t.fromClient.atBoundary():
		return snapshot.OwedUnknown
	}
	return t.asked.Owed()
}

// Ended implements [snapshot.Ender].
func (t *preset) Ended() bool { return t.ended }

// Restore implements [snapshot.Preset].
func (t *preset) Restore(c snapshot.Conversation, now time.Time) {
	if c.Pending(keyUpload) || c.Pending(keyDownload) {
		c.SetIncomplete() // half of a frame cannot fit the new socket
	}
	c.Forget(keyDownload)
	t.fromBroker, t.asked = stream{}, snapshot.Requests{}
	t.ended = false
	t.heartBeat.SetInterval(now, 0)
	c.ForgetAll(keyTransaction) // they ended with the old socket
	connect, ok := c.Kept(keyConnect)
	if t.connecting = ok; !ok {
		c.Restored()
		return
	}
	c.ToApp(connect)
}

// Tick implements [snapshot.Preset]: it sends the client's heart-beat, though
// never inside of a frame.
func (t *preset) Tick(c snapshot.Conversation, now time.Time) {
	if !t.heartBeat.Due(now, c.Attached() || !t.fromClient.atBoundary()) {
		return
	}
	t.heartBeat.Sent(now)
	connect, _ := c.Kept(keyConnect)
	c.ToApp(snapshot.Message{Binary: connect.Binary, Data: []byte("\n")})
}

// Deadline implements [snapshot.Preset].
func (t *preset) Deadline() time.Time { return t.heartBeat.Deadline() }
