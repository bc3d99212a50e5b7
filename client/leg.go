package client

import (
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// leg is one connection as the machine sees it.
type leg struct {
	offer offer
	since time.Time // the handshake, then WELCOME

	buf      input
	messages frame.Messages

	welcomed bool
	count    seqwindow.Serial // last data message that came here (PROTOCOL §4.4)
	heard    time.Time        // when bytes came last
	rival    bool             // we dialled again, so 4409 may be our own doing
	probed   bool             // a probe was made of the present silence

	newest heartbeat.Newest
	answer *[wire.HeartbeatPayload]byte // of the HEARTBEAT to be answered
	pong   []byte                       // payload of the newest Ping; nil is none
	probe  bool                         // a HEARTBEAT of ours is due
	ackDue bool

	closeSent bool // CLOSE, or the close frame of an ordinary WebSocket

	// dead is set when the connection is over for the machine. The driver
	// writes parting, as far as the peer takes it, and closes the socket.
	dead    *wire.CloseError
	parting []byte
}

// Implementation limits of a leg's input.
const (
	readSize = 4 << 10  // what one read asks for at least
	keepRead = 64 << 10 // a larger buffer is not kept after its message
)

// input gathers the bytes that were read until they are whole messages. It
// grows with what has come, not with what a header declares.
type input struct {
	b     []byte
	start int // of what is not consumed
	end   int
}

// space returns where to read to; added tells how much came.
func (p *input) space() []byte {
	if p.start == p.end {
		p.start, p.end = 0, 0
		if len(p.b) > keepRead {
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

// preload puts bytes that came before the first read.
func (p *input) preload(b []byte) {
	p.b, p.start, p.end = b, 0, len(b)
}
