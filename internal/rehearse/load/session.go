package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

// ErrNoSidecar is what Open returns if the app itself answers.
var ErrNoSidecar = errors.New("rehearse: no sidecar answers there: the server does not speak wsr.v1. Put one in front of the app, or measure it without: -resilient 0")

// On is told what happens to a session, by one goroutine for messages and one
// for events. Any of them may be nil.
type On struct {
	Message func(now time.Time, p []byte)
	Event   func(now time.Time, e client.Event)
	Over    func(err error) // the session has ended; net.ErrClosed if by this side
}

// A Session is a client with one. What it sends and hears is counted by those that
// On names.
type Session struct {
	*client.Conn
	on    On
	tasks sync.WaitGroup
	once  sync.Once
	quiet chan struct{} // ends SendEvery
}

// Open opens a session and follows it until it ends.
func Open(ctx context.Context, url string, o *client.Options, on On) (*Session, error) {
	conn, _, err := client.Dial(ctx, url, o) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		return nil, err
	}
	if !conn.Resilient() {
		_ = conn.CloseNow()
		return nil, ErrNoSidecar
	}
	s := &Session{Conn: conn, on: on, quiet: make(chan struct{})}
	s.tasks.Go(s.read)
	s.tasks.Go(s.watch)
	return s, nil
}

func (s *Session) read() {
	for {
		_, p, err := s.Read(context.Background())
		switch {
		case err != nil:
			if s.on.Over != nil {
				s.on.Over(err)
			}
			return
		case s.on.Message != nil:
			s.on.Message(time.Now(), p)
		}
	}
}

func (s *Session) watch() {
	for e := range s.Events() {
		if s.on.Event != nil {
			s.on.Event(time.Now(), e)
		}
	}
}

// SendEvery calls send at a steady rate, from a random moment on so that clients are
// not in step, until it fails or StopSending is called.
func (s *Session) SendEvery(every time.Duration, send func() error) {
	s.tasks.Go(func() {
		next := time.NewTimer(rand.N(every))
		defer next.Stop()
		for {
			select {
			case <-next.C:
			case <-s.quiet:
				return
			}
			next.Reset(every)
			if send() != nil {
				return
			}
		}
	})
}

// StopSending ends what SendEvery does.
func (s *Session) StopSending() { s.once.Do(func() { close(s.quiet) }) }

// Abandon ends the connection without a close frame, and returns when nothing of it
// runs.
func (s *Session) Abandon() {
	s.StopSending()
	_ = s.CloseNow()
	s.tasks.Wait()
}

// Wait returns when nothing of it runs.
func (s *Session) Wait() { s.tasks.Wait() }
