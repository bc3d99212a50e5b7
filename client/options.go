package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// Defaults of Options.
const (
	// DefaultOutboxMessages and DefaultOutboxBytes are what may wait during a
	// short loss of the network before Write blocks.
	DefaultOutboxMessages = 4096
	DefaultOutboxBytes    = 4 << 20

	// DefaultQueueBytes is several times the window of a sidecar
	// (WSR_WINDOW_BYTES, 1 MiB), so that a correct one never reaches it.
	DefaultQueueBytes = 16 << 20

	// DefaultMaxMessage is the default of WSR_MAX_MESSAGE.
	DefaultMaxMessage = 1 << 20

	DefaultHandshakeTimeout = 10 * time.Second

	// defaultMaxWait is what a client is late at most after a long outage.
	defaultMaxWait = 5 * time.Second

	// defaultFactor makes a wait about a quarter of the outage so far, so that
	// the median client is late by a seventh of it.
	defaultFactor = 1.25

	// defaultJitter spreads waits from next to nothing to twice their mean, so
	// that those who lost the sidecar together come back one by one.
	defaultJitter = 1

	// DefaultAckDelay is below WSR_PERSIST_AFTER (50 ms) by more than most
	// round trips take: what is acknowledged in time never touches the journal.
	DefaultAckDelay = 20 * time.Millisecond
)

// maxAnnounced bounds the message size that a sidecar can announce when
// Options.MaxMessage leaves it to the sidecar: memory is ours, not its.
const maxAnnounced = 64 << 20

// Options are optional, as is each field. Dial copies them, so that they may be
// changed and used again. A panic of a function fails what it was called for.
type Options struct {
	// URL is called before every dial, the first included, and what it returns
	// takes the place of Dial's url, which may be empty then: for a ticket in the
	// query that is good for one handshake, or for a short time. A session is
	// bound to host and path, and is lost if they change. An error fails that dial.
	URL func(ctx context.Context) (string, error)

	// HTTPHeader is sent with every handshake. Headers of the WebSocket
	// handshake itself in it are ignored; Host replaces the URL's.
	HTTPHeader http.Header

	// Header is called before every dial, the first included, so that
	// credentials can be fresh when a session is resumed hours later. What it
	// returns goes on top of HTTPHeader. An error fails that dial.
	Header func(ctx context.Context) (http.Header, error)

	// Subprotocols are the app's own, by preference. Names of wsresilience
	// (wsr and wsr.*) are refused.
	Subprotocols []string

	// FreshSubprotocols is called before every dial, the first included, and what
	// it returns takes the place of Subprotocols: for a ticket among them. An
	// error fails that dial.
	FreshSubprotocols func(ctx context.Context) ([]string, error)

	// TLSConfig is used for wss URLs.
	TLSConfig *tls.Config

	// NetDial replaces net.Dialer, for proxies and tests.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Adopt says that the program handles EventAdopted, which means that the
	// app behind the sidecar is a new one that knows nothing of what the old
	// one was told. What it then sends comes behind what Write took before: see
	// Restore. Without either such a session is closed with 1012, unless the
	// sidecar can restore the app's context itself.
	Adopt bool

	// Restore is called when the app behind the sidecar is a new one, and sends
	// through w what it must know first: a login, subscriptions. That goes ahead
	// of all that Write has taken, and nothing else reaches the app before
	// Restore returns. Meanwhile Read goes on, and may bring answers. ctx ends
	// when the connection breaks or the app is replaced again; then Restore is
	// called anew, once it has returned. It must not take longer than 30 s, and
	// call neither Close nor WriteAcked, which would wait for it. After an error the session is closed with 1012.
	// With Restore, Adopt need not be set.
	Restore func(ctx context.Context, w *RestoreWriter) error

	// Keys says that the program calls WriteKeyed, so that sidecars are asked for it.
	// A Store keeps the keys with their messages.
	Keys bool

	// Share says that the program wants to hear of the others where several clients
	// share a session: EventJoined, EventLeft, EventConflict and EventSynchronised. One
	// that was away for too long is then synchronised anew, and does not lose its
	// session.
	Share bool

	// Renew has another session begun by itself when this one is lost at the sidecar,
	// if each message that Write took and that is not acknowledged has a key: they are
	// sent again with it, and act once (EventRenewed), those that a Store has kept
	// included. It is for apps that know from
	// the handshake who a client is, and keys whose scope is the user or the path. It
	// needs Keys.
	Renew bool

	// Store keeps the session and what Write has taken, so that a program that
	// was killed goes on with both: the next Dial with the same Store, in
	// whatever process, continues the session if it has not been lost
	// meanwhile, and Resumed reports whether it does. Read returns a message once
	// the Store knows that, so that none comes twice; one that it was about to
	// return in the moment of the kill is gone. What a lost session has not
	// delivered stays in the Store: see LeftMessage. Without a sidecar nothing is
	// kept. A Store serves one Conn at a time.
	Store Store

	// OutboxMessages and OutboxBytes bound what Write takes before the sidecar
	// has acknowledged it. Negative is no limit.
	OutboxMessages int
	OutboxBytes    int

	// QueueBytes bounds what was received and not yet returned by Read. When
	// it is reached, the connection is not read until there is room. The
	// sidecar's window normally keeps the queue far below.
	QueueBytes int

	// MaxMessage is the largest payload that Read accepts; a larger one ends
	// the session with 1009. By default it is DefaultMaxMessage, or what the
	// sidecar announces if that is more, up to 64 MiB. Negative is no limit.
	MaxMessage int

	// Backoff spaces the attempts to resume.
	Backoff Backoff

	// HandshakeTimeout bounds one dial up to the server's answer, besides the
	// context of Dial. Negative is no limit.
	HandshakeTimeout time.Duration

	// AckDelay is how long a message that Read returned may wait for the next
	// ones before they are acknowledged together. Negative acknowledges each
	// at once.
	AckDelay time.Duration

	// Logger receives state changes and failed attempts, never tokens, headers
	// or payloads (I9). By default nothing is logged.
	Logger *slog.Logger
}

