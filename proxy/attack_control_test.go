package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/wire"
)

func controlAttacks() []attack {
	return []attack{
		{"C01", acksBeyond},
		{"C02", acksBackwards},
		{"C04", resumeOfNothing},
		{"C05", resumeAfterIdle},
		{"C06", positionsOfClient},
		{"C07", malformedControl},
		{"C08", everyTypeInEveryState},
		{"C09", dataLikeControl},
		{"C12", positionsNearTheWrap},
		{"C13", ackFlood},
		{"C14", positionsBeyond},
		{"C15", framesBeforeTheAnswer},
		{"C16", controlInPieces},
	}
}

// beatOf is a HEARTBEAT or an answer with a payload of this number.
func beatOf(t wire.Type, seq, sent, ack uint32) []byte {
	b := wire.Beat{Sent: sent, Ack: ack}
	heartbeat.AppendPayload(b.Payload[:0], heartbeat.Payload{Seq: seq, TimeMillis: 1})
	return wire.AppendBeat(nil, t, b)
}

// violates wants a message to end the connection with 4400 and leave the
// session: what the app said and the client did not take comes again.
func violates(t *testing.T, sc *scene, msg []byte) {
	t.Helper()
	p := sc.resilient("/attacked")
	p.say("kept")
	if got := p.hear(); got != "kept" {
		t.Fatalf("heard %q", got)
	}
	p.control(msg)
	p.wantClose(wire.CodeViolation)
	q, how := sc.resume("/attacked", p.welcome.Token, 0, 2)
	if how != "resumed" {
		t.Fatalf("% x: the session is %s", msg[:min(len(msg), 16)], how)
	}
	if got := q.hear(); got != "kept" {
		t.Errorf("% x: replayed was %q", msg[:min(len(msg), 16)], got)
	}
	q.conn.Close()
	if m, _, _ := sc.app.call("/attacked").heardSoFar(); len(m) != 1 {
		t.Errorf("% x: the app got %q", msg[:min(len(msg), 16)], m)
	}
}

func acksBeyond(t *testing.T) {
	sc := newScene(t, nil)
	for _, seq := range []uint32{2, 3, 1 << 30, 1<<31 - 1} {
		violates(t, sc, wire.AppendAck(nil, seq))
		violates(t, sc, beatOf(wire.Heartbeat, 1, 1, seq))
		violates(t, sc, beatOf(wire.HeartbeatAck, 1, 1, seq))
	}
	violates(t, sc, append(wire.AppendAck(nil, 0), 5, 0, 0, 0)) // 64 bits
	violates(t, sc, append([]byte(wire.Magic), 2, '"', '5', '"'))
}

// acksBackwards: one that repeats, goes back or lies a half circle away is
// ignored.
func acksBackwards(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/attacked")
	for range 5 {
		p.echo("say it")
	}
	for _, seq := range []uint32{5, 4, 1, 0, 5, 5, 1<<32 - 1, 1<<31 + 10} {
		p.control(wire.AppendAck(nil, seq))
	}
	p.echo("and go on")
	p.wantHeartbeatAnswer(1)
	p.conn.Close()
}

// resumeOfNothing is socket.io#5538: nothing was ever said.
func resumeOfNothing(t *testing.T) {
	sc := newScene(t, nil)
	for _, next := range []uint32{0, 1} {
		p := sc.resilient("/nothing")
		p.conn.Close()
		for range 3 {
			q, how := sc.resume("/nothing", p.welcome.Token, 0, next)
			if how != "resumed" || q.welcome.InboundAck != 0 || q.welcome.NextOutbound != 1 {
				t.Fatalf("%s, ack %d, next %d", how, q.welcome.InboundAck, q.welcome.NextOutbound)
			}
			q.conn.Close()
			p = q
		}
		q, _ := sc.resume("/nothing", p.welcome.Token, 0, next)
		q.echo("the first word")
		q.conn.Close()
	}
}

// resumeAfterIdle is socket.io#5282: all was acknowledged, and then there was
// nothing but heartbeats.
func resumeAfterIdle(t *testing.T) {
	sc := newScene(t, quick)
	p := sc.resilient("/idle")
	p.echo("a word")
	p.control(wire.AppendAck(nil, 1))
	p.listen()
	time.Sleep(time.Second) // some heartbeats, by the clock of the sidecar
	p.conn.Close()
	eventually(t, "nothing is held", func() bool { return sc.srv.Stats().WindowBytes == 0 })
	q, how := p.back()
	if how != "resumed" {
		t.Fatal(how)
	}
	q.echo("another")
	q.conn.Close()
}

