package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/client/outbox"
)

// retryEvery is how long the agent waits between attempts to begin a session for
// a program that it has accepted (WSR_AGENT_OFFLINE=accept).
const retryEvery = 2 * time.Second

// A program is its connection with the agent: a WebSocket, or a TCP connection whose
// bytes become messages.
type program interface {
	Read(ctx context.Context) (websocket.MessageType, []byte, error)
	Write(ctx context.Context, typ websocket.MessageType, p []byte) error
	Close(code websocket.StatusCode, reason string) error
	CloseNow() error
	Subprotocol() string
}

// A session is one connection of a program, and what it is at the server.
type session struct {
	agent *Agent
	path  string
	began time.Time
	log   *slog.Logger

	store *outbox.Store // nil: nothing outlives the agent
	far   atomic.Pointer[client.Conn]
}

// open opens the outbox, where the session is to outlive the agent.
func (s *session) open() (err error) {
	if s.agent.settings.Continue.Match(s.path) {
		if s.store, err = s.agent.openOutbox(s.path); err != nil {
			s.log.Error("no outbox", "error", err.Error())
		}
	}
	return err
}

func (s *session) close() {
	if s.store != nil {
		_ = s.store.Close()
	}
}

// run serves the program until one side ends.
func (s *session) run(w http.ResponseWriter, r *http.Request) {
	defer s.close()
	if err := s.open(); err != nil {
		http.Error(w, "wsresilience-agent: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	protocols := application(r.Header)
	if s.agent.settings.Offline == "accept" {
		near, err := accept(w, r, first(protocols))
		if err != nil {
			return
		}
		far := s.dialUntilDone(r.Context(), near, r, protocols)
		if far == nil {
			return
		}
		s.join(r.Context(), near, far)
		return
	}
	far, resp, err := s.dial(r.Context(), r, protocols) //nolint:bodyclose // need not be closed
	if err != nil {
		s.refuse(w, resp, err)
		return
	}
	near, err := accept(w, r, far.Subprotocol())
	if err != nil {
		s.endFar(far, 1001, "")
		return
	}
	s.join(r.Context(), near, far)
}

func first(protocols []string) string {
	if len(protocols) == 0 {
		return ""
	}
	return protocols[0]
}

// accept completes the program's handshake.
func accept(w http.ResponseWriter, r *http.Request, protocol string) (program, error) {
	o := &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionNoContextTakeover}
	if protocol != "" {
		o.Subprotocols = []string{protocol}
	}
	c, err := websocket.Accept(w, r, o)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1) // the server says what is too large
	return c, nil
}

func (s *session) dial(ctx context.Context, r *http.Request, protocols []string) (*client.Conn, *http.Response, error) {
	o := &client.Options{
		HTTPHeader: passed(r.Header), Subprotocols: protocols, TLSConfig: s.agent.tls, Logger: s.log, MaxMessage: -1,
		OutboxMessages: s.agent.settings.MaxMessages, OutboxBytes: int(s.agent.settings.MaxBytes),
	}
	if s.store != nil {
		o.Store = s.store
	}
	far, resp, err := client.Dial(ctx, address(s.agent.target, r.URL), o)
	if err != nil {
		s.agent.counters.failed.Add(1)
		s.log.Warn("the server is out of reach, or refuses", "error", err.Error())
		return nil, resp, err
	}
	if s.store != nil {
		if err := s.resend(ctx, far); err != nil {
			s.endFar(far, 1011, "")
			return nil, nil, err
		}
	}
	s.far.Store(far)
	s.log.Info("session", "id", far.SessionID(), "resilient", far.Resilient(), "continued", far.Resumed())
	return far, resp, nil
}

// resend sends what a session that is lost has left, unless it may have been
// delivered, or is too old.
func (s *session) resend(ctx context.Context, far *client.Conn) error {
	left, err := s.store.Left()
	for _, m := range left {
		if err != nil {
			break
		}
		most := s.agent.settings.MaxAge
		switch {
		case m.MaybeDelivered:
			s.agent.counters.doubtful.Add(1)
			err = s.store.Forget(m)
		case most > 0 && time.Since(m.Created) > most:
			s.agent.counters.expired.Add(1)
			err = s.store.Forget(m)
		default:
			err = far.WriteLeft(ctx, m)
		}
	}
	return err
}

