// Package passthrough forwards to the app what no session is made of: HTTP/1.1
// and the handshakes of plain WebSockets, whose bytes pass as they came, and
// HTTP/2.
//
// HTTP/1 is forwarded by code of our own (client.go, answer.go), on package
// http1. net/http and httputil would write names and targets anew, replay
// requests, hold answers back until bodies have come, and let clients share
// connections to the app. They serve HTTP/2 (http2.go), where none of that is
// left to us, and the handshakes of sessions (Config.Elsewhere).
package passthrough

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// Defaults of Config.
const (
	// defaultHead ends a client that drips its request head (H23).
	defaultHead = 10 * time.Second

	// defaultIdle is above the 600 s that the balancer with the most patience
	// keeps its connections (Google's), so that the balancer is the one to close.
	// The app's own patience, which is mostly shorter, holds as without us.
	defaultIdle = 620 * time.Second

	// defaultHandshake is what common proxies give an app for an answer.
	defaultHandshake = 60 * time.Second
)

// Config says what a Handler does. App and Log must be set.
type Config struct {
	App *upgrade.App
	Log *slog.Logger

	// Scheme is that of clients' connections to us, http or https.
	Scheme string

	// How long a client may take for a request head, how long its connection may
	// be idle between requests, and how long the app may take to be connected
	// and to answer a handshake. Zero: 10s, 620s, 60s.
	HeadTimeout, IdleTimeout, HandshakeTimeout time.Duration

	// Upgrades lists, in small letters, the protocols beside WebSocket that an
	// app may switch to. What follows is not looked at.
	Upgrades []string

	// Pages changes the pages that get the page client. nil: none.
	Pages *page.Policy

	// Elsewhere reports whether net/http serves this connection from now on:
	// requests of other sidecars, and WebSocket handshakes of clients that want a
	// session. nil: none.
	Elsewhere func(r *http1.Request, websocket bool) bool
	// Admit says why a plain WebSocket is not taken now, with header lines for
	// that answer, or nil. nil: all are taken.
	Admit func(from netip.Addr) (*upgrade.Refusal, []string)
	// From is at which address the client of a plain WebSocket is, whose connection
	// comes from peer. nil: at none.
	From func(r *http1.Request, peer net.Addr) netip.Addr
	// Subject is who reports of a plain WebSocket will be about. nil: nobody.
	Subject func(r *http1.Request, from netip.Addr) *event.Subject
	// Joined takes over a plain WebSocket whose handshake is done.
	Joined func(Switched)
	// Handshake hears of the beginning and the end of each plain handshake.
	Handshake func(begins bool)
	// Dialled and Refused hear of the app's answers to plain handshakes, and of
	// answers of ours.
	Dialled func(event.AppAnswer, time.Duration)
	Refused func(event.Refusal)
	// Draining reports whether clients are to be told that they should come back
	// elsewhere.
	Draining func() bool
}

// Switched are two connections that have left HTTP.
type Switched struct {
	// Answer tells the client. It comes before anything else is done with the
	// connections; after an error they are to be closed.
	Answer      func() error
	Client, App net.Conn
	Early       []byte // of the app, behind its 101
	Began       time.Time
	Subject     *event.Subject // of a WebSocket
	From        netip.Addr     // of a WebSocket
}

// A Handler forwards what comes on a Listener. It is safe for concurrent use.
type Handler struct {
	cfg   Config
	proto string // for X-Forwarded-Proto, empty: not known
	http2 http2Proxy
	ask   *http.Transport

	life context.Context // ends with Close
	die  context.CancelFunc

	mu       sync.Mutex
	clients  map[*client]struct{}
	changed  chan struct{} // closed when one is gone; nil: nobody waits
	stopping bool
	tunnels  map[net.Conn]struct{}
}

// New returns a Handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, proto: cfg.App.ForwardedProto(cfg.Scheme), clients: make(map[*client]struct{}), tunnels: make(map[net.Conn]struct{})}
	setDefault(&h.cfg.HeadTimeout, defaultHead)
	setDefault(&h.cfg.IdleTimeout, defaultIdle)
	setDefault(&h.cfg.HandshakeTimeout, defaultHandshake)
	h.life, h.die = context.WithCancel(context.Background())
	h.http2.init(h)
	h.ask = newRoundTripper(h.dialApp, (*http.Protocols).SetHTTP1)
	// What an app knows of a connection, an identity for one, is the client's who
	// was asked about, and nobody else's.
	h.ask.MaxIdleConnsPerHost = -1
	return h
}

func setDefault(v *time.Duration, standard time.Duration) {
	if *v == 0 {
		*v = standard
	}
}

// Ask makes a request of our own to the app, on a connection of its own. Nothing
// is followed. r names the app's address in its URL (upgrade.App.Host).
func (h *Handler) Ask(r *http.Request) (*http.Response, error) { return h.ask.RoundTrip(r) }

func (h *Handler) dialApp(ctx context.Context, _, _ string) (net.Conn, error) {
	return h.cfg.App.Connect(ctx)
}

