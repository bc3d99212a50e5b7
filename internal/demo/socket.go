package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// maxConnections bounds the connections of one visitor at a time. A page has two,
	// and for a while those that it has given up without their end hearing of it.
	maxConnections = 32

	// bridgeDial bounds the dial to the visitor's network, which is in this
	// process.
	bridgeDial = time.Second
)

// socket takes the client's connection to the visitor's network. The page's own
// port is the way there, so that one port is all that a container publishes or
// SSH forwards. The name in the path is a secret of the page that was given it,
// so it is not asked where a handshake comes from.
func (u user) socket(v *visitor, w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "this is the address of a WebSocket", http.StatusUpgradeRequired)
		return
	}
	if !v.enter() {
		http.Error(w, "too many connections, or this visit is over", http.StatusServiceUnavailable)
		return
	}
	defer v.leave()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	v.bridge(conn, append(v.handshake(r, u), early...))
}

// handshake is a browser's, as the app behind the network has it. The app lets in
// who comes from its own machine, and names no other page.
func (v *visitor) handshake(r *http.Request, u user) []byte {
	to, _ := url.Parse(v.address(u)) // ours
	header := r.Header.Clone()
	header.Del("Origin")
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", to.RequestURI(), to.Host)
	_ = header.Write(&b) // a Builder takes all
	b.WriteString("\r\n")
	return []byte(b.String())
}

// bridge joins a browser's connection to the network until both are over, and
// tells each how the other ended: by a FIN or by a reset. The network is down
// where nobody accepts: then the browser's connection is reset.
func (v *visitor) bridge(browser net.Conn, head []byte) {
	network, err := net.DialTimeout("tcp", v.link.Addr(), bridgeDial)
	if err != nil {
		abort(browser)
		return
	}
	defer network.Close()
	defer browser.Close()
	defer context.AfterFunc(v.life, func() { abort(browser); abort(network) })()
	if _, err := network.Write(head); err != nil {
		abort(browser)
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { pass(network, browser) })
	ways.Go(func() { pass(browser, network) })
	ways.Wait()
}

// pass hands on what from says, and how it ends.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite() // to may be gone
		return
	}
	abort(to)
	if !errors.Is(err, net.ErrClosed) {
		abort(from) // it may be to that failed
	}
}

// abort resets a connection.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// enter counts a connection of the visitor in, unless there are too many or the
// visit is over; leave counts it out.
func (v *visitor) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.life.Err() != nil || v.sockets == maxConnections {
		return false
	}
	v.sockets++
	v.work.Add(1)
	return true
}

func (v *visitor) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sockets--
	v.work.Done()
}