// positionsOfClient: what came before is dropped, and a gap is a reset; what
// is far ahead is not kept for later.
func positionsOfClient(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/positions")
	for i := range 3 {
		p.echo(fmt.Sprint(i))
	}
	p.conn.Close()
	for _, next := range []uint32{5, 6, 1000, 1 << 31} {
		if _, how := sc.resume("/positions", p.welcome.Token, 3, next); how != "reset lost" {
			t.Errorf("next %d of 3 received: %s", next, how)
		}
	}
	q, how := sc.resume("/positions", p.welcome.Token, 3, 2)
	if how != "resumed" {
		t.Fatal(how)
	}
	q.sent, q.got = 1, 3
	q.say("1")
	q.say("2")
	q.echo("3")
	if m, _, _ := sc.app.call("/positions").heardSoFar(); strings.Join(m, "") != "0123" {
		t.Errorf("the app got %q", m)
	}
	q.control(beatOf(wire.Heartbeat, 9, 5, 4)) // one more than it sent
	q.wantClose(wire.CodeViolation)
}

func malformedControl(t *testing.T) {
	sc := newScene(t, nil)
	magic := wire.Magic
	for _, msg := range []string{
		magic, magic + "\x08", magic + "\x7f", magic + "\xff", magic + "\xff\xff\xff",
		magic + "\x02", magic + "\x02\x00\x00\x00", magic + "\x02\x00\x00\x00\x00\x00",
		magic + "\x03", magic + "\x03" + strings.Repeat("\x00", 20), magic + "\x03" + strings.Repeat("\x00", 22),
		magic + "\x04" + strings.Repeat("\x00", 13),
		magic + "\x06", magic + "\x06\x03", magic + "\x06\x03\xec", magic + "\x06\x03\xf7", magic + "\x06\xff\xff",
		magic + "\x06\x03\xe8" + strings.Repeat("a", 124), magic + "\x06\x03\xe8\xff\xfe",
		magic + "\x00", magic + "\x00abcdef", magic + "\x00\xffWS",
		magic + "\x02" + strings.Repeat("{", 1<<20-5), magic + "\x06" + strings.Repeat("a", 3000),
	} {
		violates(t, sc, []byte(msg))
	}
}

// Of every type in every state: it is taken, it ends the connection with
// 4400, or it ends the session.
const (
	taken    = "taken"
	violated = "4400"
	over     = "over"
)

func everyTypeInEveryState(t *testing.T) {
	sc := newScene(t, nil)
	for state, reach := range statesOfSession() {
		for message, msg := range messagesOfEveryType() {
			t.Run(state+" "+message, func(t *testing.T) {
				p := reach(t, sc)
				p.t = t
				p.control(msg)
				switch whatFollows(state, message) {
				case violated:
					p.wantClose(wire.CodeViolation)
				case over:
					p.wantClose(4321)
				default:
					if message == "ESCAPED" {
						p.sent = 1
					}
					p.wantHeartbeatAnswer(2)
				}
				p.conn.Close()
			})
		}
	}
}

func statesOfSession() map[string]func(*testing.T, *scene) *testClient {
	return map[string]func(*testing.T, *scene) *testClient{
		"fresh":         func(_ *testing.T, sc *scene) *testClient { return sc.resilient("/mute") },
		"unread":        func(_ *testing.T, sc *scene) *testClient { return sc.open("/mute", "wsr, wsr.v1") },
		"resumed":       resumedPeer,
		"app closed":    appClosedPeer,
		"client closed": clientClosedPeer,
	}
}

func messagesOfEveryType() map[string][]byte {
	return map[string][]byte{
		"ACK":           wire.AppendAck(nil, 0),
		"HEARTBEAT":     beatOf(wire.Heartbeat, 1, 0, 0),
		"HEARTBEAT_ACK": beatOf(wire.HeartbeatAck, 1, 0, 0),
		"ESCAPED":       append(wire.AppendEscape(nil), wire.Magic...),
		"CLOSE":         wire.AppendClose(nil, 1000, ""),
		"WELCOME":       wire.AppendWelcome(nil, &wire.WelcomeMessage{Epoch: 1, NextOutbound: 1, Token: "a"}),
		"GOAWAY":        wire.AppendGoAway(nil, wire.GoAwayDraining, 1),
		"RESET":         wire.AppendReset(nil, wire.ResetUnknown),
		"type 08":       []byte(wire.Magic + "\x08"),
	}
}

