package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// A witness is an app that keeps all that reaches it. What it does with a
// connection depends on the path: it echoes messages, unless
//
//	/flood…  it sends 16 KiB messages as fast as they are taken
//	/deaf…   it reads nothing
//	/mute…   it reads, and answers no close frame
//	/says…   it sends what Call.speak is told, and echoes nothing
//
// With "deflate" in the query it compresses by RFC 7692 without context
// takeover, as far as the test makes the bytes.
type witness struct {
	url    string
	tokens tokenBook
	done   chan struct{} // closed when the test ends

	mu    sync.Mutex
	calls []*call
}

// A call is one connection to the app.
type call struct {
	path string
	head http.Header
	conn net.Conn

	mu       sync.Mutex
	raw      []byte // the first mebibyte behind the request
	messages []string
	closed   []byte // payload of the close frame, nil if none came
	ended    bool
	wrote    int // by /flood
}

// keepRaw bounds what a call keeps.
const keepRaw = 1 << 20

func newWitness(t *testing.T) *witness {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	t.Cleanup(func() {
		close(w.done)
		l.Close()
		for _, c := range w.all() {
			c.conn.Close()
		}
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(conn)
		}
	}()
	return w
}

func (w *witness) all() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// call returns the newest connection with a path, or nil.
func (w *witness) call(path string) *call {
	for _, c := range slices.Backward(w.all()) {
		if c.path == path {
			return c
		}
	}
	return nil
}

// dialled is how many connections with a path there were.
func (w *witness) dialled(path string) (n int) {
	for _, c := range w.all() {
		if c.path == path {
			n++
		}
	}
	return n
}

func (w *witness) serve(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	r, err := http.ReadRequest(br)
	if err != nil {
		return
	}
	c := &call{path: r.URL.Path, head: r.Header, conn: conn}
	w.mu.Lock()
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	_, _ = io.WriteString(conn, witnessAnswer(r))
	switch {
	case strings.HasPrefix(c.path, "/deaf"):
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		<-w.done
		return
	case strings.HasPrefix(c.path, "/flood"):
		go c.flood()
	}
	c.listen(br)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

func witnessAnswer(r *http.Request) string {
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		upgrade.AcceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	if first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ","); first != "" {
		answer += "Sec-WebSocket-Protocol: " + first + "\r\n"
	}
	if strings.Contains(r.URL.RawQuery, "deflate") {
		answer += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	return answer + "\r\n"
}

func (c *call) flood() {
	msg := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, bytes.Repeat([]byte{'f'}, 16<<10))
	for {
		n, err := c.conn.Write(msg)
		c.mu.Lock()
		c.wrote += n
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// listen reads until the end.
func (c *call) listen(br *bufio.Reader) {
	in := frame.Messages{Rules: frame.Rules{Masked: true, Rsv: frame.RSV1}, Max: 1 << 26, Buffers: new(frame.Buffers)}
	buf, broken := []byte(nil), false
	chunk := make([]byte, 64<<10)
	for {
		n, err := br.Read(chunk)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.raw = append(c.raw, chunk[:min(n, keepRaw-len(c.raw))]...)
		c.mu.Unlock()
		if broken {
			continue // it only counts the bytes now
		}
		buf = append(buf, chunk[:n]...)
		for {
			m, n, ok, err := in.Next(buf)
			if broken = err != nil; ok {
				c.heard(&m)
			}
			buf = buf[n:]
			if !ok {
				break
			}
		}
	}
}

// heard notes a message and gives the answer of the path.
func (c *call) heard(m *frame.Message) {
	p := bytes.Clone(m.Payload())
	frame.Mask(p, m.Mask, 0)
	c.mu.Lock()
	switch m.OpCode {
	case ws.OpClose:
		c.closed = append([]byte{}, p...)
	case ws.OpText, ws.OpBinary:
		c.messages = append(c.messages, string(p))
	}
	c.mu.Unlock()
	h := ws.Header{Fin: true, OpCode: m.OpCode, Rsv: m.Rsv}
	switch {
	case m.OpCode == ws.OpPong, strings.HasPrefix(c.path, "/says"), strings.HasPrefix(c.path, "/mute"):
		return
	case m.OpCode == ws.OpPing:
		h.OpCode = ws.OpPong
	case string(p) == "bye":
		h.OpCode, p = ws.OpClose, []byte("\x10\xe1as you wish")
	}
	c.speak(frame.Append(nil, h, p))
	if h.OpCode == ws.OpClose && m.OpCode == ws.OpClose {
		c.conn.Close()
	}
}

// speak sends bytes.
func (c *call) speak(b []byte) { _, _ = c.conn.Write(b) }

func (c *call) heardSoFar() (messages []string, raw []byte, closed []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.messages), bytes.Clone(c.raw), c.closed
}

// tokenBook is every token that a client of the test was given.
type tokenBook struct {
	mu   sync.Mutex
	list []string
}

func (b *tokenBook) add(token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, token)
}

func (b *tokenBook) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}
