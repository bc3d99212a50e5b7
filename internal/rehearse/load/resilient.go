package load

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// flyResilient runs a client with a session until ctx ends; when one is lost it
// begins another. It stops to send when loading does.
func (p *pilot) flyResilient(ctx, loading context.Context) {
	wait := backoff.New(backoff.Policy{Base: backoffBase, Max: backoffMax}, p.all.random("backoff", p.account.Number).Float64)
	out := newOutgoing()
	p.all.loaders.Go(func() { p.load(loading, out.put) })
	for ctx.Err() == nil {
		over := make(chan error, 1)
		session, err := p.open(ctx, over)
		if err == nil {
			wait.Reset()
			p.connected()
			err = p.live(ctx, session, out, over)
			if ctx.Err() == nil {
				p.account.Lost(p.all.Now(), ending(err))
			}
		}
		p.all.failed(ctx, tally.Resilient, err)
		pause, _ := wait.Next() // also where sessions end at once
		_ = proc.Sleep(ctx, pause)
	}
}

// open begins a session, whose end is told to over.
func (p *pilot) open(ctx context.Context, over chan<- error) (*Session, error) {
	prof := p.all.Profile
	adopts := prof.Adopt == nil || *prof.Adopt
	o := &client.Options{
		URL: func(context.Context) (string, error) {
			to, _, err := p.handshake()
			return to, err
		},
		Header: func(context.Context) (http.Header, error) {
			_, h, err := p.handshake()
			return h, err
		},
		Subprotocols: prof.Subprotocols, TLSConfig: p.all.TLS, HandshakeTimeout: handshakeWait,
		NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dialCounted(ctx) },
		Adopt:   adopts,
	}
	if adopts && len(prof.Hello) > 0 {
		o.Restore = func(ctx context.Context, w *client.RestoreWriter) error {
			for _, m := range p.hello() {
				if err := w.Write(ctx, p.all.messageType(), m); err != nil {
					return err
				}
			}
			return nil
		}
	}
	s, err := Open(ctx, "", o, On{
		Message: func(_ time.Time, m []byte) { p.hear(m) },
		Event: func(_ time.Time, e client.Event) {
			if ctx.Err() == nil {
				p.note(e)
			}
		},
		Over: func(err error) { over <- err },
	})
	if err != nil {
		return nil, err
	}
	for _, m := range p.hello() {
		if err := s.Write(ctx, p.all.messageType(), m); err != nil {
			s.Abandon()
			return nil, err
		}
	}
	return s, nil
}

// closeCode is how a client says that it has done.
const closeCode = 1000

// live follows a session to its end, which it returns. When ctx ends it closes it.
func (p *pilot) live(ctx context.Context, s *Session, out *outgoing, over <-chan error) (err error) {
	writing, stop := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() {
		out.write(writing, func(m []byte) error { return s.Write(writing, p.all.messageType(), m) }, p.account.Sent)
	})
	select {
	case err = <-over:
	case <-ctx.Done():
		_ = s.Close(closeCode, "")
	}
	stop()
	s.Abandon()
	writer.Wait()
	return err
}

// note takes what happened to a session.
func (p *pilot) note(e client.Event) {
	switch e.Kind {
	case client.EventState:
		if e.State == client.StateReconnecting {
			p.account.Down(p.all.Now())
		}
	case client.EventResumed:
		p.account.Up(p.all.Now(), tally.Resumed, e.Away)
	case client.EventAdopted:
		p.renumbered()
		p.account.Adopted(p.all.Now(), e.Reason, e.Away)
	}
}

// ending is how a session ended.
func ending(err error) string {
	if lost, ok := errors.AsType[*client.SessionLostError](err); ok {
		return "reset: " + string(lost.Reason)
	}
	if code := client.CloseStatus(err); code >= 0 {
		return strconv.Itoa(code)
	}
	return tally.Cut
}

// outgoing is what waits to be written. It is as long as need be, so that who
// fills it keeps its time.
type outgoing struct {
	mu    sync.Mutex
	list  []outMessage
	ready chan struct{} // has one when the list was empty
}

type outMessage struct {
	n       int
	payload []byte
}

func newOutgoing() *outgoing { return &outgoing{ready: make(chan struct{}, 1)} }

func (o *outgoing) put(n int, payload []byte) {
	o.mu.Lock()
	o.list = append(o.list, outMessage{n, payload})
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// write writes what comes until ctx ends or writing fails. What failed stays.
func (o *outgoing) write(ctx context.Context, write func([]byte) error, sent func(n int)) {
	for {
		o.mu.Lock()
		var m outMessage
		some := len(o.list) > 0
		if some {
			m = o.list[0]
		}
		o.mu.Unlock()
		if !some {
			select {
			case <-o.ready:
				continue
			case <-ctx.Done():
				return
			}
		}
		if write(m.payload) != nil {
			return
		}
		sent(m.n)
		o.mu.Lock()
		o.list = o.list[1:]
		o.mu.Unlock()
	}
}
