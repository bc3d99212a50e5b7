package snapshot

import (
	"strconv"
	"strings"
	"time"
)

// Keys of what is kept of a STOMP conversation.
const (
	stompConnect     = "connect"      // the client's CONNECT or STOMP frame
	stompConnected   = "connected"    // a mark: the client has heard CONNECTED
	stompSub         = "subscribe/"   // by id: a SUBSCRIBE frame
	stompReceipt     = "receipt/"     // by receipt: the key of the SUBSCRIBE that asked for it
	stompTransaction = "transaction/" // by name: under way
	stompUpload      = "upload"       // under way: a frame of the client goes on in another message
	stompDownload    = "download"     // under way: a frame of the broker does
)

// stomp follows STOMP 1.0 to 1.2. It keeps the CONNECT frame, credentials
// included, and a SUBSCRIBE frame for each subscription, and sends heart-beats
// for the client while it is away.
//
// An open transaction ends with its connection: while there is one the
// conversation is incomplete. Messages that the client had not acknowledged
// are sent again by a broker that has them, and an ACK for the earlier copy is
// an error to some; receipts that the old broker owed for anything but a
// SUBSCRIBE are lost with it.
type stomp struct {
	up, down stompStream
	beat     beat
	greeting bool // a restore waits for CONNECTED
}

func newSTOMP() preset { return &stomp{} }

// inbound implements preset.
func (t *stomp) inbound(k *Tracker, now time.Time, m Message) {
	t.beat.spoke(now)
	t.up.feed(m.Data, func(f stompFrame) {
		if f.raw != nil {
			t.said(k, now, m.Binary, f)
		} else if f.command != "SEND" {
			k.incomplete() // split over messages, and not read
		}
	})
	t.note(k, now, stompUpload, &t.up)
}

// note keeps whether a stream is within a frame: a fresh socket could not
// continue it, and neither could the client.
func (t *stomp) note(k *Tracker, now time.Time, key string, s *stompStream) {
	if s.between() {
		k.forget(key)
	} else if !k.pending(key) {
		k.pend(now, key)
	}
}

// said looks at a frame of the client.
func (t *stomp) said(k *Tracker, now time.Time, binary bool, f stompFrame) {
	name, _ := f.header("transaction")
	switch f.command {
	case "CONNECT", "STOMP":
		t.forget(k)
		k.keep(now, stompConnect, Message{Binary: binary, Data: f.raw})
	case "SUBSCRIBE":
		key := stompKey(f)
		if receipt, ok := f.header("receipt"); ok {
			k.keep(now, stompReceipt+receipt, Message{Data: []byte(key)})
		}
		k.keep(now, key, Message{Binary: binary, Data: f.raw})
	case "UNSUBSCRIBE":
		k.forget(stompKey(f))
	case "BEGIN":
		k.pend(now, stompTransaction+name)
	case "COMMIT", "ABORT":
		k.forget(stompTransaction + name)
	case "DISCONNECT":
		t.forget(k)
		t.beat.promise(now, 0)
	}
}

// stompKey returns the key of a subscription. In STOMP 1.0 the destination
// stands for it where there is no id.
func stompKey(f stompFrame) string {
	if id, ok := f.header("id"); ok {
		return stompSub + "id:" + id
	}
	destination, _ := f.header("destination")
	return stompSub + "to:" + destination
}

// forget ends the conversation: nothing of it is to be said again.
func (t *stomp) forget(k *Tracker) {
	k.each("", func(key string, _ Message) { k.forget(key) })
}

// outbound implements preset.
func (t *stomp) outbound(k *Tracker, now time.Time, m Message) (swallow bool) {
	if len(m.Data) == 0 {
		return false
	}
	// Whole messages are swallowed or none, as in mqtt. A message without any
	// frame is a heart-beat, of which a client that is away has no use.
	ours, frames := t.down.between(), 0
	t.down.feed(m.Data, func(f stompFrame) {
		frames++
		ours = t.heard(k, now, f) && ours
	})
	t.note(k, now, stompDownload, &t.down)
	return ours && t.down.between() && (frames > 0 || !k.attached())
}

// heard looks at a frame of the broker and says whether it is for us.
func (t *stomp) heard(k *Tracker, now time.Time, f stompFrame) (ours bool) {
	switch f.command {
	case "CONNECTED":
		return t.welcome(k, now, f)
	case "RECEIPT":
		id, _ := f.header("receipt-id")
		t.receipt(k, now, id)
	case "ERROR":
		return t.refused(k)
	}
	return false
}

// receipt notes that the client need not hear this receipt again: the
// SUBSCRIBE is kept without asking for it.
func (t *stomp) receipt(k *Tracker, now time.Time, id string) {
	key, ok := k.kept(stompReceipt + id)
	if !ok {
		return
	}
	k.forget(stompReceipt + id)
	if m, ok := k.kept(string(key.Data)); ok {
		f, _ := cutSTOMPFrame(m.Data)
		k.keep(now, string(key.Data), Message{Binary: m.Binary, Data: f.without("receipt")})
	}
}

// welcome acts on CONNECTED.
func (t *stomp) welcome(k *Tracker, now time.Time, f stompFrame) (ours bool) {
	connect, ok := k.kept(stompConnect)
	if !ok {
		return false
	}
	client, _ := cutSTOMPFrame(connect.Data)
	t.beat.promise(now, stompInterval(client, f))
	_, again := k.kept(stompConnected)
	k.keep(now, stompConnected, Message{})
	if !t.greeting {
		return false
	}
	t.greeting = false
	// A broker handles frames in order, so nothing has to be awaited.
	k.each(stompSub, func(_ string, m Message) { k.say(m) })
	k.restored()
	// A client that never heard the answer of the old broker gets this one.
	return again
}

// stompInterval returns how often the client has promised to send something:
// what it can do or what the broker wants, whichever is longer.
func stompInterval(connect, connected stompFrame) time.Duration {
	can := stompBeat(connect, 0)
	wants := stompBeat(connected, 1)
	if can == 0 || wants == 0 {
		return 0
	}
	return max(can, wants)
}

// stompBeat reads one of the two numbers of a heart-beat header.
func stompBeat(f stompFrame, at int) time.Duration {
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

// refused acts on ERROR, after which the broker closes. A client that is
// connected as far as it knows does not hear that a restore was refused:
// another attempt may do better.
func (t *stomp) refused(k *Tracker) (ours bool) {
	if !t.greeting {
		return false
	}
	t.greeting = false
	if _, again := k.kept(stompConnected); again {
		k.fail()
		return true
	}
	k.restored()
	return false
}

// restore implements preset.
func (t *stomp) restore(k *Tracker, now time.Time) {
	if k.pending(stompUpload) || k.pending(stompDownload) {
		k.incomplete() // half of a frame cannot fit the new socket
	}
	k.forget(stompDownload)
	t.down = stompStream{}
	t.beat.promise(now, 0)
	k.each(stompTransaction, func(key string, _ Message) { k.forget(key) }) // they ended with the old socket
	connect, ok := k.kept(stompConnect)
	if t.greeting = ok; !ok {
		k.restored()
		return
	}
	k.say(connect)
}

// tick implements preset: it sends the client's heart-beat, though never inside
// of a frame.
func (t *stomp) tick(k *Tracker, now time.Time) {
	if !t.beat.silent(now, k.attached() || !t.up.between()) {
		return
	}
	t.beat.spoke(now)
	connect, _ := k.kept(stompConnect)
	k.say(Message{Binary: connect.Binary, Data: []byte("\n")})
}

// deadline implements preset.
func (t *stomp) deadline() time.Time { return t.beat.due }
