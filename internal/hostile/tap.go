package main

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
)

// Implementation limits of a tap.
const (
	maxRecordings = 200
	maxRecording  = 16 << 10
)

// A tap is on the way to a sidecar's address, as a party is that has the network
// there. It passes on what comes, and keeps what is said first on each connection.
type tap struct {
	listener net.Listener
	target   string
	secured  *certified // it has their certificate, and none of their keys; nil: there is no TLS

	mu    sync.Mutex
	heard [][]byte
}

func newTap(target string, secured *certified) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if secured != nil {
		l = tls.NewListener(l, secured.server())
	}
	t := &tap{listener: l, target: target, secured: secured}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go t.pass(c)
		}
	}()
	return t, nil
}

func (t *tap) addr() string { return t.listener.Addr().String() }
func (t *tap) close()       { t.listener.Close() }

func (t *tap) pass(from net.Conn) {
	defer from.Close()
	to, err := t.dial()
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(from, to)
		from.Close()
	}()
	r := &recorder{to: to}
	_, _ = io.Copy(r, from)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard = append(t.heard, r.kept); len(t.heard) > maxRecordings {
		t.heard = t.heard[1:]
	}
}

func (t *tap) dial() (net.Conn, error) {
	if t.secured != nil {
		return tls.Dial("tcp", t.target, t.secured.client())
	}
	return net.Dial("tcp", t.target)
}

// recordings is what was said first on the newest connections.
func (t *tap) recordings() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.heard)
}

// A recorder passes on and keeps the beginning.
type recorder struct {
	to   io.Writer
	kept []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	if room := maxRecording - len(r.kept); room > 0 {
		r.kept = append(r.kept, p[:min(room, len(p))]...)
	}
	return r.to.Write(p)
}
