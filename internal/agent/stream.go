package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
)

// Implementation limits of TCP connections.
const (
	// maxPiece is how much is read at once, and maxPacket the largest packet of MQTT
	// that is one message: a larger one is several, as the standard allows (MQTT 5.0
	// §6.0).
	maxPiece  = 16 << 10
	maxPacket = 1 << 20

	// acceptPause is how long the listener rests after an error, as of too many open
	// files.
	acceptPause = 100 * time.Millisecond
)

// A stream is the TCP connection of a program. Its bytes are the payloads of binary
// messages in a row; how they are cut means nothing to the program.
type stream struct {
	conn     net.Conn
	in       *bufio.Reader
	protocol string
	rest     int // of a packet that is too large to be one message
}

// serveStreams gives each connection its session, until the listener is closed.
func (a *Agent) serveStreams(ctx context.Context, l net.Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			a.log.Warn("a connection was not accepted", "error", err.Error())
			time.Sleep(acceptPause)
			continue
		}
		u, err := url.ParseRequestURI(a.settings.TCPPath)
		if err != nil {
			panic(err) // the settings were checked
		}
		s := a.begin(u.Path)
		go func() {
			defer a.end(s)
			s.stream(ctx, &stream{conn: conn, in: bufio.NewReaderSize(conn, maxPiece), protocol: a.settings.TCPProtocol}, u)
		}()
	}
}

// stream serves a program that speaks over TCP until one side ends. It cannot be told
// why there is no session, so that its connection is just closed.
func (s *session) stream(ctx context.Context, near *stream, u *url.URL) {
	defer s.close()
	defer func() { _ = near.CloseNow() }()
	if s.open() != nil {
		return
	}
	var protocols []string
	if near.protocol != "" {
		protocols = []string{near.protocol}
	}
	r := &http.Request{URL: u, Header: http.Header{}}
	if s.agent.settings.Offline == "accept" {
		if far := s.dialUntilDone(ctx, near, r, protocols); far != nil {
			s.join(ctx, near, far)
		}
		return
	}
	far, _, err := s.dial(ctx, r, protocols) //nolint:bodyclose // need not be closed
	switch {
	case err != nil:
	case far.Subprotocol() != near.protocol:
		s.log.Error("the server chose another subprotocol", "chosen", far.Subprotocol(), "offered", near.protocol)
		s.endFar(far, 1002, "")
	default:
		s.join(ctx, near, far)
	}
}

func (s *stream) Subprotocol() string { return s.protocol }

// Read returns the next message. The end of what the program says is a close.
func (s *stream) Read(ctx context.Context) (websocket.MessageType, []byte, error) {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })()
	p, err := s.next()
	switch {
	case ctx.Err() != nil:
		return 0, nil, ctx.Err()
	case errors.Is(err, io.EOF):
		return 0, nil, websocket.CloseError{Code: websocket.StatusNormalClosure}
	}
	return websocket.MessageBinary, p, err
}

// next cuts the next message.
func (s *stream) next() ([]byte, error) {
	if s.protocol != "mqtt" || s.rest > 0 {
		return s.piece()
	}
	head, length, err := s.packet()
	if err != nil {
		return nil, err
	}
	if head+length > maxPacket {
		s.rest = head + length
		return s.piece()
	}
	p := make([]byte, head+length)
	n, err := io.ReadFull(s.in, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the server gets what there is
	}
	return p[:n], err
}

// piece returns what is here.
func (s *stream) piece() ([]byte, error) {
	if _, err := s.in.Peek(1); err != nil {
		return nil, err
	}
	p := make([]byte, s.in.Buffered())
	if s.rest > 0 {
		p = p[:min(len(p), s.rest)]
	}
	n, err := io.ReadFull(s.in, p)
	s.rest = max(s.rest-n, 0)
	return p[:n], err
}

// packet returns how long the fixed header of the next packet is, and what follows it
// (MQTT 5.0 §2.1). What is no packet is for the server to refuse: it gets it as it is.
func (s *stream) packet() (head, length int, err error) {
	for i := 1; i <= 4; i++ {
		b, err := s.in.Peek(i + 1)
		if err != nil {
			if len(b) > 0 && errors.Is(err, io.EOF) {
				return len(b), 0, nil
			}
			return 0, 0, err
		}
		length |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return i + 1, length, nil
		}
	}
	return 5, 0, nil
}

func (s *stream) Write(ctx context.Context, _ websocket.MessageType, p []byte) error {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetWriteDeadline(time.Unix(1, 0)) })()
	_, err := s.conn.Write(p)
	return err
}

func (s *stream) Close(websocket.StatusCode, string) error { return s.conn.Close() }

func (s *stream) CloseNow() error { return s.conn.Close() }
