package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// Of each so-manieth message it is told how long it took until the client had it,
// once; of acknowledgements that repeat, or of what was never sent, nothing.
func TestDelivered(t *testing.T) {
	st := newStage(t)
	var told []string
	st.cfg.WindowMessages, st.cfg.DeliveredEvery = 100, 3
	st.cfg.Delivered = func(id wire.SessionID, d Delivery) {
		if d.FromClient {
			t.Errorf("of the client: %+v", d)
		}
		told = append(told, fmt.Sprintf("%x:%d %v", id[:1], d.Seq, d.Took))
	}
	st.do([]string{"new"})
	want := func(texts ...string) {
		t.Helper()
		if got := strings.Join(told, ", "); got != strings.Join(texts, ", ") {
			t.Errorf("told %q, want %q", got, texts)
		}
		told = nil
	}
	ack := func(seq uint32) { st.feedClient(ofClient(ws.OpBinary, true, wire.AppendAck(nil, seq))) }
	for range 5 {
		st.feedApp(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, []byte("hello")))
		st.wait(10 * time.Millisecond)
	}
	ack(2)
	want()
	ack(3)
	want("01:3 30ms")
	ack(3)
	ack(5)
	want()
	for range 9 {
		st.feedApp(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, []byte("hello")))
	}
	st.wait(20 * time.Millisecond)
	ack(14)
	want("01:6 20ms") // the first of three is enough
	ack(15)
	want()
	if st.s.Attached() {
		t.Error("an acknowledgement of what was never sent is no violation")
	}
}

// The same of a client's messages, when the app's socket has taken them: at once as a
// rule, and later where it is slow or takes a part only.
func TestDeliveredToApp(t *testing.T) {
	st := newStage(t)
	var told []string
	st.cfg.DeliveredEvery = 3
	st.cfg.Delivered = func(_ wire.SessionID, d Delivery) {
		if d.FromClient {
			told = append(told, fmt.Sprintf("%d %d %v", d.Seq, d.Bytes, d.Took))
		}
	}
	st.do([]string{"new"})
	want := func(texts ...string) {
		t.Helper()
		if got := strings.Join(told, ", "); got != strings.Join(texts, ", ") {
			t.Errorf("told %q, want %q", got, texts)
		}
		told = nil
	}
	var message []byte
	say := func(n int) {
		message = ofClient(ws.OpText, true, []byte("hello"))
		st.feedClient(bytes.Repeat(message, n))
	}
	say(2)
	want()
	say(1)
	want("3 11 0s")
	say(7) // two of them are due, and one is enough of each step
	want("6 11 0s")

	// The socket takes two and a half of three.
	st.do([]string{"app", "takes", "27"})
	say(3)
	want("12 11 0s")
	st.wait(40 * time.Millisecond)
	st.do([]string{"app", "drains"})
	want()
	st.do([]string{"app", "takes", "0"})
	say(4)
	st.wait(20 * time.Millisecond)
	st.do([]string{"app", "drains"})
	want("15 11 20ms")
}
