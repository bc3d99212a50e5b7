package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/bench/fake"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// A peer that comes back says where it was, and goes on counting from there.
func TestClientComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		f := &fake.Sidecar{Conn: server, Resilient: true, BeatEvery: 5}
		go func() {
			defer server.Close()
			if err := f.Accept(); err != nil {
				t.Error(err)
				return
			}
			_ = f.Serve()
		}()
		p := &Client{resilient: true, Sent: 7, Received: 9, Welcome: &wire.WelcomeMessage{Token: "t"}}
		if err := p.resumeOn(client, wire.StatusResumed); err != nil {
			t.Fatal(err)
		}
		if r := f.Resume; r == nil || r.Received != 9 || r.Next != 8 || r.Token != "t" {
			t.Errorf("asked for %+v", r)
		}
		trips(t, p, 12, 0) // with heartbeats that count both directions
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestComingBackIsJudged(t *testing.T) {
	session := wire.SessionID{1}
	welcome := func(change func(*wire.WelcomeMessage)) []byte {
		w := wire.WelcomeMessage{Status: wire.StatusResumed, Session: session, NextOutbound: 10, Token: "t2"}
		change(&w)
		return wire.AppendWelcome(nil, &w)
	}
	for _, c := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"as wanted", welcome(func(*wire.WelcomeMessage) {}), ""},
		{"reset", wire.AppendReset(nil, wire.ResetTryAgain), "RESET 5"},
		{"adopted", welcome(func(w *wire.WelcomeMessage) { w.Status, w.Reason = wire.StatusAdopted, wire.AdoptOwnerLost }), "WELCOME adopted"},
		{"another session", welcome(func(w *wire.WelcomeMessage) { w.Session[0] = 2 }), "session 02"},
		{"a gap", welcome(func(w *wire.WelcomeMessage) { w.NextOutbound = 11 }), "next outbound 11"},
	} {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
				return
			}
			answer := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: wsr.v1\r\nSec-WebSocket-Accept: " + acceptKey(loadKey) + "\r\n\r\n"
			server.Write(frame.Append([]byte(answer), ws.Header{Fin: true, OpCode: ws.OpBinary}, c.msg))
			io.Copy(io.Discard, server) // the peer answers a WELCOME that fits
		}()
		p := &Client{resilient: true, Received: 9, Welcome: &wire.WelcomeMessage{Token: "t", Session: session}}
		err := p.resumeOn(client, wire.StatusResumed)
		if c.want == "" && (err != nil || p.Welcome.Token != "t2") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		client.Close()
	}
}
