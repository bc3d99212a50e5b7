package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// NetConn returns a view of c as a stream: each Write is a message of the
// given type, and Read joins messages of that type. A message of the other
// type fails that Read and is dropped.
//
// ctx bounds all reads and writes of the view. Deadlines work as with any
// net.Conn: they end calls, and neither the session nor its connection. A
// remote close with 1000 or 1001 is io.EOF. Close is c.Close(1000, "").
func NetConn(ctx context.Context, c *Conn, typ MessageType) net.Conn {
	return &netConn{c: c, ctx: ctx, typ: typ}
}

type netConn struct {
	c   *Conn
	ctx context.Context
	typ MessageType

	readMu sync.Mutex // guards rest
	rest   []byte     // of a message that was read in part

	reads, writes deadline
}

func (n *netConn) Read(p []byte) (int, error) {
	n.readMu.Lock()
	defer n.readMu.Unlock()
	expired := n.reads.wait()
	for len(n.rest) == 0 {
		select {
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		typ, msg, err := n.c.read(n.ctx, expired)
		if code := CloseStatus(err); code == int(ws.StatusNormalClosure) || code == int(ws.StatusGoingAway) {
			if !errors.Is(err, net.ErrClosed) {
				return 0, io.EOF
			}
		}
		if err != nil {
			return 0, err
		}
		if typ != n.typ {
			return 0, fmt.Errorf("client: read: %v message, want %v", typ, n.typ)
		}
		n.rest = msg
	}
	k := copy(p, n.rest)
	n.rest = n.rest[k:]
	return k, nil
}

func (n *netConn) Write(p []byte) (int, error) {
	expired := n.writes.wait()
	select {
	case <-expired:
		return 0, os.ErrDeadlineExceeded
	default:
	}
	if err := n.c.write(n.ctx, expired, StoredMessage{Type: n.typ, Data: p}, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (n *netConn) Close() error { return n.c.Close(int(ws.StatusNormalClosure), "") }

// The addresses are the session's: its connections change.
func (n *netConn) LocalAddr() net.Addr  { return sessionAddr("local") }
func (n *netConn) RemoteAddr() net.Addr { return sessionAddr(n.c.url.Host) }

type sessionAddr string

func (sessionAddr) Network() string  { return "websocket" }
func (a sessionAddr) String() string { return string(a) }

func (n *netConn) SetDeadline(t time.Time) error {
	n.reads.set(t)
	n.writes.set(t)
	return nil
}

func (n *netConn) SetReadDeadline(t time.Time) error {
	n.reads.set(t)
	return nil
}

func (n *netConn) SetWriteDeadline(t time.Time) error {
	n.writes.set(t)
	return nil
}

// deadline is a channel that is closed at a time. The zero value is never; set
// may be called while others wait.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	return d.ch
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ch == nil {
		d.ch = make(chan struct{})
	}
	if d.timer != nil && !d.timer.Stop() {
		<-d.ch // it is firing
	}
	d.timer = nil
	closed := false
	select {
	case <-d.ch:
		closed = true
	default:
	}
	if closed {
		d.ch = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	ch := d.ch
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(ch) })
		return
	}
	close(ch)
}
