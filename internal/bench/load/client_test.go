package load

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/bench/fake"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// withFake runs a script with a load client against a fake over a pipe, in
// virtual time, and returns when both are done.
func withFake(t *testing.T, f *fake.Sidecar, script func(t *testing.T, p *Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		f.Conn = server
		over := make(chan error, 1)
		resilient := f.Resilient
		go func() {
			if err := f.Accept(); err != nil {
				over <- err
				return
			}
			over <- f.Serve()
		}()
		p, err := upgrade(client, wire.Offer{Resilient: resilient})
		if err != nil {
			t.Fatal(err)
		}
		script(t, p)
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-over; err != nil {
			t.Errorf("fake: %v", err)
		}
		server.Close()
	})
}

func trips(t *testing.T, p *Client, n int, every time.Duration) {
	t.Helper()
	for i := range n {
		if err := p.RoundTrip(bytes.Repeat([]byte{byte(i)}, 64)); err != nil {
			t.Fatalf("round trip %d: %v", i+1, err)
		}
		time.Sleep(every) // of the bubble
	}
}

func TestClientAcksByCount(t *testing.T) {
	f := &fake.Sidecar{Resilient: true}
	withFake(t, f, func(t *testing.T, p *Client) { trips(t, p, 100, 0) })
	// With the messages that follow 24, 48, 72 and 96, and the rest before CLOSE.
	if len(f.Acks) != 5 || f.Acks[0].Seq != 24 || f.Acks[3].Seq != 96 || f.Acks[4].Seq != 100 {
		t.Errorf("acks %v", f.Acks)
	}
}

func TestClientAcksByTime(t *testing.T) {
	f := &fake.Sidecar{Resilient: true}
	withFake(t, f, func(t *testing.T, p *Client) { trips(t, p, 40, 7*time.Millisecond) })
	for i, a := range f.Acks[:len(f.Acks)-1] {
		// Messages come at 0, 7, 14, 21 ms: with the fourth goes what is due soon,
		// and with every third from then on.
		if want := uint32(3 * (i + 1)); a.Seq != want {
			t.Errorf("ack %d of message %d, want %d", i, a.Seq, want)
		}
	}
	if len(f.Acks) != 14 {
		t.Errorf("%d acks, want 13 and that before CLOSE", len(f.Acks))
	}
}

func TestClientAnswersHeartbeats(t *testing.T) {
	f := &fake.Sidecar{Resilient: true, BeatEvery: 10}
	withFake(t, f, func(t *testing.T, p *Client) { trips(t, p, 100, 0) })
	if f.Beats != 10 || f.Pongs != 10 {
		t.Errorf("%d heartbeats and %d pings answered, want 10 each", f.Beats, f.Pongs)
	}
}

func TestPlainPeer(t *testing.T) {
	f := &fake.Sidecar{BeatEvery: 3}
	withFake(t, f, func(t *testing.T, p *Client) { trips(t, p, 30, time.Second) })
	if f.Received != 30 || f.Pongs != 10 || !f.Closed {
		t.Errorf("%d messages, %d pongs, closed %v", f.Received, f.Pongs, f.Closed)
	}
}

// A plain client's data may look like our control messages.
func TestPlainPeerDoesNotInterpret(t *testing.T) {
	withFake(t, &fake.Sidecar{}, func(t *testing.T, p *Client) {
		if err := p.RoundTrip(wire.AppendAck(nil, 9)); err != nil {
			t.Error(err)
		}
	})
}

func TestClientLargeMessage(t *testing.T) {
	withFake(t, &fake.Sidecar{Resilient: true}, func(t *testing.T, p *Client) {
		for _, n := range []int{0, 1, 125, 126, readBytes, 1 << 16, 300_000} {
			if err := p.RoundTrip(bytes.Repeat([]byte("x"), n)); err != nil {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	})
}

// What the sidecar must not do ends the measurement and is not counted.
func TestClientNoticesFaults(t *testing.T) {
	control := func(msg []byte) []byte {
		return frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, msg)
	}
	for _, c := range []struct {
		name string
		send []byte
		want string
	}{
		{"ack of what was not sent", control(wire.AppendAck(nil, 2)), "ACK 2 of 1"},
		{"heartbeat miscounts", control(wire.AppendBeat(nil, wire.Heartbeat, wire.Beat{Sent: 5})), "counts 5 messages, 0 came"},
		{"reset", control(wire.AppendReset(nil, wire.ResetLost)), "RESET in the middle"},
		{"close", control(wire.AppendClose(nil, 1012, "app gone")), "1012 app gone"},
		{"wrong echo", control([]byte("other")), "echo of message 1"},
		{"close frame", frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpClose}, []byte{0x11, 0x30}), "peer closed: 11 30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			go func() {
				defer server.Close()
				server.Write(control(wire.AppendWelcome(nil, &wire.WelcomeMessage{NextOutbound: 1, Token: "t"})))
				server.Read(make([]byte, 1024))
				server.Write(c.send)
			}()
			p, err := newClient(client, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.RoundTrip([]byte("hello")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestUpgradeIsJudged(t *testing.T) {
	const good = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	for _, c := range []struct {
		answer    string
		resilient bool
		want      string
	}{
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false, "503"},
		{"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, "accept key"},
		{good + "\r\n", true, `subprotocol ""`},
		{good + "Sec-WebSocket-Protocol: wsr.v1\r\n\r\n", false, `subprotocol "wsr.v1"`},
		{good + "\r\n", false, ""},
	} {
		client, server := net.Pipe()
		go func() {
			server.Read(make([]byte, 4096))
			server.Write([]byte(c.answer))
			server.Close()
		}()
		_, err := upgrade(client, wire.Offer{Resilient: c.resilient})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: got %v, want %q", c.answer, err, c.want)
		}
		client.Close()
	}
}