func whatFollows(state, message string) string {
	switch message {
	case "WELCOME", "GOAWAY", "RESET", "type 08":
		return violated
	case "ESCAPED":
		if state == "client closed" {
			return violated // data behind CLOSE
		}
	case "CLOSE":
		if state == "app closed" {
			return over
		}
	}
	return taken
}

func resumedPeer(t *testing.T, sc *scene) *testClient {
	p := sc.resilient("/mute")
	p.conn.Close()
	q, how := p.back()
	if how != "resumed" {
		t.Fatal(how)
	}
	return q
}

// appClosedPeer has heard CLOSE and did not answer yet.
func appClosedPeer(t *testing.T, sc *scene) *testClient {
	p := sc.resilient("/says-goodbye")
	sc.app.call("/says-goodbye").speak(frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpClose}, []byte("\x10\xe1done")))
	wantSessionClose(t, p, 4321)
	return p
}

// clientClosedPeer has said CLOSE, which the app does not answer.
func clientClosedPeer(_ *testing.T, sc *scene) *testClient {
	p := sc.resilient("/mute")
	p.control(wire.AppendClose(nil, 1000, ""))
	return p
}

// dataLikeControl: messages of the app and of the client's application that
// look like ours arrive byte for byte.
func dataLikeControl(t *testing.T) {
	sc := newScene(t, nil)
	lookalikes := []string{wire.Magic, wire.Magic + "\x00", wire.Magic + "\x07\x01", string(wire.AppendAck(nil, 99)), wire.Magic + "\x00" + wire.Magic + "\x06\x03\xe8"}
	plain := sc.plain("/echo")
	binary := sc.resilient("/echo")
	squeezed := sc.resilient("/echo?deflate", offersDeflate)
	for i, s := range lookalikes {
		plain.write(masked(ws.OpBinary, []byte(s)))
		if got := plain.hear(); got != s {
			t.Errorf("%q came back to a plain client as %q", s, got)
		}
		escaped := string(wire.AppendEscape(nil)) + s
		binary.write(masked(ws.OpBinary, []byte(escaped)))
		squeezed.write(maskedDeflated(deflated([]byte(escaped))))
		for _, p := range []*testClient{binary, squeezed} {
			p.sent++
			if got := p.hear(); got != escaped {
				t.Errorf("%q came back as %q", escaped, got)
			}
			if m, _, _ := sc.app.call("/echo").heardSoFar(); p == squeezed && (len(m) != i+1 || m[i] != s) {
				t.Errorf("the app got %q", m)
			}
			p.wantHeartbeatAnswer(uint32(i + 1))
		}
		// What the app compressed arrives escaped, and readable.
		sc.app.call("/echo").speak(frame.Append(nil, ws.Header{Fin: true, Rsv: frame.RSV1, OpCode: ws.OpBinary}, deflated([]byte(s))))
		if got := squeezed.hear(); got != escaped {
			t.Errorf("the app's %q arrived as %q", s, got)
		}
	}
	// Text is never ours, whatever its bytes.
	binary.write(masked(ws.OpText, wire.AppendAck(nil, 99)))
	if got := binary.hear(); got != string(wire.AppendAck(nil, 99)) {
		t.Errorf("text came back as %q", got)
	}
	for _, p := range []*testClient{plain, binary, squeezed} {
		p.conn.Close()
	}
}

// positionsNearTheWrap: seqs lie on a circle. Machines that start near its
// seam are package session's and seqwindow's tests.
func positionsNearTheWrap(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/wrap")
	p.echo("a word")
	for _, at := range [][2]uint32{{1<<32 - 1, 2}, {1<<31 + 1, 2}, {1 << 31, 2}, {1, 1 << 31}, {1, 1<<31 + 1}} {
		if _, how := sc.resume("/wrap", p.welcome.Token, at[0], at[1]); how != "reset lost" {
			t.Errorf("received %d, next %d: %s", at[0], at[1], how)
		}
	}
	for _, position := range []string{"4294967296", "-1", "01", "9007199254740993", "1e3"} {
		sc.open("/wrap", "wsr.v1, wsr.resume."+p.welcome.Token+"."+position+".1").wantStatus(http.StatusBadRequest)
	}
	p.echo("nothing was disturbed")
	p.conn.Close()
}

