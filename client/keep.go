package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/seqwindow"
)

// ErrSuspended is wrapped by what Read and Write return after Suspend.
var ErrSuspended = errors.New("suspended")

// saveRetry is how long a Store that failed is left alone.
const saveRetry = time.Second

// keeper joins a session to its Store. Its locks are taken before Conn.mu.
type keeper struct {
	store Store
	puts  sync.Mutex    // the order of messages
	saves sync.Mutex    // a later state is not overwritten by an earlier one
	due   chan struct{} // of one: there is something to save
	ended chan struct{} // closed when the Store knows that the session is over
	left  bool          // the session goes on without this process; Conn.mu guards it
}

// Suspend ends this Conn and leaves its session to the next Dial with the same
// Store, which may be another process: as when the program is killed, with
// nothing under way. Messages wait in the sidecar meanwhile, and those that Write
// took wait in the Store. Without a Store it is CloseNow.
func (c *Conn) Suspend() error {
	if c.keeper == nil {
		return c.CloseNow()
	}
	c.mu.Lock()
	if c.m.err == nil && !c.m.plain && !c.m.closing.started() {
		c.keeper.left = true
		c.m.end(fmt.Errorf("client: %w", ErrSuspended))
	} else {
		c.m.abandon(1006, "")
	}
	c.perform(time.Now())
	c.mu.Unlock()
	c.tasks.Wait()
	return nil
}

// WriteLeft writes a message that an earlier session has left in the Store, which
// forgets it there in the same step. See Write. One with a key is written with it,
// and acts once; where keys are not taken it stays, and the error wraps ErrNoKeys.
func (c *Conn) WriteLeft(ctx context.Context, m LeftMessage) error {
	if c.keeper == nil {
		return errors.New("client: write: there is no Store")
	}
	c.mu.Lock()
	taken := c.m.takesKeys
	c.mu.Unlock()
	if m.Key != "" && !taken {
		return fmt.Errorf("client: write: message %d has the key %q: %w", m.ID, m.Key, ErrNoKeys)
	}
	return c.write(ctx, nil, StoredMessage{Type: m.Type, Data: m.Data, Key: m.Key, Replaces: m.ID}, false)
}

// dialStored continues the session that is in the Store. It returns nil if there
// is none, or if it is lost. A network that is not there is waited for by the
// Conn and not by Dial.
func dialStored(ctx context.Context, url string, opts *Options) (*Conn, error) {
	s, left, err := opts.Store.Load()
	if err != nil || s == nil {
		return nil, err
	}
	c, err := newConn(url, opts)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if err := c.m.resumeStored(now, s, left); err != nil {
		c.cancel()
		return nil, err
	}
	c.keep()
	c.perform(now)
	for c.m.err == nil && (c.m.dial.busy || c.m.durable.waiting || c.m.renewal.begins()) {
		if err := c.await(ctx, nil, &c.arrived); err != nil {
			c.keeper.left = true
			c.m.end(fmt.Errorf("client: dial %s: %w", c.url.Host, err))
			c.perform(time.Now())
			return nil, c.ended(c.m.err)
		}
	}
	if lost, ok := errors.AsType[*SessionLostError](c.m.err); ok {
		c.log.Info("client: the stored session is lost", slog.String("session", s.Session.String()), slog.String("reason", string(lost.Reason)))
		c.mu.Unlock()
		c.tasks.Wait() // the Store knows it then
		c.mu.Lock()
		return nil, nil
	}
	c.resumed = !c.m.renewal.active && !c.m.renewal.done
	return c, nil
}

// keep begins to keep the session in the Store. The caller holds mu.
func (c *Conn) keep() {
	c.m.durable.on = true
	c.keeper = &keeper{store: c.opts.Store, due: make(chan struct{}, 1), ended: make(chan struct{})}
	c.tasks.Go(c.saveAll)
}

// saveAll saves what has changed, until the session is over.
func (c *Conn) saveAll() {
	defer close(c.keeper.ended)
	for {
		select {
		case <-c.ctx.Done():
			c.endStored()
			return
		case <-c.keeper.due:
		}
		err := c.saveChange()
		if err == nil {
			continue
		}
		c.log.Error("client: the store fails, and is tried again", slog.Any("error", err))
		select {
		case <-c.ctx.Done():
		case <-time.After(saveRetry):
			c.saveDue()
		}
	}
}

// saveChange saves what has changed, and before the first message is sent on a
// connection, that all may be.
func (c *Conn) saveChange() error {
	if err := c.saveRejected(); err != nil {
		return err
	}
	c.mu.Lock()
	waiting := c.m.durable.waiting
	c.mu.Unlock()
	if waiting {
		c.keeper.puts.Lock()
		defer c.keeper.puts.Unlock()
		if err := c.keeper.store.Sent(); err != nil {
			return fmt.Errorf("client: store: %w", err)
		}
	}
	return c.save(saving{all: waiting})
}

