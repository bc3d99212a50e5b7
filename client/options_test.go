package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// What the program changes after Dial is not offered by later handshakes.
func TestOptionsAreCopied(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		o.HTTPHeader = http.Header{"X-Key": {"first"}}
		c, p := s.open(o)
		defer c.CloseNow()
		o.Subprotocols[0] = "other"
		o.HTTPHeader["X-Key"][0] = "second"
		o.HTTPHeader.Set("X-More", "yes")
		o.Header = func(context.Context) (http.Header, error) { return nil, errors.New("not mine") }
		o.NetDial = nil
		*o = Options{}
		p.conn.Close()
		p = s.request()
		if got := strings.Join(p.offer.App, " "); got != "chat" {
			t.Errorf("offers %q", got)
		}
		if got := p.header.Get("X-Key") + p.header.Get("X-More"); got != "first" {
			t.Errorf("header %q", got)
		}
		p.conn.Close()
	})
}

// A function of the program that fails, panics or returns nothing fails one
// attempt, and the next one calls it again.
func TestFunctionsOfTheProgram(t *testing.T) {
	for name, fail := range map[string]func(o *Options){
		"Header fails": func(o *Options) {
			o.Header = func(context.Context) (http.Header, error) { return nil, errors.New("no ticket") }
		},
		"Header panics": func(o *Options) {
			o.Header = func(context.Context) (http.Header, error) { panic("no ticket") }
		},
		"Header blocks": func(o *Options) {
			o.Header = func(ctx context.Context) (http.Header, error) { <-ctx.Done(); return nil, ctx.Err() }
		},
		"Header blocks for longer": func(o *Options) {
			o.Header = func(context.Context) (http.Header, error) { time.Sleep(time.Hour); return nil, nil }
		},
		"URL fails":   func(o *Options) { o.URL = func(context.Context) (string, error) { return "", errors.New("no ticket") } },
		"URL panics":  func(o *Options) { o.URL = func(context.Context) (string, error) { panic("no ticket") } },
		"URL is none": func(o *Options) { o.URL = func(context.Context) (string, error) { return "ftp://stage", nil } },
		"FreshSubprotocols fails": func(o *Options) {
			o.FreshSubprotocols = func(context.Context) ([]string, error) { return nil, errors.New("no ticket") }
		},
		"FreshSubprotocols panics": func(o *Options) {
			o.FreshSubprotocols = func(context.Context) ([]string, error) { panic("no ticket") }
		},
		"FreshSubprotocols has ours": func(o *Options) {
			o.FreshSubprotocols = func(context.Context) ([]string, error) { return []string{wire.Subprotocol}, nil }
		},
		"NetDial returns nothing": func(o *Options) {
			o.NetDial = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		},
		"NetDial panics": func(o *Options) {
			o.NetDial = func(context.Context, string, string) (net.Conn, error) { panic("no network") }
		},
		"NetDial fails": func(o *Options) {
			o.NetDial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				good, bad := s.options(), s.options()
				fail(bad)
				var fails atomic.Bool
				pick := func() *Options {
					if fails.Load() {
						return bad
					}
					return good
				}
				o := &Options{
					FreshSubprotocols: func(ctx context.Context) ([]string, error) {
						if f := pick().FreshSubprotocols; f != nil {
							return f(ctx)
						}
						return []string{"chat"}, nil
					},
					NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
						return pick().NetDial(ctx, network, addr)
					},
					Header: func(ctx context.Context) (http.Header, error) {
						if f := pick().Header; f != nil {
							return f(ctx)
						}
						return nil, nil
					},
					URL: func(ctx context.Context) (string, error) {
						if f := pick().URL; f != nil {
							return f(ctx)
						}
						return "ws://stage/app", nil
					},
				}
				c, p := s.open(o)
				defer c.CloseNow()
				fails.Store(true)
				if c, _, err := Dial(t.Context(), "ws://stage/app", o); err == nil {
					c.CloseNow()
					t.Error("the first dial succeeds")
				}
				p.conn.Close()
				time.Sleep(5 * time.Second)
				fails.Store(false)
				p = s.resume("t0-1", 0, 1)
				p.welcome(wire.StatusResumed, 0, 1)
				wantWrite(t, c, "on")
				p.want("on")
				p.conn.Close()
				c.CloseNow()
				time.Sleep(2 * time.Hour) // what blocks comes to an end
			})
		})
	}
}

