package client

import (
	"context"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// maxRestoreQueue is how many bytes of a restore wait for the connection before
// RestoreWriter.Write does.
const maxRestoreQueue = 64 << 10

// restore is the restoring of the app's context after an adoption (PROTOCOL
// §8.6). The messages of the outbox wait until RESTORED was sent.
type restore struct {
	number int         // of the adoption; grows
	active bool        // RESTORED was not sent yet
	conn   *connection // on which the sidecar waits for it; nil: on none, it broke
	queue  []byte      // frames that were not given to the connection yet
	done   bool        // the program has restored: RESTORED follows the queue

	// refusals is how many connections in a row, on which RESTORE was sent, ended
	// with a code that refuses a message (PROTOCOL §9.1).
	refusals int
}

// maxRestoreRefusals is how often what the program restores with may end a
// connection: it would do so again.
const maxRestoreRefusals = 2

// adopted handles that the app's socket is new: the sidecar waits for RESTORED,
// one for each time.
func (m *machine) adopted(conn *connection) {
	r := &m.restore
	if !m.cfg.adopt {
		return
	}
	if r.active && r.conn == conn {
		conn.restoredDue++ // of the one that ends here
	}
	*r = restore{number: r.number + 1, refusals: r.refusals}
	if !m.cfg.restores {
		conn.restoredDue++
		return
	}
	if r.refusals >= maxRestoreRefusals {
		m.abandon(wire.CodeRestart, "restore refused")
		return
	}
	r.active, r.conn = true, conn
}

// restoreBroken notes that a connection has ended. The restore begins again on
// the next one, if it was not over.
func (m *machine) restoreBroken(conn *connection) {
	if r := &m.restore; r.conn == conn {
		r.conn, r.queue, r.done = nil, nil, false
	}
}

// refused handles that the peer ended a connection with a code that refuses a
// message. What was said before all others is to blame before all others.
func (m *machine) refused(conn *connection, code ws.StatusCode) {
	if conn.restoreSent {
		m.restore.refusals++
	} else {
		m.out.refused(code)
	}
}

// confirmRestored notes that the sidecar has got past a restore.
func (m *machine) confirmRestored(conn *connection) {
	conn.restoreSent = false
	m.restore.refusals = 0
}

// restoring returns the number of the adoption that the program is to restore
// the app's context after, and whether there is one.
func (m *machine) restoring() (int, bool) {
	r := &m.restore
	return r.number, r.active && r.conn != nil && !r.done && !m.closing.remote && m.err == nil
}

// restoreDue reports whether conn can take something of the restore.
func (m *machine) restoreDue(conn *connection) bool {
	r := &m.restore
	return r.active && r.conn == conn && (len(r.queue) > 0 || r.done)
}

// appendRestore appends what there is of the restore.
func (m *machine) appendRestore(conn *connection, dst []byte) []byte {
	for ; conn.restoredDue > 0; conn.restoredDue-- {
		dst = m.appendControl(dst, wire.AppendRestored(nil))
	}
	if !m.restoreDue(conn) {
		return dst
	}
	r := &m.restore
	conn.restoreSent = conn.restoreSent || len(r.queue) > 0
	dst, r.queue = append(dst, r.queue...), nil
	if r.done {
		dst = m.appendControl(dst, wire.AppendRestored(nil))
		r.active, r.conn, r.done = false, nil, false
	}
	return dst
}

// restored notes that the program has restored the app's context after this
// adoption, or could not. What waits is not for an app that does not know whose
// it is.
func (m *machine) restored(number int, failed bool) {
	n, ok := m.restoring()
	switch {
	case !ok || n != number: // it was interrupted
	case failed:
		m.abandon(wire.CodeRestart, "restore failed")
	default:
		m.restore.done = true
	}
}

// A RestoreWriter sends what restores the app's context: see Options.Restore.
// It is safe for concurrent use, and of no use once Restore has returned.
type RestoreWriter struct {
	c      *Conn
	number int
}

// Write sends a message to the app's new socket, ahead of all that waits for
// it. It fails with context.Canceled once this restore is to end; then Restore
// is called again if the session goes on.
func (w *RestoreWriter) Write(ctx context.Context, typ MessageType, p []byte) error {
	op := ws.OpText
	switch {
	case typ == MessageBinary:
		op = ws.OpBinary
	case typ != MessageText:
		return fmt.Errorf("client: restore: %v: want text or binary", typ)
	case !utf8.Valid(p):
		return fmt.Errorf("client: restore: text is not UTF-8")
	}
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("client: restore: %w", err)
		}
		if n, ok := c.m.restoring(); !ok || n != w.number {
			return fmt.Errorf("client: restore: interrupted: %w", context.Canceled)
		}
		if len(p) > c.m.maxMessage {
			return fmt.Errorf("client: restore: %d bytes, at most %d: %w", len(p), c.m.maxMessage, ErrTooBig)
		}
		r := &c.m.restore
		if len(r.queue) < maxRestoreQueue {
			r.queue = c.m.appendControl(r.queue, wire.AppendRestore(nil, op, p))
			c.perform(time.Now())
			return nil
		}
		if err := c.await(ctx, nil, &c.restoreMoved); err != nil {
			return fmt.Errorf("client: restore: %w", err)
		}
	}
}

// runRestore calls Options.Restore where one is wanted, and ends the one that is
// not wanted any more. One runs at a time.
func (c *Conn) runRestore() {
	n, wanted := c.m.restoring()
	if c.stopRestore != nil {
		if !wanted || n != c.restoreNumber {
			c.stopRestore()
		}
		return
	}
	if !wanted {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.stopRestore, c.restoreNumber = cancel, n
	c.tasks.Go(func() {
		_, err := guarded(c.ctx, func() (struct{}, error) { return struct{}{}, c.opts.Restore(ctx, &RestoreWriter{c, n}) }, nil)
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopRestore = nil
		if err != nil {
			c.log.Info("client: restore ended", slog.Any("error", err))
		}
		c.m.restored(n, err != nil)
		c.perform(time.Now())
	})
}