// dialUntilDone begins the session of a program that is connected already. It
// returns nil when the program is gone, or its subprotocol is not what the server
// chose.
func (s *session) dialUntilDone(ctx context.Context, near program, r *http.Request, protocols []string) *client.Conn {
	for {
		far, resp, err := s.dial(ctx, r, protocols) //nolint:bodyclose // need not be closed
		switch {
		case err == nil && far.Subprotocol() != near.Subprotocol():
			s.log.Error("the server chose another subprotocol than the program was told", "chosen", far.Subprotocol(), "told", near.Subprotocol())
			s.endFar(far, 1002, "")
			_ = near.Close(websocket.StatusProtocolError, "subprotocol")
			return nil
		case err == nil:
			return far
		case resp != nil && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
			_ = near.Close(websocket.StatusPolicyViolation, resp.Status)
			return nil
		}
		select {
		case <-ctx.Done():
			_ = near.Close(websocket.StatusGoingAway, "")
			return nil
		case <-time.After(retryEvery):
		}
	}
}

// refuse answers a program whose session cannot begin as the server would, or
// with 502.
func (s *session) refuse(w http.ResponseWriter, resp *http.Response, err error) {
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		http.Error(w, "wsresilience-agent: "+err.Error(), http.StatusBadGateway)
		return
	}
	for name, values := range passed(resp.Header) {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	body := make([]byte, 1024)
	n, _ := resp.Body.Read(body)
	_, _ = w.Write(body[:n])
}

// join passes messages both ways until one side ends, and ends the other alike.
func (s *session) join(ctx context.Context, near program, far *client.Conn) {
	defer func() { _ = near.CloseNow() }()
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	var down sync.WaitGroup
	down.Go(func() {
		defer cancel()
		s.fromServer(both, near, far)
	})
	err := s.fromProgram(both, near, far)
	s.programEnded(ctx, far, err)
	down.Wait()
}

// fromServer passes what the server says. When its session is over, the program
// hears the same close.
func (s *session) fromServer(ctx context.Context, near program, far *client.Conn) {
	for {
		typ, p, err := far.Read(ctx)
		if err == nil {
			s.agent.counters.received.Add(1)
			err = near.Write(ctx, websocket.MessageType(typ), p)
			if err == nil {
				continue
			}
			return // fromProgram finds out why
		}
		lost, isLost := errors.AsType[*client.SessionLostError](err)
		code := client.CloseStatus(err)
		switch {
		case ctx.Err() != nil:
		case isLost:
			s.agent.counters.lost.Add(1)
			s.log.Warn("the session is lost; the program is told to connect anew", "reason", string(lost.Reason), "unacknowledged", lost.Unacked)
			_ = near.Close(websocket.StatusServiceRestart, "")
		case code < 0 || code == 1006 || code == 1005:
			// As the program would see it without the agent.
		default:
			ce, _ := errors.AsType[*client.CloseError](err)
			_ = near.Close(websocket.StatusCode(code), ce.Reason)
		}
		return
	}
}

// fromProgram passes what the program says, and returns what it ended with.
func (s *session) fromProgram(ctx context.Context, near program, far *client.Conn) error {
	for {
		typ, p, err := near.Read(ctx)
		if err == nil {
			if err = s.write(ctx, far, client.MessageType(typ), p); err == nil {
				s.agent.counters.sent.Add(1)
				continue
			}
			if errors.Is(err, client.ErrTooBig) {
				_ = near.Close(websocket.StatusMessageTooBig, "")
			}
		}
		return err
	}
}

// programEnded ends the session as the program ended. ctx is over if this agent
// stops.
func (s *session) programEnded(ctx context.Context, far *client.Conn, err error) {
	ce, closed := errors.AsType[websocket.CloseError](err)
	switch {
	case closed && ce.Code != websocket.StatusNoStatusRcvd:
		s.endFar(far, int(ce.Code), ce.Reason)
	case closed:
		s.endFar(far, 1000, "")
	case ctx.Err() != nil && s.store == nil:
		s.endFar(far, 1001, "") // nothing would go on
	default:
		s.leaveFar(far)
	}
}

// write writes a message; while the outbox is full the program is not read.
func (s *session) write(ctx context.Context, far *client.Conn, typ client.MessageType, p []byte) error {
	for {
		err := far.Write(ctx, typ, p)
		if !errors.Is(err, outbox.ErrFull) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// endFar closes the session with what the program said.
func (s *session) endFar(far *client.Conn, code int, reason string) {
	if err := far.Close(code, reason); err != nil {
		s.log.Warn("the end of a session was not confirmed", "error", err.Error())
	}
}

// leaveFar handles that the program is gone without a close.
func (s *session) leaveFar(far *client.Conn) {
	if s.store != nil {
		_ = far.Suspend()
		return
	}
	_ = far.CloseNow()
}
