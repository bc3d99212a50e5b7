package endtoend

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/wire"
)

// wsrClient speaks wsr.v1 by hand over gorilla/websocket, which compresses
// every message, the control messages too, as browsers do.
type wsrClient struct {
	t     *testing.T
	addr  string
	conn  *websocket.Conn
	token string
	got   uint32
	said  uint32
}

func (c *wsrClient) dial(o wire.Offer) *wire.WelcomeMessage {
	c.t.Helper()
	d := websocket.Dialer{Subprotocols: o.Protocols(), EnableCompression: true}
	conn, resp, err := d.DialContext(c.t.Context(), "ws://"+c.addr+"/", nil)
	if err != nil {
		c.t.Fatal(err, resp)
	}
	if ext := resp.Header.Get("Sec-WebSocket-Extensions"); !strings.Contains(ext, "server_no_context_takeover") || !strings.Contains(ext, "client_no_context_takeover") {
		c.t.Fatalf("extensions %q, want permessage-deflate without context takeover", ext)
	}
	c.conn = conn
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, p, err := conn.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	w, err := wire.ParseWelcome(p)
	if err != nil {
		c.t.Fatal(err)
	}
	c.token = w.Token
	return w
}

// resume comes back with the token and the true position.
func (c *wsrClient) resume() *wire.WelcomeMessage {
	return c.dial(wire.Offer{App: []string{"echo"}, Resilient: true, Resume: &wire.Resume{Token: c.token, Received: c.got, Next: c.said + 1}})
}

func (c *wsrClient) write(p string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.BinaryMessage, []byte(p)); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next data message.
func (c *wsrClient) read() string {
	c.t.Helper()
	for {
		_, p, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		typ, ours := wire.TypeOf(p)
		if !ours {
			c.got++
			return string(p)
		}
		if typ == wire.Escaped {
			orig, err := wire.Unescape(p)
			if err != nil {
				c.t.Fatal(err)
			}
			c.got++
			return string(orig)
		}
	}
}

// Compressed messages are replayed verbatim to a client that compresses too.
func TestCompressedReplay(t *testing.T) {
	eachApp(t, func(t *testing.T, app http.Handler) {
		backend := httptest.NewServer(app)
		defer backend.Close()
		s := newStageAt(t, backend.URL, nil)
		c := &wsrClient{t: t, addr: s.link.Addr()}
		if w := c.dial(wire.Offer{App: []string{"echo"}, Resilient: true}); w.Subprotocol != "echo" {
			t.Fatalf("subprotocol %q", w.Subprotocol)
		}
		for round := range 5 {
			before := c.got
			var want []string
			for i := range 4 {
				want = append(want, fmt.Sprintf("round %d message %d %s", round, i, strings.Repeat("compress me ", 50)))
			}
			want = append(want, wire.Magic+"\x02 looks like ours")
			for _, p := range want {
				if wire.IsMagic([]byte(p)) {
					c.write(string(wire.AppendEscape(nil)) + p)
				} else {
					c.write(p)
				}
				c.said++
			}
			for range want {
				c.read() // so all of them have reached the app
			}
			c.got = before // it forgets that it had them: they are replayed
			c.conn.NetConn().Close()
			if w := c.resume(); w.Status != wire.StatusResumed {
				t.Fatalf("status %v", w.Status)
			}
			for i, p := range want {
				if got := c.read(); got != p {
					t.Fatalf("round %d: message %d is %.60q, want %.60q", round, i, got, p)
				}
			}
			c.write(string(wire.AppendAck(nil, c.got)))
		}
	})
}