// Each handshake has a ticket of its own, in the URL and in a header.
func TestFreshTickets(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		var issued atomic.Int32
		o.URL = func(context.Context) (string, error) {
			return "ws://stage/app?ticket=" + strconv.Itoa(int(issued.Add(1))), nil
		}
		o.Header = func(context.Context) (http.Header, error) {
			return http.Header{"X-Ticket": {strconv.Itoa(int(issued.Load()))}}, nil
		}
		o.FreshSubprotocols = func(context.Context) ([]string, error) {
			return []string{"chat", "ticket." + strconv.Itoa(int(issued.Load()))}, nil
		}
		ch := make(chan *Conn, 1)
		go func() {
			c, _, err := Dial(t.Context(), "", o)
			if err != nil {
				t.Error(err)
			}
			ch <- c
		}()
		var c *Conn
		for i, answer := range []func(p *peer){
			func(p *peer) { p.upgrade(wire.Subprotocol); p.welcome(wire.StatusNew, 0, 1); c = <-ch; p.conn.Close() },
			func(p *peer) { p.upgrade(wire.Subprotocol); p.control(wire.AppendReset(nil, wire.ResetTryAgain)) },
			func(p *peer) { p.conn.Close() },
			func(p *peer) {
				p.upgrade(wire.Subprotocol)
				p.welcome(wire.StatusResumed, 0, 1)
				p.want("ACK 0")
				p.control(wire.AppendGoAway(nil, wire.GoAwayAuthenticate, 0))
			},
			func(p *peer) {
				p.upgrade(wire.Subprotocol)
				p.welcome(wire.StatusResumed, 0, 1)
				p.want("ACK 0")
				p.conn.Close()
			},
		} {
			p := s.request()
			if want := strconv.Itoa(i + 1); p.url != "/app?ticket="+want || p.header.Get("X-Ticket") != want {
				t.Fatalf("handshake %d: %s, ticket %s", i+1, p.url, p.header.Get("X-Ticket"))
			}
			if want := "chat ticket." + strconv.Itoa(i+1); strings.Join(p.offer.App, " ") != want {
				t.Fatalf("handshake %d offers %q, want %s", i+1, p.offer.App, want)
			}
			answer(p)
		}
		c.CloseNow()
	})
}

// Limits count the app's message: neither what escaping adds, nor what a frame
// does, and they hold exactly.
func TestLimitsAreExact(t *testing.T) {
	const limit = 3000
	magic := wire.Magic + strings.Repeat("x", limit-len(wire.Magic))
	for name, tc := range map[string]struct {
		op  ws.OpCode
		p   string
		big bool
	}{
		"text":             {ws.OpText, strings.Repeat("x", limit), false},
		"text, too big":    {ws.OpText, strings.Repeat("x", limit+1), true},
		"binary":           {ws.OpBinary, strings.Repeat("x", limit), false},
		"binary, too big":  {ws.OpBinary, strings.Repeat("x", limit+1), true},
		"escaped":          {ws.OpBinary, string(wire.AppendEscape(nil)) + magic, false},
		"escaped, too big": {ws.OpBinary, string(wire.AppendEscape(nil)) + magic + "x", true},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				o := s.options()
				o.MaxMessage = limit
				c, p := s.open(o)
				defer c.CloseNow()
				go p.raw(frameOf(tc.op, []byte(tc.p))) //nolint:staticcheck // it fails only if the pipe does
				_, got, err := c.Read(t.Context())
				switch {
				case tc.big && CloseStatus(err) != 1009:
					t.Errorf("read %d bytes, %v", len(got), err)
				case !tc.big && (err != nil || len(got) != limit):
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				p.conn.Close()
				synctest.Wait()
			})
		})
	}
}

// A message of the sidecar's limit is taken, also if it is escaped and larger
// than the whole outbox, and one more byte is refused without harm.
func TestLargestWrite(t *testing.T) {
	for _, first := range []string{"x", wire.Magic} {
		play(t, func(t *testing.T, s *stage) {
			o := s.options()
			o.OutboxBytes = 1000
			c, p := s.open(o)
			defer c.CloseNow()
			big := []byte(first + strings.Repeat("x", 1<<20-len(first)))
			if err := c.Write(t.Context(), MessageBinary, append(big, 'x')); !errors.Is(err, ErrTooBig) {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- c.WriteAcked(t.Context(), MessageBinary, big) }()
			p.cut.Max = 1<<20 + wire.EscapeLen
			_, got, err := p.next()
			if orig, e := wire.Unescape(got); e == nil {
				got = orig
			}
			if err != nil || string(got) != string(big) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			p.control(wire.AppendAck(nil, 1))
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			p.conn.Close()
		})
	}
}

// Who says WELCOME and drops the connection again and again is dialled less and
// less often.
func TestShortLives(t *testing.T) {
	for _, life := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second} {
		play(t, func(t *testing.T, s *stage) {
			c, p := s.open(s.options())
			start, dials := time.Now(), 0
			for time.Since(start) < 2*time.Minute {
				time.Sleep(life)
				p.conn.Close()
				p = s.accept(wire.Subprotocol)
				p.welcome(wire.StatusResumed, 0, 1)
				if time.Since(start) > time.Minute {
					dials++
				}
			}
			if dials > 40 {
				t.Errorf("lives of %v: %d dials in the second minute", life, dials)
			}
			p.conn.Close()
			c.CloseNow()
		})
	}
}