// ackFlood: acks and replays in any number hold nothing.
func ackFlood(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/says")
	before := heapInUse()
	flood := bytes.Repeat(masked(ws.OpBinary, wire.AppendAck(nil, 0)), 1000)
	for range 200 {
		p.write(flood)
	}
	p.wantHeartbeatAnswer(1)
	msg := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 16<<10))
	sc.app.call("/says").speak(bytes.Repeat(msg, 32))
	eventually(t, "the window fills", func() bool { return sc.srv.Stats().WindowBytes > 32<<14 })
	for range 50 {
		q, how := sc.resume("/says", p.welcome.Token, 0, 1)
		if how != "resumed" {
			t.Fatal(how)
		}
		q.hear()
		q.conn.Close()
		p = q
	}
	if st := sc.srv.Stats(); st.WindowBytes > 33<<14 {
		t.Errorf("windows hold %d bytes", st.WindowBytes)
	}
	wantHeap(t, before, 2*most)
}

// positionsBeyond is the shape of CVE-2016-0777: a peer that claims more than
// there was gets nothing.
func positionsBeyond(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/beyond")
	for range 4 {
		p.echo("a word")
	}
	p.control(wire.AppendAck(nil, 3))
	p.wantHeartbeatAnswer(1)
	p.conn.Close()
	for _, received := range []uint32{0, 2, 5, 100, 1<<31 - 1, 1<<32 - 1} {
		if _, how := sc.resume("/beyond", p.welcome.Token, received, 5); how != "reset lost" {
			t.Errorf("received %d of 3 to 4: %s", received, how)
		}
	}
	q, how := sc.resume("/beyond", p.welcome.Token, 4, 5)
	if how != "resumed" {
		t.Fatal(how)
	}
	q.sent = 4
	q.echo("no byte of before")
	q.conn.Close()
}

// framesBeforeTheAnswer: bytes with the request are refused, those of a
// session that is no more are dropped, and none is counted or forwarded.
func framesBeforeTheAnswer(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/early")
	p.echo("mine")
	head := strings.TrimSuffix(strings.Replace(proxytest.UpgradeHead, "/chat?x=1", "/early", 1), "\r\n") + "\r\nSec-WebSocket-Protocol: wsr.v1, wsr.resume." + p.welcome.Token + ".1.2\r\n\r\n"
	early := string(masked(ws.OpText, []byte("injected")))
	q := sc.openWith("/early", head+early)
	q.wantStatus(http.StatusBadRequest)
	q.conn.Close()

	r := sc.open("/early", "wsr.v1, wsr.resume.AAAA.1.2")
	r.write([]byte(early))
	if how := r.verdict(); how != "reset token" {
		t.Error(how)
	}
	p.echo("still mine")
	p.wantHeartbeatAnswer(1)
	p.conn.Close()
	if m, _, _ := sc.app.call("/early").heardSoFar(); strings.Join(m, " ") != "mine still mine" {
		t.Errorf("the app got %q", m)
	}
}

// controlInPieces: what a client's library makes of a control message is not
// the page's choice. It is read, and not counted.
func controlInPieces(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/pieces?deflate", offersDeflate)
	p.echo("a word")
	ack := wire.AppendAck(nil, 1)
	p.write(frame.Append(nil, ws.Header{OpCode: ws.OpBinary, Masked: true, Mask: [4]byte{1, 1, 1, 1}}, ack[:3]))
	p.write(frame.Append(nil, ws.Header{Masked: true, Mask: [4]byte{2, 3, 4, 5}}, ack[3:6]))
	p.write(frame.Append(nil, ws.Header{Fin: true, Masked: true, Mask: [4]byte{6, 7, 8, 9}}, ack[6:]))
	eventually(t, "the ack was read", func() bool { return sc.srv.Stats().WindowBytes == 0 })
	p.write(maskedDeflated(deflated(beatOf(wire.Heartbeat, 3, 1, 1))))
	p.wantHeartbeatAnswer(4)
	p.echo("in step")
	p.wantHeartbeatAnswer(5)
	p.conn.Close()
	if m, _, _ := sc.app.call("/pieces").heardSoFar(); strings.Join(m, " ") != "a word in step" {
		t.Errorf("the app got %q", m)
	}
}