func (c *Conn) saveDue() {
	select {
	case c.keeper.due <- struct{}{}:
	default:
	}
}

// saving is what a save is for, beside the state of the session.
type saving struct {
	all    bool // the Store knows that all messages may be sent, so that it may begin
	isRead bool // Read is about to return message read
	read   seqwindow.Serial
}

// save saves the state of the session.
func (c *Conn) save(what saving) error {
	k := c.keeper
	k.saves.Lock()
	defer k.saves.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.err != nil || c.m.token == "" {
		return nil
	}
	s := c.m.snapshot()
	if what.isRead && seqwindow.Less(seqwindow.Serial(s.Received), what.read) {
		s.Received = uint32(what.read)
	}
	c.mu.Unlock()
	err := k.store.Save(s)
	c.mu.Lock()
	if err != nil {
		return fmt.Errorf("client: store: %w", err)
	}
	c.m.saved(s)
	if what.all {
		c.m.savedToken(s.Token)
	}
	c.perform(time.Now())
	return nil
}

func (c *Conn) saveRejected() error {
	c.mu.Lock()
	positions := c.m.durable.rejected
	c.m.durable.rejected = nil
	c.mu.Unlock()
	for i, at := range positions {
		if err := c.keeper.store.Reject(uint32(at)); err != nil {
			c.mu.Lock()
			c.m.durable.rejected = append(positions[i:], c.m.durable.rejected...)
			c.mu.Unlock()
			return err
		}
	}
	return nil
}

// endStored tells the Store that the session is over.
func (c *Conn) endStored() {
	k := c.keeper
	k.puts.Lock()
	defer k.puts.Unlock()
	k.saves.Lock()
	defer k.saves.Unlock()
	c.mu.Lock()
	acked, left := uint32(c.m.out.acked), k.left
	c.mu.Unlock()
	if left {
		return
	}
	if err := k.store.End(acked); err != nil {
		c.log.Error("client: the store fails at the end of its session", slog.Any("error", err))
	}
}

// put puts a message into the Store, if there is one, and into the outbox.
// seqwindow.ErrFull says that there is no room now. The caller holds mu.
func (c *Conn) put(m *StoredMessage) (seqwindow.Serial, error) {
	if c.keeper == nil || c.m.plain {
		return c.m.out.add(c.m.encodeKeyed(m.Type, m.Data, m.Key))
	}
	c.mu.Unlock()
	c.keeper.puts.Lock()
	defer c.keeper.puts.Unlock()
	c.mu.Lock()
	if err := c.m.over(); err != nil {
		return 0, err
	}
	raw := c.m.encodeKeyed(m.Type, m.Data, m.Key)
	if !c.m.out.window.Fits(len(raw)) {
		return 0, seqwindow.ErrFull
	}
	m.Position, m.MaySend = uint32(c.m.out.window.Head()+1), c.m.sends()
	c.mu.Unlock()
	err := c.keeper.store.Put(m)
	c.mu.Lock()
	if err != nil {
		return 0, fmt.Errorf("client: write: %w", err)
	}
	if err := c.m.over(); err != nil {
		return 0, err // it is among what the session leaves
	}
	return c.m.out.add(raw)
}

// sent notes in the Store that what was put may be sent, before a connection is
// attached on which that happens at once, and keeps writers away until done is
// called. The caller does not hold mu.
func (c *Conn) sent(o *offer) (done func(), err error) {
	if c.keeper == nil || !o.early() {
		return func() {}, nil
	}
	c.keeper.puts.Lock()
	if err := c.keeper.store.Sent(); err != nil {
		c.keeper.puts.Unlock()
		return nil, fmt.Errorf("client: store: %w", err)
	}
	return c.keeper.puts.Unlock, nil
}

// saveRead saves that message seq is read. The caller holds mu.
func (c *Conn) saveRead(seq seqwindow.Serial) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.save(saving{isRead: true, read: seq})
}

// ended returns the error of a session that is over once the Store knows of it,
// so that the next Dial finds there what it has left. The caller holds mu.
func (c *Conn) ended(err error) error {
	if c.keeper != nil && c.m.err != nil {
		c.mu.Unlock()
		<-c.keeper.ended
		c.mu.Lock()
	}
	return err
}

// Resumed reports whether Dial went on with the session of a Store. If not, the
// app knows nothing of this client yet.
func (c *Conn) Resumed() bool { return c.resumed }
