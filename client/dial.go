package client

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// Dial opens a session, or an ordinary WebSocket to a server that does not
// speak wsr.v1.
// ws, wss, http and https URLs are taken. ctx bounds Dial only, not the life
// of the Conn. The first connection is tried once, as with any WebSocket;
// redirects are not followed and no proxy of the environment is used
// (Options.NetDial can). A server that refuses our subprotocols, by status 400 or
// by choosing one that it was not offered, is dialled without them; since there
// are other reasons for that, once more with them before, and behind. A sidecar
// that refuses the session itself is not, and the error is a *RefusedError. Who accepts wsr.v1 and does not say WELCOME
// is tried three times, for 5 s, 10 s and 15 s.
//
// The response is that of the handshake. When the server refused, it comes
// with the error, and up to 1,024 bytes of its body can be read. Its body need
// not be closed. There is none where Dial goes on with the session of a Store
// (Options.Store): that one it takes up at once, also where no network is there.
func Dial(ctx context.Context, url string, opts *Options) (*Conn, *http.Response, error) {
	if opts != nil && opts.Store != nil {
		if c, err := dialStored(ctx, url, opts); c != nil || err != nil {
			return c, nil, err
		}
	}
	for tries := 1; ; tries++ {
		c, resp, err := dial(ctx, url, opts, tries-1)
		if !errors.Is(err, errNoWelcome) || tries == maxUnwelcomed {
			return c, resp, err
		}
	}
}

// maxUnwelcomed is how often a sidecar is dialled that does not say WELCOME to a
// new session.
const maxUnwelcomed = 3

var errNoWelcome = errors.New(noWelcome)

// dial is Dial with one connection. So many before it got no WELCOME.
func dial(ctx context.Context, url string, opts *Options, unwelcomed int) (*Conn, *http.Response, error) {
	c, err := newConn(url, opts)
	if err != nil {
		return nil, nil, err
	}
	c.m.unwelcomed = unwelcomed
	o := c.m.firstOffer()
	u, resp, err := c.firstHandshake(ctx, &o)
	if err != nil {
		c.cancel()
		return nil, resp, err
	}
	if err := c.open(ctx, o, u); err != nil {
		c.tasks.Wait()
		return nil, resp, err
	}
	return c, resp, nil
}

// firstHandshake makes the handshake of a new session, or of an ordinary
// WebSocket if the server refuses ours and accepts others: twice before, and once
// more behind it. A single refusal may be that of something else (PROTOCOL §2.3).
func (c *Conn) firstHandshake(ctx context.Context, o *offer) (*upgraded, *http.Response, error) {
	for range 2 {
		if u, resp, err := c.ours(ctx, o, 0); !refusesSubprotocols(err) {
			return u, resp, err
		}
	}
	bare, bareResp, err := c.handshake(ctx, wire.Offer{App: o.App}, 0)
	if err != nil {
		return nil, bareResp, err
	}
	u, resp, err := c.ours(ctx, o, 0)
	if err != nil {
		return bare, bareResp, nil //nolint:nilerr // the bare one serves
	}
	_ = bare.conn.Close()
	return u, resp, nil
}

// ours makes a handshake with our subprotocols.
func (c *Conn) ours(ctx context.Context, o *offer, connectWait time.Duration) (*upgraded, *http.Response, error) {
	u, resp, err := c.handshake(ctx, o.Offer, connectWait)
	return u, resp, refusedBySidecar(resp, err)
}

// refusesSubprotocols reports whether a handshake may have failed because the
// server does not know our subprotocols: it answered 400, or chose one that we
// did not offer.
func refusesSubprotocols(err error) bool {
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return false // that was a sidecar
	}
	status, ok := errors.AsType[ws.StatusError](err)
	return ok && status == http.StatusBadRequest || errors.Is(err, ws.ErrHandshakeBadSubProtocol)
}

func newConn(to string, opts *Options) (*Conn, error) {
	if opts == nil {
		opts = &Options{}
	}
	u := &url.URL{}
	if to != "" || opts.URL == nil {
		var err error
		if u, err = parseURL(to); err != nil {
			return nil, err
		}
	}
	own := opts.clone()
	cfg, err := own.settings()
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	cryptorand.Read(seed[:]) // never fails
	c := &Conn{
		url: u, opts: own, log: own.Logger,
		events: make(chan Event, eventBuffer), began: time.Now(),
		m: newMachine(cfg, rand.New(rand.NewChaCha8(seed))),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.timer = time.AfterFunc(time.Hour, c.timerFired)
	c.timer.Stop()
	return c, nil
}

// open runs the first connection until it is known whether there is a sidecar.
func (c *Conn) open(ctx context.Context, o offer, u *upgraded) error {
	if c.opts.Store != nil {
		if err := c.opts.Store.Begin(); err != nil {
			_ = u.conn.Close()
			c.cancel()
			return fmt.Errorf("client: store: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.opts.Store != nil {
		c.keep()
	}
	var conn *connection
	if u.protocol == wire.Subprotocol {
		conn = c.m.attach(now, o)
	} else {
		app := u.protocol
		if wire.IsOwn(app) {
			app = "" // the decoy, echoed
		}
		conn = c.m.attachPlain(now, app)
	}
	c.start(conn, u.conn, u.early)
	c.perform(now)
	for (!conn.welcomed || c.m.durable.waiting) && c.m.err == nil {
		if err := c.await(ctx, nil, &c.arrived); err != nil {
			c.m.abandon(ws.StatusAbnormalClosure, "")
			c.perform(time.Now())
			return fmt.Errorf("client: dial %s: %w", c.url.Host, err)
		}
	}
	if !conn.welcomed && conn.closed.Reason == noWelcome {
		return fmt.Errorf("client: dial %s: %w", c.url.Host, errNoWelcome)
	}
	if !conn.welcomed {
		return fmt.Errorf("client: dial %s: %w", c.url.Host, c.m.err)
	}
	return nil
}
