package transport

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// closingConn tells when it is closed.
type closingConn struct {
	net.Conn
	closed chan struct{}
}

func (c closingConn) Close() error {
	close(c.closed)
	return c.Conn.Close()
}

// CloseWrite is there so that the end of writing is not the end of the pipe.
func (c closingConn) CloseWrite() error { return nil }

// A peer that reads nothing keeps a finished socket no longer than
// lingerClose.
func TestFinishIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		conn := closingConn{near, make(chan struct{})}
		tr := newBufferedConn(conn, Discard{}, new(bufferPool))
		tr.Start(nil)
		if n := tr.Write([][]byte{[]byte("farewell")}); n != 8 {
			t.Fatalf("took %d bytes", n)
		}
		began := time.Now()
		tr.Finish()
		select {
		case <-conn.closed:
		case <-time.After(time.Minute): // virtual
			t.Error("the socket is still there")
		}
		if took := time.Since(began); took > lingerClose {
			t.Errorf("the socket was kept for %v", took)
		}
	})
}

// An owner that never reads what was there before a failed write hears of the end
// all the same.
func TestLastWordsWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		r := &rig{T: t, peer: far, changed: make(chan struct{}, 1)}
		r.t = newBufferedConn(near, r, new(bufferPool))
		r.own(func() {
			r.t.Pause(true) // first: a read that is under way would hear of the end
			r.t.Start(nil)
		})
		far.Close()
		r.own(func() { r.t.Write([][]byte{[]byte("x")}) })
		for _, wait := range []time.Duration{lastWordsWait - time.Second, 2 * time.Second} {
			r.own(func() {
				if len(r.gone) > 0 {
					t.Error("Gone while the owner may still read")
				}
			})
			time.Sleep(wait)
		}
		r.own(func() {
			if len(r.gone) != 1 || !r.gone[0] {
				t.Errorf("Gone: %v", r.gone)
			}
			r.t.Abort()
		})
	})
}

// alertConn is like a TLS connection whose peer takes nothing: closing it
// waits, closing what is below does not.
type alertConn struct {
	net.Conn
	t *testing.T
}

func (c alertConn) NetConn() net.Conn { return c.Conn }

func (c alertConn) Close() error {
	c.t.Error("Abort closes TLS, which writes an alert and waits for room")
	return c.Conn.Close()
}

// Abort is called under a session's lock and waits for nothing.
func TestAbortSaysNoGoodbye(t *testing.T) {
	near, far := net.Pipe()
	tr := newBufferedConn(alertConn{near, t}, Discard{}, new(bufferPool))
	tr.Abort()
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the other end reads %v, want EOF", err)
	}
}
