package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// stuckAttempts are the places in which an attempt to resume can hang. Each
// prepares options of which hang tells whether to; take lets the attempt get
// there.
var stuckAttempts = map[string]struct {
	prepare func(o *Options, hang *atomic.Bool)
	take    func(s *stage) // nil: no connection comes about
}{
	"in NetDial": {func(o *Options, hang *atomic.Bool) {
		dial := o.NetDial
		o.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hang.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, network, addr)
		}
	}, nil},
	"in a NetDial that does not heed its context": {func(o *Options, hang *atomic.Bool) {
		dial := o.NetDial
		o.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hang.Load() {
				time.Sleep(time.Minute)
				return nil, errors.New("too late")
			}
			return dial(ctx, network, addr)
		}
	}, nil},
	"in Header": {func(o *Options, hang *atomic.Bool) {
		o.Header = func(context.Context) (http.Header, error) {
			if hang.Load() {
				time.Sleep(time.Minute)
			}
			return http.Header{}, nil
		}
	}, nil},
	"before the answer":       {func(*Options, *atomic.Bool) {}, func(s *stage) { s.request() }},
	"in the answer":           {func(*Options, *atomic.Bool) {}, func(s *stage) { s.request().raw([]byte("HTTP/1.1 101 Switching")) }},
	"between 101 and WELCOME": {func(*Options, *atomic.Bool) {}, func(s *stage) { s.accept(wire.Subprotocol) }},
}

// hangs opens a session whose connection breaks, and whose next attempt to resume
// hangs in a place, as do later ones while hang says so.
func (s *stage) hangs(place string) (c *Conn, hang *atomic.Bool) {
	s.t.Helper()
	stuck := stuckAttempts[place]
	hang = new(atomic.Bool)
	o := s.options()
	stuck.prepare(o, hang)
	c, p := s.open(o)
	time.Sleep(stableLifetime)
	hang.Store(true)
	p.conn.Close()
	if stuck.take != nil {
		stuck.take(s)
	}
	return c, hang
}

// A Close does not wait for an attempt that hangs: what the program wrote, and
// the close itself, arrive if the server is back.
func TestCloseWhileAttemptHangs(t *testing.T) {
	for name := range stuckAttempts {
		for _, age := range []time.Duration{0, time.Second, 3 * time.Second} {
			for _, words := range []string{"", "last words"} {
				t.Run(name+"/"+age.String()+"/"+words, func(t *testing.T) {
					play(t, func(t *testing.T, s *stage) {
						c, hang := s.hangs(name)
						time.Sleep(age + time.Millisecond)
						hang.Store(false)
						if words != "" {
							wantWrite(t, c, words)
						}
						start := time.Now()
						closed := make(chan error, 1)
						go func() { closed <- c.Close(4000, "bye") }()
						p := s.resume("t0-1", 0, 1)
						if d := time.Since(start); d > max(0, stuckClose-age) {
							t.Errorf("tried again after %v", d)
						}
						p.welcome(wire.StatusResumed, 0, 1)
						if words != "" {
							p.want(words)
						}
						p.want("CLOSE")
						p.control(wire.AppendClose(nil, 4000, "bye"))
						p.gone()
						if err := <-closed; err != nil {
							t.Error(err)
						}
						time.Sleep(2 * time.Minute) // what hangs comes to an end
					})
				})
			}
		}
	}
}

// Close and CloseNow end, wherever an attempt hangs for ever.
func TestCloseEndsWhileAllHangs(t *testing.T) {
	for name := range stuckAttempts {
		t.Run(name, func(t *testing.T) {
			for _, now := range []bool{true, false} {
				play(t, func(t *testing.T, s *stage) {
					c, _ := s.hangs(name)
					time.Sleep(time.Second)
					start := time.Now()
					if now {
						_ = c.CloseNow()
						if d := time.Since(start); d > maxFinalWrite {
							t.Errorf("CloseNow took %v", d)
						}
					} else if err := c.Close(1000, ""); !errors.Is(err, ErrCloseTimeout) || time.Since(start) > maxCloseWait+maxFinalWrite {
						t.Errorf("Close took %v: %v", time.Since(start), err)
					}
					for len(s.dials) > 0 {
						(<-s.dials).Close()
					}
					time.Sleep(2 * time.Minute)
				})
			}
		})
	}
}

