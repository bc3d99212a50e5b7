package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// MessageType is the type of a WebSocket message.
type MessageType int

// The types of RFC 6455 §5.6.
const (
	MessageText MessageType = iota + 1
	MessageBinary
)

func (t MessageType) String() string {
	switch t {
	case MessageText:
		return "text"
	case MessageBinary:
		return "binary"
	}
	return fmt.Sprintf("type %d", int(t))
}

// Conn is a session, or an ordinary WebSocket where there is no sidecar.
// Dial makes one. All methods are safe for concurrent use.
//
// A Conn must be closed with Close or CloseNow, unless it has ended by itself:
// it keeps goroutines and a connection until then.
type Conn struct {
	// Immutable after Dial.
	url    *url.URL
	opts   Options
	log    *slog.Logger
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	events chan Event
	began  time.Time

	resumed bool // from a Store

	tasks sync.WaitGroup // goroutines of connections and dials

	mu       sync.Mutex // guards the fields below; not held during I/O
	m        *machine
	links    []*link
	timer    *time.Timer
	armed    time.Time // when timer fires; zero is never
	released bool
	slept    time.Duration // by how much the wall clock has got ahead of the monotonic one since began
	dialling dialling      // the attempt to resume

	arrived   signal // a message for Read, WELCOME, or the end
	freed     signal // an acknowledgement, room in the outbox, or the end
	room      signal // the queue has room again, or a connection ended
	signalled signalled

	keeper *keeper // nil: there is no Store

	stopRestore   context.CancelFunc // ends the Options.Restore that runs; nil: none does
	restoreNumber int                // and its number
	restoreMoved  signal             // the restore's queue, or what it is for, may have changed
}

// Read returns the next message. Text is not checked for UTF-8; the bytes are
// the app's own and belong to the caller.
//
// From the moment Read returns it, a message counts as delivered and is
// acknowledged: should the program crash before it has handled it, it is
// gone. Cancelling ctx ends the call and loses nothing.
//
// Once the session is over, Read returns what is left in the queue and then
// a *CloseError or a *SessionLostError, always the same. After a Close of this
// program it returns a CloseError at once, which wraps net.ErrClosed.
func (c *Conn) Read(ctx context.Context) (MessageType, []byte, error) {
	return c.read(ctx, nil)
}

func (c *Conn) read(ctx context.Context, expired <-chan struct{}) (MessageType, []byte, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, fmt.Errorf("client: read: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		now := time.Now()
		if seq, ok := c.m.in.first(); ok && !c.m.mayRead(seq) {
			if err := c.saveRead(seq); err != nil {
				return 0, nil, fmt.Errorf("client: read: %w", err)
			}
			continue
		}
		if msg, ok := c.m.in.take(now); ok {
			c.perform(now)
			return msg.typ, msg.data, nil
		}
		if err := c.m.over(); err != nil {
			return 0, nil, c.ended(err)
		}
		if err := c.await(ctx, expired, &c.arrived); err != nil {
			return 0, nil, fmt.Errorf("client: read: %w", err)
		}
	}
}

// Write puts a message into the outbox and returns; p can be used again. From
// there it is delivered once and in order, across any number of connections,
// as long as the session lives. While the outbox is full Write waits. Without
// a sidecar it returns when the message has been written to the connection.
//
// When ctx is cancelled while Write waits for room, the message is not sent.
// A message above the sidecar's limit fails with ErrTooBig and harms nothing.
func (c *Conn) Write(ctx context.Context, typ MessageType, p []byte) error {
	return c.write(ctx, nil, StoredMessage{Type: typ, Data: p}, false)
}

// WriteAcked is Write, and returns when the sidecar has handed the message to
// the app's socket. After an error other than ErrTooBig and ErrRejected the message may be
// delivered nevertheless: it stays in the outbox when ctx is cancelled, and of
// a lost session it is not known. Without a sidecar it is Write.
func (c *Conn) WriteAcked(ctx context.Context, typ MessageType, p []byte) error {
	return c.write(ctx, nil, StoredMessage{Type: typ, Data: p}, true)
}

