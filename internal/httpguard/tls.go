package httpguard

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/wsresilience/wsresilience/internal/budget"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
)

// What TLS keeps of what a client sent is out of our sight: a record until it has
// come whole, and messages of a handshake, of which the first may claim 64 KiB and
// a later one 256. What can be seen is below it, how much it reads and into how
// large a buffer, and above it, that something comes out.

// Implementation limits of a connection with TLS.
const (
	// maxUndelivered is what is read without anything coming out: a handshake, of
	// some kilobytes also with certificates of both sides, a record of 16 KiB behind
	// it, and what is read beyond that.
	maxUndelivered = 64 << 10

	// maxTLSRead is what is read at once, since TLS may offer all of a buffer that
	// has grown.
	maxTLSRead = 16 << 10

	// freeHandshake is what a handshake may keep whatever the memory: most have
	// less.
	freeHandshake = 12 << 10

	// handshakeShare is the part of the budget for what handshakes keep beyond.
	handshakeShare = 8

	// handshakeLeast is what each may take in any case, before it makes way.
	handshakeLeast = 250 * time.Millisecond
)

// errUndelivered ends a connection whose client sends and says nothing.
var errUndelivered = errors.New("httpguard: TLS refused: too much without a message, or no memory for it")

// errLate ends a handshake that did not get its turn.
var errLate = errors.New("httpguard: TLS refused: too many handshakes")

// Handshakes says what the handshakes of a listener may take.
type Handshakes struct {
	Memory  *budget.Budget // what TLS keeps of what clients sent counts against it
	Refused func()         // called for each that has to go for memory; nil: nobody wants to know
	Late    func()         // called for each that did not get its turn in time; nil: as above

	// Known reports whether an address is of those who do not wait for others. nil:
	// nobody is known. It is called often, and concurrently.
	Known func(netip.Addr) bool

	// Rest is how many times as long as it took others rest after each step of a
	// handshake: 3 leaves them a quarter of one processor. 0: they do not, and take
	// as much as the known.
	Rest int
}

// TLS wraps l as tls.NewListener does. What TLS keeps of what a client sent counts
// against memory; what handshakes keep is bounded, and those that take longest make
// way for others. They compute in turns, by address.
func TLS(l net.Listener, config *tls.Config, h Handshakes) net.Listener {
	t := &tlsListener{Listener: l, config: config}
	t.room.Handshakes = h
	t.room.known.free = max(runtime.GOMAXPROCS(0)-1, 1)
	if t.room.others.free = t.room.known.free; h.Rest > 0 {
		t.room.others.free, t.room.others.rest = 1, h.Rest
	}
	return t
}

type tlsListener struct {
	net.Listener
	config *tls.Config
	room   tlsRoom
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m := &tlsMeter{Conn: c, room: &l.room}
	if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		m.source = clientaddr.Plain(at.Addr())
	}
	return &tlsConn{tls.Server(m, l.config), m}, nil
}

// A tlsConn tells the meter below what comes out of TLS.
type tlsConn struct {
	*tls.Conn
	meter *tlsMeter
}

// Read implements net.Conn.
func (c *tlsConn) Read(p []byte) (n int, err error) {
	n, err = c.Conn.Read(p)
	c.meter.rest()
	if n > 0 {
		c.meter.delivered()
	}
	return n, err
}