// A session that is lost gives back what is not acknowledged.
func TestUnackedAreGivenBack(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		for _, m := range []string{"acked", "text", wire.Magic + " escaped"} {
			typ := MessageText
			if wire.IsMagic([]byte(m)) {
				typ = MessageBinary
			}
			if err := c.Write(t.Context(), typ, []byte(m)); err != nil {
				t.Fatal(err)
			}
			_, _, _ = p.next()
		}
		p.control(wire.AppendAck(nil, 1))
		synctest.Wait()
		if n := c.Unacked(); n != 2 {
			t.Errorf("%d are not acknowledged", n)
		}
		p.conn.Close()
		p = s.request()
		wantWrite(t, c, "")
		wantWrite(t, c, "after the cut")
		for range maxBare - 1 {
			p.upgrade("")
			p = s.request()
		}
		p.upgrade("")
		_, _, err := c.Read(t.Context())
		lost, ok := errors.AsType[*SessionLostError](err)
		if !ok || lost.Unacked != 4 || len(lost.Messages) != 4 {
			t.Fatalf("%+v", err)
		}
		for i, want := range []UnackedMessage{
			{Type: MessageText, Data: []byte("text"), Sent: true},
			{Type: MessageBinary, Data: []byte(wire.Magic + " escaped"), Sent: true},
			{Type: MessageText, Data: nil, Sent: false},
			{Type: MessageText, Data: []byte("after the cut"), Sent: false},
		} {
			if got := lost.Messages[i]; got.Type != want.Type || string(got.Data) != string(want.Data) || got.Sent != want.Sent {
				t.Errorf("%d: %v %q sent %v", i, got.Type, got.Data, got.Sent)
			}
		}
	})
}

// How long there was no connection.
func TestAway(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		time.Sleep(stableLifetime)
		p.conn.Close()
		p = s.request()
		time.Sleep(time.Second)
		p.upgrade(wire.Subprotocol)
		p.welcome(wire.StatusResumed, 0, 1)
		p.want("ACK 0")
		p.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 0))
		p2 := s.accept(wire.Subprotocol)
		p2.welcome(wire.StatusResumed, 0, 1)
		p2.want("ACK 0")
		for _, want := range []time.Duration{time.Second, 0} {
			for {
				e := <-c.Events()
				if e.Kind == EventResumed {
					if e.Away != want {
						t.Errorf("away for %v, want %v", e.Away, want)
					}
					break
				}
			}
		}
		p2.conn.Close()
	})
}

// The text of an error is no reason of a close.
func TestReasonsAreThePeers(t *testing.T) {
	for name, end := range map[string]func(p *peer){
		"breaks":               func(p *peer) { p.conn.Close() },
		"is no WebSocket":      func(p *peer) { p.raw([]byte{0xff, 0xff, 0xff, 0xff}) },
		"closes with nonsense": func(p *peer) { p.raw(frameOf(ws.OpClose, []byte{0})) },
	} {
		play(t, func(t *testing.T, s *stage) {
			ch := s.dial(s.options())
			p := s.accept("chat")
			d := <-ch
			if d.err != nil {
				t.Fatal(d.err)
			}
			end(p)
			_, _, err := d.c.Read(t.Context())
			e, ok := errors.AsType[*CloseError](err)
			if !ok || e.Reason != "" {
				t.Errorf("%s: %#v", name, err)
			}
			p.conn.Close()
			d.c.CloseNow()
		})
	}
}

// A connection of NetDial that has no deadlines, as a channel of SSH, holds up
// neither Dial nor Close.
func TestConnectionsWithoutDeadlines(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		dial := o.NetDial
		o.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return noDeadlines{conn}, err
		}
		ch := s.dial(o)
		s.request() // no answer
		if d := <-ch; !errors.Is(d.err, context.DeadlineExceeded) {
			t.Errorf("dial: %v", d.err)
		}
		c, p := s.open(o)
		wantWrite(t, c, strings.Repeat("nobody reads this", 10_000))
		synctest.Wait()
		start := time.Now()
		if err := c.Close(1000, ""); !errors.Is(err, ErrCloseTimeout) {
			t.Errorf("close: %v", err)
		}
		if d := time.Since(start); d > maxCloseWait+maxFinalWrite {
			t.Errorf("close took %v", d)
		}
		p.conn.Close()
	})
}

type noDeadlines struct{ net.Conn }

var errNoDeadline = errors.New("deadlines are not supported")

func (noDeadlines) SetDeadline(time.Time) error      { return errNoDeadline }
func (noDeadlines) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (noDeadlines) SetWriteDeadline(time.Time) error { return errNoDeadline }