func (c *Conn) write(ctx context.Context, expired <-chan struct{}, msg StoredMessage, acked bool) error {
	if msg.Type != MessageText && msg.Type != MessageBinary {
		return fmt.Errorf("client: write: %v: want text or binary", msg.Type)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("client: write: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.enqueue(ctx, expired, &msg)
	if err != nil {
		return err
	}
	if msg.Key != "" {
		c.m.awaitOutcome(msg.Key, at).alone = true
	}
	if acked {
		c.m.out.awaited = at // of those that wait, the last
	}
	c.perform(time.Now())
	for acked || c.m.plain {
		if slices.Contains(c.m.out.rejected, at) {
			return fmt.Errorf("client: write: %d bytes: %w", len(msg.Data), ErrRejected)
		}
		if seqwindow.LessEq(at, c.m.out.acked) {
			break
		}
		if c.m.err != nil {
			return c.ended(c.m.err)
		}
		if err := c.await(ctx, expired, &c.freed); err != nil {
			return fmt.Errorf("client: write: %w", err)
		}
	}
	return nil
}

// enqueue waits for room in the outbox.
func (c *Conn) enqueue(ctx context.Context, expired <-chan struct{}, msg *StoredMessage) (seqwindow.Serial, error) {
	for {
		if err := c.m.over(); err != nil {
			return 0, c.ended(err)
		}
		if len(msg.Data) > c.m.maxMessage {
			return 0, fmt.Errorf("client: write: %d bytes, at most %d: %w", len(msg.Data), c.m.maxMessage, ErrTooBig)
		}
		at, err := c.put(msg)
		if err == nil {
			return at, nil
		}
		if !errors.Is(err, seqwindow.ErrFull) {
			return 0, c.ended(err)
		}
		if err := c.await(ctx, expired, &c.freed); err != nil {
			return 0, fmt.Errorf("client: write: %w", err)
		}
	}
}

// Close ends the session: the app gets everything that was written and then
// the close with this code and reason. Messages that have not been read are
// dropped. It waits at most 5 seconds, through reconnects if need be, and
// returns nil if the other side confirmed, or if the session had been closed
// before. Otherwise the error wraps ErrCloseTimeout or is what Read returns.
// Afterwards nothing of the Conn is left running.
//
// The code must be one that a close frame may carry, 1000 or 3000 to 4999 as
// a rule, and the reason at most 123 bytes of UTF-8.
func (c *Conn) Close(code int, reason string) error {
	if code < 0 || code > 0xffff || !wire.ValidFrameCode(ws.StatusCode(code)) {
		return fmt.Errorf("client: close: code %d: not allowed in a close frame", code)
	}
	if len(reason) > wire.MaxCloseReason || !utf8.ValidString(reason) {
		return fmt.Errorf("client: close: reason of %d bytes: want UTF-8 of at most %d", len(reason), wire.MaxCloseReason)
	}
	c.mu.Lock()
	now := time.Now()
	c.m.close(now, ws.StatusCode(code), reason)
	c.perform(now)
	c.mu.Unlock()
	<-c.ctx.Done()
	c.tasks.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.closing.started() {
		return c.m.closing.failed
	}
	return c.m.err
}

// CloseNow ends the session without waiting for anything to be delivered. The
// app sees an abnormal close (1006) if the connection can still take CLOSE;
// otherwise the sidecar drops the session when its time to live is over. It
// returns within a second or so, and after the end does nothing. The error is
// always nil.
func (c *Conn) CloseNow() error {
	c.mu.Lock()
	now := time.Now()
	c.m.in.discard(now)
	c.m.abandon(ws.StatusAbnormalClosure, "")
	c.perform(now)
	c.mu.Unlock()
	c.tasks.Wait()
	return nil
}

// NetworkChanged tells that the network may have changed or come back: a
// connection is probed, and given up if nothing comes for 2 s, and an attempt to
// resume is made now. Programs need not call it; it saves them a wait.
func (c *Conn) NetworkChanged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.m.networkChanged(now)
	c.perform(now)
}

// Subprotocol returns what the app chose of Options.Subprotocols, or "".
func (c *Conn) Subprotocol() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.subprotocol
}

// SessionID names the session in the sidecar's logs; it grants nothing. Without a
// sidecar it is empty.
func (c *Conn) SessionID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.plain {
		return ""
	}
	return c.m.session.String()
}

// Unacked returns how many messages Write took that the app's socket has not got,
// as far as is known. Without a sidecar, those that were not given to the
// connection.
func (c *Conn) Unacked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.out.unacked()
}

// Resilient reports whether there is a sidecar. It does not change.
func (c *Conn) Resilient() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.m.plain
}

// State returns the current state.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.state
}

// Events returns the channel of events, which is closed at the end. It needs
// no reader: when it is full, the oldest event is dropped.
func (c *Conn) Events() <-chan Event { return c.events }
