package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/wire"
)

// A crossing is what becomes of tokens of two namespaces: WELCOME's status, or RESET
// and its reason.
type crossing struct {
	Back       string // theirs, where it is from
	TheirsHere string
	OursThere  string
}

// cross begins a session at each of two sidecars and presents its token to the other,
// for the same Host and path, so that nothing but the keys can refuse it.
func cross(ctx context.Context, ours, theirs string) (c crossing, err error) {
	_, our, err := present(ctx, ours, "")
	if err != nil {
		return c, fmt.Errorf("a session of one's own: %w", err)
	}
	_, their, err := present(ctx, theirs, "")
	if err != nil {
		return c, fmt.Errorf("a session of the others: %w", err)
	}
	var errs [3]error
	c.TheirsHere, _, errs[0] = present(ctx, ours, their)
	c.OursThere, _, errs[1] = present(ctx, theirs, our)
	c.Back, _, errs[2] = present(ctx, theirs, their)
	return c, errors.Join(errs[:]...)
}

// present makes a handshake, with a token unless it is empty, and returns what it is
// answered.
func present(ctx context.Context, addr, token string) (answer, fresh string, err error) {
	offer := wire.Offer{Resilient: true, Adopt: true}
	if token != "" {
		offer.Resume = &wire.Resume{Token: token, Next: 1}
	}
	dialer := websocket.Dialer{Subprotocols: offer.Protocols(), HandshakeTimeout: 20 * time.Second}
	var conn *websocket.Conn
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		conn, _, err = dialer.DialContext(ctx, "ws://"+addr+"/echo", http.Header{"Host": {"app"}}) //nolint:bodyclose // need not be closed
		if err == nil {
			break
		}
		if ctx.Err() != nil || time.Now().After(end) { // the app may still be starting
			return "", "", err
		}
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, msg, err := conn.ReadMessage()
	if err != nil {
		return "", "", err
	}
	if w, err := wire.ParseWelcome(msg); err == nil {
		return w.Status.String(), w.Token, nil
	}
	reason, _, err := wire.ParseReset(msg)
	return fmt.Sprint("reset ", reason), "", err
}

// serveEcho is an app that says what it hears.
func serveEcho(addr string) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	_ = http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // its peers are ours
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, p, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, p) != nil {
				return
			}
		}
	}))
}
