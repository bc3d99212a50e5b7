package demo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab"
)

// network is a visitor whose network leads to one connection of the test's, and a
// server of its sockets.
func network(t *testing.T) (v *visitor, server string, accepted <-chan net.Conn) {
	t.Helper()
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, maxConnections)
	go func() {
		for c, err := far.Accept(); err == nil; c, err = far.Accept() {
			conns <- c
		}
	}()
	v = &visitor{name: "x", tally: newTally(options{rate: 1})}
	if v.balancer, err = lab.NewBalancer(func() []string { return []string{far.Addr().String()} }, loopback); err != nil {
		t.Fatal(err)
	}
	v.link = v.balancer.Link(0)
	v.life, v.end = context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { plain.socket(v, w, r) }))
	t.Cleanup(func() {
		v.end()
		v.work.Wait()
		v.balancer.Close()
		s.Close()
		_ = far.Close()
	})
	return v, s.Listener.Addr().String(), conns
}

// browse sends a handshake, and returns the connection when the far end has it.
func browse(t *testing.T, server string, accepted <-chan net.Conn) (browser, far net.Conn, r *http.Request) {
	t.Helper()
	browser, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = browser.Close() })
	const handshake = "GET /visit/x/plain HTTP/1.1\r\nHost: desk.example\r\nOrigin: https://desk.example\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly"
	if _, err := io.WriteString(browser, handshake); err != nil {
		t.Fatal(err)
	}
	far = <-accepted
	t.Cleanup(func() { _ = far.Close() })
	in := bufio.NewReader(far)
	if r, err = http.ReadRequest(in); err != nil {
		t.Fatal(err)
	}
	early := make([]byte, len("early"))
	if _, err := io.ReadFull(in, early); err != nil || string(early) != "early" {
		t.Fatalf("what followed the handshake: %q, %v", early, err)
	}
	return browser, far, r
}

// The app gets the browser's handshake, at the address of the visitor's client,
// and nothing of where the page was.
func TestSocketHandshake(t *testing.T) {
	v, server, accepted := network(t)
	browser, far, r := browse(t, server, accepted)
	if r.URL.Query().Get("k") != "1" || r.Header.Get("Origin") != "" || r.Header.Get("Sec-WebSocket-Key") != "k" {
		t.Errorf("the app is asked %s with %v", r.URL, r.Header)
	}
	for _, way := range [][2]net.Conn{{browser, far}, {far, browser}} {
		_, _ = io.WriteString(way[0], "hello")
		text := make([]byte, len("hello"))
		if _, err := io.ReadFull(way[1], text); err != nil || string(text) != "hello" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if status, text, _ := request(t, "GET", "http://"+server+"/visit/x/plain"); status != http.StatusUpgradeRequired {
		t.Errorf("no handshake: %d %s", status, text)
	}
	v.end()
	if _, err := browser.Read(make([]byte, 1)); err == nil {
		t.Error("the visit is over, and its connection is not")
	}
}

// A browser learns of a fault what it would have learned of its own network.
func TestSocketFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  func(*visitor)
		silent bool  // the browser hears nothing
		want   error // of a read
	}{
		{"RST", func(v *visitor) { v.link.Cut(faultlink.RST) }, false, syscall.ECONNRESET},
		{"FIN", func(v *visitor) { v.link.Cut(faultlink.FIN) }, false, io.EOF},
		{"half open", func(v *visitor) { v.link.Cut(faultlink.DropTarget) }, true, nil},
		{"swallowed", func(v *visitor) { v.link.Cut(faultlink.Mute) }, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, server, accepted := network(t)
			browser, _, _ := browse(t, server, accepted)
			tt.fault(v)
			limit := 5 * time.Second
			if tt.silent {
				limit = 100 * time.Millisecond // nothing comes, which takes time to see
			}
			_ = browser.SetReadDeadline(time.Now().Add(limit))
			_, err := browser.Read(make([]byte, 1))
			var timeout net.Error
			if silent := errors.As(err, &timeout) && timeout.Timeout(); silent != tt.silent || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("the browser reads %v, want %v", err, tt.want)
			}
			if _, err := io.WriteString(browser, strings.Repeat("x", 100)); tt.silent && err != nil {
				t.Errorf("into the void: %v", err)
			}
		})
	}
}

// While the network is down there is no connection, and no answer either.
func TestSocketDown(t *testing.T) {
	v, server, accepted := network(t)
	if err := v.link.Down(true); err != nil {
		t.Fatal(err)
	}
	r := newRequest(t, "http://"+server+"/visit/x/plain")
	r.Header.Set("Upgrade", "websocket")
	if resp, err := (&http.Transport{}).RoundTrip(r); err == nil {
		resp.Body.Close()
		t.Errorf("an answer through a network that is down: %s", resp.Status)
	}
	if err := v.link.Down(false); err != nil {
		t.Fatal(err)
	}
	browse(t, server, accepted)
}

// One visitor has so many connections at a time.
func TestSocketsAreBounded(t *testing.T) {
	v, server, accepted := network(t)
	for range maxConnections {
		browse(t, server, accepted)
	}
	status, _, _ := request(t, "GET", "http://"+server+"/visit/x/plain", "Connection", "Upgrade", "Upgrade", "websocket")
	if status != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", status)
	}
	v.link.Cut(faultlink.RST)
	limit, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	await(limit, func() bool { return v.enter() })
	if limit.Err() != nil {
		t.Fatal("they are gone, and there is no room")
	}
	v.leave()
}
