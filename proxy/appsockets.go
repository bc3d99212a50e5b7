package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/redial"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// appSockets is what all sockets of the app show of it. It is safe for
// concurrent use. Whoever holds a driver's lock may call it.
type appSockets struct {
	mu    sync.Mutex
	known redial.Sockets

	probing sync.Mutex // held by the one who probes
}

func (a *appSockets) dialling() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.Dialling(time.Now())
}

func (a *appSockets) dialled() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.Dialled()
}

func (a *appSockets) opened() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.Opened()
}

func (a *appSockets) closed(broke bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known.Closed(time.Now(), broke)
}

func (a *appSockets) evidence(now time.Time, search *redial.Search) redial.Evidence {
	a.mu.Lock()
	defer a.mu.Unlock()
	return search.Evidence(now, &a.known)
}

func (a *appSockets) reached(since time.Time) (ok, tried bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known.Reached(since)
}

// watch returns a dialer that remembers whether the app took the connection.
func (a *appSockets) watch(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		began := time.Now()
		conn, err := dial(ctx, network, address)
		full := errors.Is(err, syscall.EAGAIN)                              // a Unix socket's queue: the app lives
		if err == nil || !full && !errors.Is(ctx.Err(), context.Canceled) { // otherwise nobody waited
			a.mu.Lock()
			defer a.mu.Unlock()
			a.known.Tried(began, time.Now(), err == nil)
		}
		return conn, err
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// probeApp reports whether the app takes a connection. Of those who ask at the
// same time one tries for all.
func (s *Server) probeApp() bool {
	a := &s.appSockets
	asked := time.Now()
	a.probing.Lock()
	defer a.probing.Unlock()
	if ok, tried := a.reached(asked); tried {
		return ok
	}
	conn, err := s.upstream.Connect(s.life)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// dialApp makes a handshake with the app.
func (s *Server) dialApp(ctx context.Context, r *http.Request, hs upgrade.Offer) (*upgrade.AppConn, *upgrade.AppRefusal, error) {
	s.appSockets.dialling()
	defer s.appSockets.dialled()
	return s.upstream.Dial(ctx, r, hs)
}

// newAppLeg is newLeg for the app's socket.
func (c *sessionDriver) newAppLeg(conn net.Conn) *leg {
	c.appCounted, c.appUnread = true, unread{}
	c.srv.appSockets.opened()
	return c.newLeg(conn)
}

// appClosedLocked notes the end of the app's socket, once. The caller holds the lock.
func (c *sessionDriver) appClosedLocked(broke bool) {
	if c.appCounted {
		c.appCounted = false
		c.srv.appSockets.closed(broke)
	}
}
