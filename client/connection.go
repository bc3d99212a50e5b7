package client

import (
	"errors"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// connection is the machine's state of one connection.
type connection struct {
	offer offer
	since time.Time // of the handshake, then of WELCOME

	input    input
	messages frame.Messages

	welcomed     bool
	lastSeq      seqwindow.Serial // of the last data message that came here (PROTOCOL §4.4)
	lastReceived time.Time        // when bytes came last
	superseding  bool             // we dialled another one, so a 4409 may be due to that
	probed       bool             // a HEARTBEAT was sent because of the present silence
	answerBy     time.Time        // when something must have come since the network changed; zero is never
	leaving      bool             // GOAWAY came here

	newestBeat     heartbeat.Newest
	heartbeatReply *[wire.HeartbeatPayload]byte // payload of the HEARTBEAT to be answered
	pong           []byte                       // payload of the newest Ping; nil is none
	probeDue       bool                         // a HEARTBEAT of ours is to be sent
	ackDue         bool
	restoredDue    int              // RESTORED that are to be sent, one for each adoption
	restoreSent    bool             // RESTORE was, and nothing shows that the sidecar has RESTORED
	asked          seqwindow.Serial // last awaited message behind which a HEARTBEAT was sent

	closeSent bool // CLOSE, or the close frame of an ordinary WebSocket

	// closed is set when the connection has ended for the machine. The driver
	// writes finalBytes, if the peer still takes them, and closes the socket.
	closed     *wire.CloseError
	cause      error // what broke it, if it broke
	finalBytes []byte
}

// alone reports whether a connection that ended with code was lost by itself, as
// far as is known. When the other end did it, its process may be gone, and other
// clients may have lost theirs; a drain closes in the end whoever is left.
func (conn *connection) alone(code ws.StatusCode) bool {
	switch code {
	case wire.CodeTimeout:
		return true
	case ws.StatusGoingAway, wire.CodeRestart:
		return false
	}
	return conn.leaving || lostHere(conn.cause)
}

// lostHere reports whether an error of a socket says that this host, or its
// network, lost the connection.
func lostHere(err error) bool {
	for _, e := range [...]syscall.Errno{
		syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.ENETRESET, syscall.ECONNABORTED,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Implementation limits of a connection's input.
const (
	readSize      = 4 << 10  // what one read asks for at least
	maxKeptBuffer = 64 << 10 // a larger buffer is not kept after its message
)

// input holds bytes that were read until they are whole messages. It grows
// with what has come, not with what a header declares.
type input struct {
	b     []byte
	start int // of the bytes that are not consumed
	end   int
}

// space returns where to read to; added takes how much came.
func (p *input) space() []byte {
	if p.start == p.end {
		p.start, p.end = 0, 0
		if len(p.b) > maxKeptBuffer {
			p.b = nil
		}
	}
	if len(p.b)-p.end < readSize/2 {
		have := p.bytes()
		to := p.b
		if len(have) > len(p.b)/2 || len(p.b) < readSize {
			to = make([]byte, max(readSize, 2*len(have)))
		}
		p.start, p.end = 0, copy(to, have)
		p.b = to
	}
	return p.b[p.end:]
}

func (p *input) added(n int)    { p.end += n }
func (p *input) consumed(n int) { p.start += n }
func (p *input) bytes() []byte  { return p.b[p.start:p.end] }

// preload sets the bytes that came before the first read.
func (p *input) preload(b []byte) {
	p.b, p.start, p.end = b, 0, len(b)
}
