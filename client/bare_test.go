package client

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/wire"
)

// bareAnswers are what apps without a sidecar say to an offer of ours.
var bareAnswers = map[string]func(p *peer){
	"no subprotocol":          func(p *peer) { p.upgrade("") },
	"the app's subprotocol":   func(p *peer) { p.upgrade("chat") },
	"one of its own":          func(p *peer) { p.upgrade("soap") },
	"ours, and then data":     func(p *peer) { p.upgrade(wire.Subprotocol); p.text("welcome to the app") },
	"refuses what is foreign": func(p *peer) { p.raw([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) },
}

// All sidecars are taken away while a program is connected: the session is
// given up after a few answers of the bare app, and not after its time to live.
func TestSidecarsAreTakenAway(t *testing.T) {
	for name, answer := range bareAnswers {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				c, p := s.open(s.options())
				wantWrite(t, c, "not acknowledged")
				p.want("not acknowledged")
				p.conn.Close()
				start := time.Now()
				for range maxBare {
					answer(s.request())
				}
				if name == "one of its own" || name == "refuses what is foreign" {
					// It is seen whether that is due to what was offered.
					p := s.request()
					if p.offer.Resilient {
						t.Error("no handshake without ours")
					}
					p.upgrade("chat")
					p.gone()
					answer(s.request())
				}
				_, _, err := c.Read(t.Context())
				lost, ok := errors.AsType[*SessionLostError](err)
				if !ok || lost.Reason != LostNoSidecar || lost.Unacked != 1 {
					t.Errorf("the session ends with %v", err)
				}
				if d := time.Since(start); d > 10*time.Second {
					t.Errorf("it ends after %v", d)
				}
				c.CloseNow()
			})
		})
	}
}

// What is no evidence does not count, and an answer of a sidecar, be it a
// refusal, begins the count anew.
func TestSidecarAmongBareApps(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		p.conn.Close()
		again := []func(){
			func() { p := s.accept(wire.Subprotocol); p.control(wire.AppendReset(nil, wire.ResetTryAgain)) },
			func() {
				s.request().raw([]byte("HTTP/1.1 400 Bad Request\r\nWsr-Refused: offer\r\nContent-Length: 0\r\n\r\n"))
			},
			func() {
				s.request().raw([]byte("HTTP/1.1 503 Service Unavailable\r\nWsr-Refused: draining\r\nContent-Length: 0\r\n\r\n"))
			},
		}
		for _, sidecar := range again {
			for range maxBare - 1 {
				s.accept("chat")
			}
			s.request().raw([]byte("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
			sidecar()
		}
		p = s.resume("t0-1", 0, 1)
		p.welcome(wire.StatusResumed, 0, 1)
		wantWrite(t, c, "on")
		p.want("on")
	})
}

// While the connection works, a move that meets bare apps does not end the
// session.
func TestMoveMeetsBareApps(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		c, p := s.open(s.options())
		defer c.CloseNow()
		p.control(wire.AppendGoAway(nil, wire.GoAwayDraining, 0))
		for range maxBare + 1 {
			s.accept("")
		}
		wantWrite(t, c, "still here")
		p.want("still here")
		synctest.Wait()
		p.conn.Close()
		s.accept("")
		if _, _, err := c.Read(t.Context()); !errors.As(err, new(*SessionLostError)) {
			t.Error(err)
		}
	})
}

// An app that refuses everything for a moment, behind a sidecar, does not end a
// session.
func TestAppRefusesForAMoment(t *testing.T) {
	const refusal = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	for _, accepts := range []bool{false, true} {
		play(t, func(t *testing.T, s *stage) {
			c, p := s.open(s.options())
			defer c.CloseNow()
			p.conn.Close()
			for range maxBare {
				s.request().raw([]byte(refusal))
			}
			p = s.request()
			if p.offer.Resilient {
				t.Error("no handshake without ours")
			}
			if accepts {
				p.upgrade("chat") // it is back
			} else {
				p.raw([]byte(refusal))
			}
			p.gone()
			p = s.resume("t0-1", 0, 1)
			p.welcome(wire.StatusResumed, 0, 1)
			wantWrite(t, c, "on")
			p.want("on")
			p.conn.Close()
		})
	}
}
