package passthrough

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// H30: a connection is not taken for a request before what came on it was
// read, and bytes that come before the request is written are an error.
func TestKeptConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, app := net.Pipe()
		defer app.Close()
		k := newKeptConn(ours)
		took := make(chan struct{})
		go func() { k.take(); close(took) }()
		synctest.Wait()
		select {
		case <-took:
			t.Fatal("taken while nobody reads")
		default:
		}
		got := make(chan error, 1)
		read := func() {
			_, err := k.Read(make([]byte, 8))
			got <- err
		}
		go read()
		<-took
		go func() { _, _ = app.Write([]byte("early")) }()
		if err := <-got; !errors.Is(err, errUnasked) {
			t.Errorf("bytes before the request: %v, want %v", err, errUnasked)
		}
		go func() { _, _ = app.Read(make([]byte, 8)) }()
		if _, err := k.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
		go read()
		go func() { _, _ = app.Write([]byte("answer")) }()
		if err := <-got; err != nil {
			t.Errorf("bytes after the request: %v", err)
		}
		go func() { synctest.Wait(); k.Close() }()
		k.take() // returns, since the connection is closed
	})
}