// A Close while the program restores the app's context waits for that, and not
// for a restore that ends with nothing.
func TestCloseWhileRestoring(t *testing.T) {
	for name, restore := range map[string]func(ctx context.Context) error{
		"takes a second":         func(context.Context) error { time.Sleep(time.Second); return nil },
		"heeds its context only": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"heeds nothing":          func(context.Context) error { time.Sleep(time.Minute); return nil },
		"fails":                  func(context.Context) error { return errors.New("no ticket") },
		"panics":                 func(context.Context) error { panic("no ticket") },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				o := s.options()
				o.Restore = func(ctx context.Context, _ *RestoreWriter) error { return restore(ctx) }
				c, p := s.open(o)
				wantWrite(t, c, "order")
				p.want("order")
				p.conn.Close()
				p = s.accept(wire.Subprotocol)
				p.want("order") // before WELCOME; the sidecar holds it back
				p.welcome(wire.StatusAdopted, 0, 1)
				start := time.Now()
				closed := make(chan error, 1)
				go func() { closed <- c.Close(1000, "") }()
				if name == "takes a second" {
					p.want("RESTORED")
					p.want("CLOSE")
					p.control(wire.AppendClose(nil, 1000, ""))
				}
				p.gone()
				err := <-closed
				if (err == nil) != (name == "takes a second" || name == "fails" || name == "panics") {
					t.Errorf("Close: %v", err)
				}
				if d := time.Since(start); d > maxCloseWait+maxFinalWrite {
					t.Errorf("Close took %v", d)
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

// A connection may be dead, and a close that is said there would not arrive: it is
// probed, and the close said on another.
func TestCloseOnDeadConnection(t *testing.T) {
	for _, silent := range []time.Duration{0, time.Second, 7 * time.Second, 8 * time.Second, 17 * time.Second} {
		play(t, func(t *testing.T, s *stage) {
			c, dead := s.open(s.options())
			go dead.gone()
			time.Sleep(silent)
			wantWrite(t, c, "last words")
			closed := make(chan error, 1)
			start := time.Now()
			go func() { closed <- c.Close(1000, "") }()
			p := s.resume("t0-1", 0, 0) // the old one may still bring the answer
			p.welcome(wire.StatusResumed, 0, 1)
			p.want("ACK 0")
			p.want("last words")
			p.want("CLOSE")
			p.control(wire.AppendClose(nil, 1000, ""))
			p.gone()
			if err := <-closed; err != nil || time.Since(start) > closeProbeWait {
				t.Errorf("silent for %v: %v after %v", silent, err, time.Since(start))
			}
		})
	}
}

// A path that is only slow brings the answer, while another connection is tried.
func TestCloseOnSlowConnection(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		closed := make(chan error, 1)
		go func() { closed <- c.Close(1000, "") }()
		p.want("HEARTBEAT")
		p.want("CLOSE")
		next := s.resume("t0-1", 0, 0)
		p.control(wire.AppendClose(nil, 1000, ""))
		p.want("close 1000")
		p.gone()
		next.gone()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// An app may take its time for the close, if only the sidecar is there.
func TestCloseOfSlowApp(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		closed := make(chan error, 1)
		go func() { closed <- c.Close(1000, "") }()
		asked, _ := wire.ParseBeat(p.want("HEARTBEAT"), wire.Heartbeat)
		p.control(wire.AppendBeat(nil, wire.HeartbeatAck, wire.Beat{Payload: asked.Payload}))
		p.want("CLOSE")
		time.Sleep(maxCloseWait - time.Millisecond)
		p.control(wire.AppendClose(nil, 1000, ""))
		p.want("close 1000")
		p.gone()
		if err := <-closed; err != nil || len(s.dials) > 0 {
			t.Errorf("%v, %d dials", err, len(s.dials))
		}
	})
}
