package main

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are made in memory.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accepted <- server
	return client
}

// TestConnectionsAreBounded: of connections that ask for nothing the oldest is
// closed for a new one; one with a request is answered.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 10
		gate := make(chan struct{})
		c := newConnections(limit)
		server := &http.Server{ConnState: c.state, ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gate })}
		listener := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		go func() { _ = server.Serve(listener) }()
		defer server.Close()

		busy := listener.dial()
		if _, err := io.WriteString(busy, "GET / HTTP/1.1\r\nHost: injector\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var unused []net.Conn
		for range 3 * limit {
			unused = append(unused, listener.dial())
			synctest.Wait()
			if n := len(c.all); n > limit {
				t.Fatalf("%d connections", n)
			}
		}
		for i, conn := range unused {
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
			_, err := conn.Read(make([]byte, 1))
			if open := err != io.EOF; open != (i >= 2*limit+1) {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		close(gate)
		status := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.ReadFull(busy, status); err != nil || string(status) != "HTTP/1.1 200" {
			t.Errorf("%q, %v", status, err)
		}
		busy.Close()
		for _, conn := range unused {
			conn.Close()
		}
		synctest.Wait()
		if len(c.all) != 0 || c.waiting.Len() != 0 {
			t.Errorf("%d connections are still known, %d wait", len(c.all), c.waiting.Len())
		}
	})
}