// Backoff says how the waits between attempts to resume grow. If the other side
// ended the connection, and so perhaps those of others, the first attempt comes
// at a random moment within the time that the sidecar asks for: 3 ms for each of
// its sessions, and at most 5 s. It comes at once if the connection was lost on
// this side, or had been silent; so does one when the program closes, or calls
// NetworkChanged. A server that asks for a wait when it refuses (Retry-After)
// gets it, up to 30 s.
// The waits are short again once a connection has lasted for 3 s.
type Backoff struct {
	Base     time.Duration // the first wait; 100 ms by default, and at least
	Max      time.Duration // the longest wait; by default what the sidecar asks for, 5 s of a small one, and at most 30 s
	Factor   float64       // growth; 1.25 by default
	Jitter   float64       // share by which a wait varies, at most 1, the default; negative is off
	Attempts int           // failures in a row after which the session is given up; 0 is no limit
}

func checkSubprotocols(list []string) error {
	for _, p := range list {
		if wire.IsOwn(p) {
			return fmt.Errorf("subprotocol %q: the name belongs to wsresilience", p)
		}
	}
	return nil
}

// clone returns a copy that the program cannot change.
func (o *Options) clone() Options {
	own := *o
	own.HTTPHeader = o.HTTPHeader.Clone()
	own.Subprotocols = slices.Clone(o.Subprotocols)
	own.TLSConfig = o.TLSConfig.Clone()
	return own
}

// settings are the Options that the machine needs, with defaults.
type settings struct {
	protocols  []string
	adopt      bool
	restores   bool // Options.Restore is there
	keys       bool
	share      bool
	renew      bool
	outbox     seqwindow.Limits
	queueBytes int
	maxMessage int // 0: what the sidecar announces
	ack        seqwindow.AckPolicy
	backoff    backoff.Policy
	ownMaxWait bool // the program chose backoff.Max
}

func (o *Options) settings() (settings, error) {
	if err := checkSubprotocols(o.Subprotocols); err != nil {
		return settings{}, fmt.Errorf("client: %w", err)
	}
	if o.Renew && !o.Keys {
		return settings{}, errors.New("client: Options.Renew without Options.Keys")
	}
	return settings{
		protocols: o.Subprotocols,
		adopt:     o.Adopt || o.Restore != nil,
		restores:  o.Restore != nil,
		keys:      o.Keys,
		share:     o.Share,
		renew:     o.Renew,
		outbox: seqwindow.Limits{
			Messages: limit(o.OutboxMessages, DefaultOutboxMessages),
			Bytes:    limit(o.OutboxBytes, DefaultOutboxBytes),
		},
		queueBytes: limit(o.QueueBytes, DefaultQueueBytes),
		maxMessage: limit(o.MaxMessage, 0),
		ack:        seqwindow.AckPolicy{Delay: cmp.Or(o.AckDelay, DefaultAckDelay)},
		backoff: backoff.Policy{
			Base: o.Backoff.Base, Max: cmp.Or(o.Backoff.Max, defaultMaxWait),
			Factor: cmp.Or(o.Backoff.Factor, defaultFactor), Jitter: cmp.Or(o.Backoff.Jitter, defaultJitter),
			Attempts: o.Backoff.Attempts,
		},
		ownMaxWait: o.Backoff.Max != 0,
	}, nil
}

// unlimited stands for no limit: the sum of two still fits an int of 32 bits.
const unlimited = 1<<30 - 1<<10

// limit returns v, or def if v is zero; negative is no limit.
func limit(v, def int) int {
	if v < 0 {
		return unlimited
	}
	return cmp.Or(v, def)
}
