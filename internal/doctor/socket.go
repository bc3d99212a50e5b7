package doctor

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/deflate"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/frame"
)

// maxRead bounds a frame that is read: what an echo returns at most.
const maxRead = 16 << 20

// A socket is an open WebSocket. One goroutine reads, hands on what comes, and
// answers pings as browsers do. Its methods may be called by several goroutines.
type socket struct {
	c     net.Conn
	began time.Time
	rsv   byte       // bits that were agreed upon
	sent  sync.Mutex // held while writing

	frames chan received // closed at the end
	over   chan struct{}

	mu     sync.Mutex
	end    *diagnosis.End
	heard  int       // pings
	beacon *received // the newest ping that is a sidecar's
	last   time.Time // when a byte went either way
	quiet  time.Duration
}

// received is a message, a pong or a close frame.
type received struct {
	op      ws.OpCode
	payload []byte
	at      time.Time
}

func newSocket(c net.Conn, br *bufio.Reader, deflate bool) *socket {
	now := time.Now()
	var rsv byte
	if deflate {
		rsv = frame.RSV1
	}
	s := &socket{c: c, rsv: rsv, began: now, last: now, frames: make(chan received, 4096), over: make(chan struct{})}
	go s.read(br)
	return s
}

// finish notes the first end.
func (s *socket) finish(e diagnosis.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		e.After = time.Since(s.began)
		s.end = &e
	}
}

// ended is how it ended, or nil.
func (s *socket) ended() *diagnosis.End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// touch notes that a byte went.
func (s *socket) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.quiet = max(s.quiet, now.Sub(s.last))
	s.last = now
}

// quietest is the longest time without a byte, until now.
func (s *socket) quietest() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Now()
	if s.end != nil {
		until = s.began.Add(s.end.After)
	}
	return max(s.quiet, until.Sub(s.last))
}

func (s *socket) read(br *bufio.Reader) {
	defer close(s.over)
	defer close(s.frames)
	var message []byte
	var compressed bool
	var op ws.OpCode
	flow := frame.Flow{}
	for {
		h, payload, err := next(br, s.rsv)
		if err == nil {
			err = flow.Next(&h)
		}
		var bad frame.ProtocolError
		switch {
		case errors.As(err, &bad):
			s.finish(diagnosis.End{Cause: diagnosis.BadFrame, Reason: bad.Error()})
			return
		case err != nil:
			s.finish(diagnosis.End{Cause: cause(err)})
			return
		}
		s.touch()
		at := time.Now()
		switch h.OpCode {
		case ws.OpPing:
			s.heardPing(received{ws.OpPing, payload, at})
			_ = s.write(ws.OpPong, payload)
		case ws.OpPong:
			s.hand(received{ws.OpPong, payload, at})
		case ws.OpClose:
			e := diagnosis.End{Code: int(ws.StatusNoStatusRcvd)}
			if len(payload) >= 2 {
				e.Code, e.Reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			s.finish(e)
			_ = s.write(ws.OpClose, payload[:min(2, len(payload))])
			s.hand(received{ws.OpClose, payload, at})
			return
		default:
			if h.OpCode != ws.OpContinuation {
				message, compressed, op = message[:0], h.Rsv == frame.RSV1, h.OpCode
			}
			if message = append(message, payload...); !h.Fin {
				continue
			}
			whole := append([]byte(nil), message...)
			if compressed {
				// An app may use what earlier messages said, which is not kept here.
				if plain, err := deflate.Inflate(nil, message, maxRead); err == nil {
					whole = plain
				}
			}
			s.hand(received{op, whole, at})
		}
	}
}

// hand gives on what is waited for. What nobody takes is dropped.
func (s *socket) hand(r received) {
	select {
	case s.frames <- r:
	default:
	}
}

func (s *socket) heardPing(r received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard++
	if _, err := heartbeat.ParsePayload(r.payload); err == nil {
		s.beacon = &r
	}
}

// pings are those of the other end so far, and the newest that is a sidecar's.
func (s *socket) pings() (int, *received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard, s.beacon
}

// next reads a frame.
func next(br *bufio.Reader, rsv byte) (frame.Header, []byte, error) {
	for n := 2; ; n++ {
		p, err := br.Peek(n)
		if err != nil {
			return frame.Header{}, nil, err
		}
		h, err := frame.Rules{Rsv: rsv}.Parse(p)
		if errors.Is(err, frame.ErrShort) {
			continue
		}
		if err == nil && h.Length > maxRead {
			err = frame.ProtocolError("a frame of more than 16 MiB")
		}
		if err != nil {
			return h, nil, err
		}
		_, _ = br.Discard(h.Size) // peeked at
		payload := make([]byte, h.Length)
		_, err = io.ReadFull(br, payload)
		return h, payload, err
	}
}

// write sends one frame, masked.
func (s *socket) write(op ws.OpCode, payload []byte) error { return s.writeAll(op, payload) }

// writeAll sends frames of one kind in one write.
func (s *socket) writeAll(op ws.OpCode, payloads ...[]byte) error {
	var b []byte
	for _, p := range payloads {
		b = appendFrame(b, op, p)
	}
	return s.writeRaw(b)
}

func appendFrame(b []byte, op ws.OpCode, p []byte) []byte {
	h := ws.Header{Fin: true, OpCode: op, Masked: true}
	_, _ = rand.Read(h.Mask[:]) // never fails
	return frame.Append(b, h, p)
}

// writeTimeout is for a peer that takes nothing any more.
const writeTimeout = 10 * time.Second

func (s *socket) writeRaw(b []byte) error {
	s.sent.Lock()
	defer s.sent.Unlock()
	s.touch()
	_ = s.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.c.Write(b)
	return err
}

// wait returns the next message, pong or close frame. It reports false at the
// end, and when the time is over.
func (s *socket) wait(d time.Duration) (received, bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case r, ok := <-s.frames:
		return r, ok
	case <-t.C:
		return received{}, false
	}
}

// farewell is how long a peer has for its close frame.
const farewell = 300 * time.Millisecond

// close says goodbye, so that nobody takes it for a failure.
func (s *socket) close() {
	if s.ended() == nil {
		_ = s.write(ws.OpClose, []byte{0x03, 0xe8}) // 1000
		t := time.NewTimer(farewell)
		defer t.Stop()
		select {
		case <-s.over:
		case <-t.C:
		}
	}
	s.cut()
}

// cut ends the connection without a word.
func (s *socket) cut() { _ = s.c.Close() }
