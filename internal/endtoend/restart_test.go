package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
)

// script is an app that does what the test says: it hands out its sockets and
// what they receive.
type script struct {
	sockets chan *websocket.Conn
	mu      sync.Mutex
	heard   []string // on all sockets, "socket:message"
	n       int
}

func newScript() *script { return &script{sockets: make(chan *websocket.Conn, 8)} }

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	s.mu.Lock()
	s.n++
	socket := s.n
	s.mu.Unlock()
	s.sockets <- c
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		s.mu.Lock()
		s.heard = append(s.heard, fmt.Sprintf("%d:%s", socket, p))
		s.mu.Unlock()
	}
}

func (s *script) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.heard, " ")
}

func say(t *testing.T, c *websocket.Conn, p string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(p)); err != nil {
		t.Fatal(err)
	}
}

func mustRead(ctx context.Context, t *testing.T, c *client.Conn, want string) {
	t.Helper()
	_, p, err := c.Read(ctx)
	if err != nil || string(p) != want {
		t.Fatalf("read %q, %v; want %q", p, err, want)
	}
}

// restart plays the same scenario with a crash and with a clean stop: a client
// leaves messages unread, the sidecar goes and comes back with the same data
// directory, and adopts the session.
func restart(t *testing.T, stop func(*process), reason string) {
	app := newScript()
	backend := httptest.NewServer(app)
	defer backend.Close()
	p := newProcess(t, backend.URL, t.TempDir(), "WSR_DRAIN_SECONDS=3")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, _, err := client.Dial(ctx, "ws://"+p.Addr+"/", &client.Options{Adopt: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	first := <-app.sockets
	if err := c.WriteAcked(ctx, client.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	say(t, first, "one")
	mustRead(ctx, t, c, "one")
	// The client does not read these yet, so they are unacknowledged, and
	// after WSR_PERSIST_AFTER in the journal.
	say(t, first, "two")
	say(t, first, "three")
	p.wantJournaled(2)
	stop(p)
	p.start()
	second := nextSocket(ctx, t, app, c)
	say(t, second, "four")
	for _, want := range []string{"two", "three", "four"} {
		mustRead(ctx, t, c, want)
	}
	if err := c.WriteAcked(ctx, client.MessageText, []byte("again")); err != nil {
		t.Fatal(err)
	}
	// Acknowledged is what the app's socket took; the app reads it in its turn.
	soon(t, "the app hears everything once", func() bool { return app.all() == "1:hello 2:again" })
	for e := range c.Events() {
		if e.Kind == client.EventAdopted {
			if e.Reason != reason {
				t.Fatalf("adopted because of %q, want %q", e.Reason, reason)
			}
			return
		}
	}
}

// nextSocket waits for the app's next socket. Without one, it says what the
// client has heard instead.
func nextSocket(ctx context.Context, t *testing.T, app *script, c *client.Conn) *websocket.Conn {
	t.Helper()
	select {
	case s := <-app.sockets:
		return s
	case <-ctx.Done():
	}
	var heard []string
	for len(c.Events()) > 0 {
		heard = append(heard, fmt.Sprint(<-c.Events()))
	}
	t.Fatalf("the app got no socket; the client is %v and heard %q", c.State(), heard)
	return nil
}

func TestAdoptAfterCrash(t *testing.T) { restart(t, (*process).Kill, "owner_lost") }

func TestAdoptAfterRestart(t *testing.T) { restart(t, (*process).terminate, "drained") }

// A client whose code cannot restore its context gets what is left, and then
// 1012: no app socket is dialled for it (WSR_ADOPT=auto).
func TestUnawareClientAfterCrash(t *testing.T) {
	app := newScript()
	backend := httptest.NewServer(app)
	defer backend.Close()
	p := newProcess(t, backend.URL, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, _, err := client.Dial(ctx, "ws://"+p.Addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	say(t, <-app.sockets, "last words")
	p.wantJournaled(1)
	p.Kill()
	p.start()
	mustRead(ctx, t, c, "last words")
	if _, _, err := c.Read(ctx); client.CloseStatus(err) != 1012 {
		t.Fatalf("read after the last words: %v, want 1012", err)
	}
	if len(app.sockets) != 0 {
		t.Fatal("an app socket was dialled")
	}
}
