package session

import (
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
