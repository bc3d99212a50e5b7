package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/reconnect"
	"github.com/wsresilience/wsresilience/internal/rehearse/load"
)

// dialTimeout is how long both clients give a handshake. It is longer than any
// silence of the demo's network, and short enough for one who watches when a
// connection is cut while it is being made.
const dialTimeout = 2 * time.Second

// How the plain client behaves, which is as well as such clients do.
const (
	// plainPatience is how long it stands a connection without a message
	// before it dials again: what is half open would never end by itself.
	plainPatience = 2 * time.Second

	// plainQueue is how many messages it keeps while it knows that it is not
	// connected: more than gather before it is.
	plainQueue = 16 << 10

	plainBackoffBase = 250 * time.Millisecond
	plainBackoffMax  = 5 * time.Second
)

// resumeBackoffMax is the longest wait between two attempts to resume: half a
// minute is too long to watch.
const resumeBackoffMax = 2 * time.Second

// newPlainClient is an ordinary client, which package reconnect is.
func newPlainClient(url string, t *tally) *reconnect.Client {
	return reconnect.New(url, reconnect.Spec{
		Dial: dialTimeout, Patience: plainPatience, Queue: plainQueue,
		Backoff:      backoff.Policy{Base: plainBackoffBase, Max: plainBackoffMax},
		Connected:    func() { t.connected(plain) },
		Message:      func(msg []byte) { t.hear(plain, msg) },
		Disconnected: func(error) { t.disconnected(plain) },
	})
}

// resilientClient is the same with package client, which needs no queue, no
// backoff and no watch over the connection around it.
type resilientClient struct {
	*load.Session
	tally *tally
	ended chan error // once: why the session ended, nil if this side closed it
}

func newResilientClient(ctx context.Context, url string, t *tally) (*resilientClient, error) {
	r := &resilientClient{tally: t, ended: make(chan error, 1)}
	var err error
	r.Session, err = load.Open(ctx, url, &client.Options{
		HandshakeTimeout: dialTimeout,
		Adopt:            true, // event handles EventAdopted, and there is nothing to restore
		Backoff:          client.Backoff{Max: resumeBackoffMax},
	}, load.On{
		Message: func(_ time.Time, msg []byte) { t.hear(resilient, msg) },
		Event:   r.event,
		Over:    r.over,
	})
	if err == nil {
		t.connected(resilient)
	}
	return r, err
}

// produce sends messages until ctx ends.
func (r *resilientClient) produce(ctx context.Context) {
	r.tally.produce(ctx, resilient, func(msg []byte) {
		// Not bound to ctx: a number that was given out must be sent. Write
		// fails when the session is over, which r.over is told.
		_ = r.Write(context.Background(), client.MessageText, msg)
	})
}

func (r *resilientClient) over(err error) {
	if errors.Is(err, net.ErrClosed) {
		r.ended <- nil
		return
	}
	r.ended <- fmt.Errorf("the resilient client's session ended: %w", err)
}

// event follows what becomes of the connection, until the session is over.
func (r *resilientClient) event(_ time.Time, e client.Event) {
	switch {
	case e.Kind == client.EventState && e.State == client.StateReconnecting:
		r.tally.disconnected(resilient)
	case e.Kind == client.EventResumed:
		r.tally.connected(resilient)
	case e.Kind == client.EventAdopted:
		r.tally.adopted(e.Reason)
	case e.Kind == client.EventGoAway:
		r.tally.say("resilient: asked to move")
	case e.Kind == client.EventReset:
		r.tally.say("resilient: the session is lost: %s", e.Reason)
	}
}