// A listener accepts what is for net/http.
type listener struct {
	net.Listener
	h      *Handler
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

// Listener forwards the connections of l, and returns a listener for an
// http.Server, which accepts those that are not forwarded: HTTP/2, and what
// Config.Elsewhere names. l may be a TLS listener.
func (h *Handler) Listener(l net.Listener) net.Listener {
	s := &listener{Listener: l, h: h, conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
	go s.run()
	return s
}

func (s *listener) run() {
	for {
		conn, err := s.Listener.Accept()
		if err == nil {
			if c := s.h.newClient(conn); s.h.add(c) {
				c.elsewhere = s
				go c.serve()
				s.h.makeRoom()
			} else {
				conn.Close()
			}
			continue
		}
		// http.Server knows which errors pass, and waits before it asks again.
		select {
		case s.errs <- err:
		case <-s.closed:
			return
		}
	}
}

// Accept implements net.Listener.
func (s *listener) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case err := <-s.errs:
		return nil, err
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *listener) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Listener.Close()
}

// handOn gives a client's connection to net/http.
func (h *Handler) handOn(c *client) {
	h.forget(c)
	conn := httpguard.Resume(c.conn, append([]byte(nil), c.in.held()...))
	select {
	case c.elsewhere.conns <- conn:
	case <-c.elsewhere.closed:
		conn.Close()
	}
}

func (h *Handler) add(c *client) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false
	}
	h.clients[c] = struct{}{}
	return true
}

func (h *Handler) forget(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

func (h *Handler) draining() bool {
	if h.cfg.Draining != nil && h.cfg.Draining() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopping
}

// Shutdown closes connections that are idle, waits for requests that are under
// way, and, when ctx ends, cuts those that are left. The listeners must be closed.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	for {
		busy, changed := h.closeIdle()
		if busy == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closeIdle returns how many are left, and a channel that is closed when there is
// one less.
func (h *Handler) closeIdle() (busy int, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		if c.idle() {
			c.close()
		}
	}
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return len(h.clients), h.changed
}

// Close cuts what is left.
func (h *Handler) Close() {
	h.mu.Lock()
	h.stopping = true
	for c := range h.clients {
		c.close()
	}
	for c := range h.tunnels {
		c.Close()
	}
	h.mu.Unlock()
	h.die()
	h.http2.close()
}

// failed is what a client is told of an app that did not answer.
func (h *Handler) failed(err error) *upgrade.Refusal {
	e := upgrade.Failure(err)
	h.cfg.Log.Warn("request not forwarded", "upstream", h.cfg.App.String(), "status", e.Status, "error", upgrade.Quiet(err))
	return e.Refusal()
}

func (h *Handler) refused(f *upgrade.Refusal) {
	if h.cfg.Refused != nil {
		h.cfg.Refused(f.Label)
	}
}

// isHandshake reports whether r asks for a WebSocket, as upgrade.Requested does.
// Anything else, a POST with an Upgrade header for one, is plain HTTP: there the
// header does not reach the app.
func isHandshake(r *http1.Request) bool {
	return string(r.Method) == http.MethodGet && r.Fields.Has("upgrade", "websocket") && r.Fields.Has("connection", "upgrade")
}

func handshakeKey(r *http1.Request) string {
	for i := range r.Fields {
		if r.Fields[i].Is("sec-websocket-key") {
			return string(r.Fields[i].Value)
		}
	}
	return ""
}

// mayUpgrade reports whether all protocols that r asks for may be switched to.
func (h *Handler) mayUpgrade(r *http1.Request) bool {
	return len(h.cfg.Upgrades) > 0 && r.Fields.Has("connection", "upgrade") && h.offers(r.Fields)
}

// offers reports whether fields name protocols to upgrade to, all of them
// allowed.
func (h *Handler) offers(fields http1.Fields) bool {
	found, allowed := false, true
	for i := range fields {
		if !fields[i].Is("upgrade") {
			continue
		}
		http1.Elements(fields[i].Value, func(e []byte) {
			found = true
			name := strings.ToLower(string(e))
			ok := false
			for _, u := range h.cfg.Upgrades {
				ok = ok || u == name
			}
			allowed = allowed && ok
		})
	}
	return found && allowed
}

// tunnel passes bytes both ways until both ends are done.
func (h *Handler) tunnel(sw Switched) {
	h.mu.Lock()
	h.tunnels[sw.Client], h.tunnels[sw.App] = struct{}{}, struct{}{}
	stopping := h.stopping
	h.mu.Unlock()
	if stopping {
		sw.Client.Close()
		sw.App.Close()
	}
	if sw.Answer() != nil {
		sw.Client.Close()
		sw.App.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		carry(sw.App, sw.Client, nil)
	}()
	carry(sw.Client, sw.App, sw.Early)
	<-done
	sw.Client.Close()
	sw.App.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tunnels, sw.Client)
	delete(h.tunnels, sw.App)
}

// carry copies one direction, and passes its end on.
func carry(to, from net.Conn, early []byte) {
	_, err := to.Write(early)
	if err == nil {
		_, err = io.Copy(to, from) // between TCP sockets the kernel moves the bytes
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		transport.Abort(to)
		transport.Abort(from)
		return
	}
	_ = transport.CloseWrite(to)
}
