package natsstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/keyring"
)

// A Condition is how an external journal was found.
type Condition struct {
	Server  string // that was reached, without secrets; empty: none was
	RTT     time.Duration
	Problem error    // why it cannot be used; nil: it can
	Streams error    // those that are missing or wrong; nil: none
	Missing bool     // of those some are missing
	Denied  []string // what the user may not do and sidecars have to, in words
	Owners  []Owner  // the sidecars that announced themselves
	Foreign int      // announcements that no sidecar with our keys wrote

	// The server's clock minus ours, between two bounds; both 0: not known.
	ClockLow, ClockHigh time.Duration
}

// An Owner is a sidecar as its lease names it.
type Owner struct {
	Name     string // instance@address
	Since    time.Time
	Draining bool
}

// inspected names what is asked about, and is in no stream.
const inspected = "doctor"

// errCodeWrongSequence is what JetStream says to an append that expects another
// sequence: the user may append, and nothing was.
const errCodeWrongSequence jetstream.ErrorCode = 10071

// Inspect looks at an external journal, and changes nothing of it: streams are
// not made, and what is written is refused by the server.
func Inspect(ctx context.Context, cfg Config) *Condition {
	c := &Condition{}
	cfg.ExpectStreams = true
	b, err := openBackend(ctx, cfg)
	if err != nil {
		c.Problem = err
		return c
	}
	defer func() { _ = b.Close() }() // nothing was written
	if !b.nc.IsConnected() {
		c.Problem = b.whyNot()
		return c
	}
	c.Server = b.nc.ConnectedUrlRedacted()
	c.RTT, _ = b.nc.RTT() // 0 says enough
	c.inspectStreams(ctx, b)
	if c.Problem != nil {
		return c
	}
	c.inspectRights(ctx, b)
	c.inspectOwners(ctx, b)
	return c
}

// whyNot asks each server once more, for the reason that it gives.
func (b *backend) whyNot() error {
	opts, err := b.options()
	if err != nil {
		return err
	}
	servers, err := b.cfg.servers()
	if err != nil {
		return err
	}
	opts = append(opts, nats.RetryOnFailedConnect(false), nats.NoReconnect())
	var all []error
	for _, s := range servers {
		nc, err := nats.Connect(s, opts...)
		switch {
		case err == nil:
			nc.Close()
			err = b.disconnectReason()
		case errors.Is(err, nats.ErrNoServers): // says nothing of why
			err = b.dial(s, err)
		}
		all = append(all, fmt.Errorf("%s: %w", redacted(s), err))
	}
	return errors.Join(all...)
}

// dial is why a server takes no connection, or err if it does.
func (b *backend) dial(server string, err error) error {
	conn, derr := net.DialTimeout("tcp", redacted(server), dialTimeout)
	if derr != nil {
		return derr
	}
	conn.Close()
	return err
}

// redacted is a server's address without who connects.
func redacted(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a server"
	}
	return u.Host
}

// inspectStreams looks for the streams, and at the server's clock.
func (c *Condition) inspectStreams(ctx context.Context, b *backend) {
	began := time.Now()
	if err := c.try(ctx, b, func(ctx context.Context) error {
		info, err := b.js.Stream(ctx, streamName(0))
		if err == nil {
			c.clock(info.CachedInfo(), began)
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			err = nil
		}
		return err
	}); err != nil {
		c.Problem = fmt.Errorf("JetStream does not answer: %w", err)
		return
	}
	var wrong []error
	for _, want := range b.streams {
		err := c.try(ctx, b, func(ctx context.Context) error { return b.keeper.keep(ctx, &want) })
		var missing *missingStreamError
		c.Missing = c.Missing || errors.As(err, &missing)
		wrong = append(wrong, err)
	}
	c.Streams = errors.Join(wrong...)
}

// clock takes the time that the server wrote into its answer.
func (c *Condition) clock(info *jetstream.StreamInfo, began time.Time) {
	if at := info.TimeStamp; !at.IsZero() {
		c.ClockLow, c.ClockHigh = time.Until(at), at.Sub(began)
	}
}

// try bounds one request, and gives the reason for what fails.
func (c *Condition) try(ctx context.Context, b *backend, do func(context.Context) error) error {
	b.denials.forget()
	ctx, done, err := b.denials.call(ctx, b.cfg.Timeout)
	if err != nil {
		return err
	}
	defer done()
	return cause(ctx, do(ctx))
}

// inspectRights tries what the user has to be permitted.
func (c *Condition) inspectRights(ctx context.Context, b *backend) {
	refused := func(subject string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := b.js.PublishMsg(ctx, nats.NewMsg(subject), jetstream.WithExpectLastSequencePerSubject(1), jetstream.WithRetryAttempts(0))
			var answer *jetstream.APIError
			if errors.As(err, &answer) && answer.ErrorCode == errCodeWrongSequence || errors.Is(err, jetstream.ErrNoStreamResponse) {
				return nil
			}
			return err
		}
	}
	for _, right := range []struct {
		words string
		try   func(context.Context) error
	}{
		{"publish to " + subjectPrefix + ">", refused(subjectPrefix + "0." + inspected)},
		{"publish to " + leasePrefix + "*", refused(leasePrefix + inspected)},
		{"publish to $JS.API.DIRECT.GET.>", func(ctx context.Context) error {
			stream, err := b.js.Stream(ctx, streamName(0))
			if err == nil {
				_, err = stream.GetLastMsgForSubject(ctx, subjectPrefix+"0."+inspected)
			}
			if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil
			}
			return err
		}},
	} {
		if err := c.try(ctx, b, right.try); err != nil {
			c.Denied = append(c.Denied, fmt.Sprintf("%s: %v", right.words, err))
		}
	}
}

// inspectOwners lists the leases.
func (c *Condition) inspectOwners(ctx context.Context, b *backend) {
	ring := b.cfg.Keys.Derive("lease")
	err := c.try(ctx, b, func(ctx context.Context) error {
		kv, err := b.js.KeyValue(ctx, leaseBucket)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			return nil // inspectStreams has told
		}
		if err != nil {
			return err
		}
		watch, err := kv.WatchAll(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = watch.Stop() }() // it ends with the connection
		for {
			select {
			case e := <-watch.Updates():
				if e == nil {
					return nil
				}
				c.owner(ring, e)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	if err != nil {
		c.Denied = append(c.Denied, fmt.Sprintf("watch the bucket %s ($JS.API.CONSUMER.CREATE.%s.>, $JS.API.CONSUMER.DELETE.%s.*): %v", leaseBucket, leaseStream, leaseStream, err))
	}
}

// owner notes one lease.
func (c *Condition) owner(ring *keyring.Ring, e jetstream.KeyValueEntry) {
	name, err := leaseOwner(e.Key())
	if err != nil || e.Operation() != jetstream.KeyValuePut {
		return
	}
	text, err := openLease(ring, name, e.Value())
	if err != nil {
		c.Foreign++
		return
	}
	if a, err := parseAnnouncement(name, text); err == nil && !a.Released {
		c.Owners = append(c.Owners, Owner{Name: name, Since: a.Since, Draining: a.Draining})
	}
}
