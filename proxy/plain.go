package proxy

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/monotime"
	"github.com/wsresilience/wsresilience/internal/passthrough"
	"github.com/wsresilience/wsresilience/internal/peer"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/session"
	"github.com/wsresilience/wsresilience/wire"
)

// passthroughConfig is how what no session is made of reaches the app.
func (s *Server) passthroughConfig() passthrough.Config {
	return passthrough.Config{
		App: s.upstream, Log: s.log, Scheme: s.scheme,
		HeadTimeout: headTimeout, IdleTimeout: s.cfg.HTTPIdle, HandshakeTimeout: s.cfg.HandshakeTimeout,
		Upgrades:  s.cfg.Upgrades,
		Pages:     s.cfg.Pages,
		Elsewhere: s.wantsSession,
		Admit:     s.admitPlain,
		From:      s.plainClient,
		Subject:   s.plainSubject,
		Joined:    s.joinPlain,
		Dialled: func(as event.AppAnswer, took time.Duration) {
			s.observe(event.Event{Kind: event.Dialled, Answer: as, Took: took})
		},
		Handshake: func(begins bool) {
			if begins {
				s.handshakes.Add(1)
				s.appSockets.dialling()
			} else {
				s.handshakes.Add(-1)
				s.appSockets.dialled()
			}
		},
		Refused:  func(f event.Refusal) { s.observe(event.Event{Kind: event.Refused, Refusal: f}) },
		Draining: s.Draining,
	}
}

// wantsSession reports whether r is not for the app as it is: a handshake of a
// client that offers wsr.v1 or names a session of its own, or a request of another
// sidecar, or one for the page client. What is malformed in that is refused there.
func (s *Server) wantsSession(r *http1.Request, websocket bool) bool {
	if !websocket {
		return s.wantsPageClient(r) || string(r.Target) == peer.Path && r.Fields.Count(peer.Header) > 0
	}
	for i := range r.Fields {
		if !r.Fields[i].Is("sec-websocket-protocol") || !offersOurs(r.Fields[i].Value) {
			continue
		}
		// Where no sessions are offered it is a plain one, unless the offer is none
		// (PROTOCOL §2.1): that is refused everywhere.
		if path, err := url.PathUnescape(r.Path()); err != nil || s.live.Load().cfg.Resilient(path) || s.comesBack(r) || badOffer(r.Fields[i].Value) {
			return true
		}
	}
	if s.cfg.PlainResume == "" {
		return false
	}
	of, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.Head)))
	if err != nil {
		return false
	}
	_, ok := plainKey(of, s.scheme, s.cfg.PlainResume)
	return ok
}

func (s *Server) wantsPageClient(r *http1.Request) bool {
	if s.cfg.Pages == nil {
		return false
	}
	path, err := url.PathUnescape(r.Path())
	return err == nil && r.Body.Empty() && s.cfg.Pages.Serves(string(r.Method), path)
}

// comesBack reports whether a handshake is of a client that has a session on its
// path, though none are offered there any more.
func (s *Server) comesBack(r *http1.Request) bool {
	of, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.Head)))
	if err != nil {
		return false
	}
	req, ref := upgrade.Parse(of)
	if ref != nil {
		return false
	}
	offer, err := wire.ParseOffer(req.Protocols)
	return err == nil && s.holdsToken(of, s.scheme, offer)
}

// holdsToken reports whether a client has a token that is good for its request.
func (s *Server) holdsToken(r *http.Request, scheme string, offer wire.Offer) bool {
	if offer.Resume == nil {
		return false
	}
	_, fits := s.openToken(r, scheme, offer.Resume)
	return fits
}

// openToken returns the token that a client presents, or nil if it is none, and
// reports whether it is for this request. What a newer one is bound to is for its
// owner to say.
func (s *Server) openToken(r *http.Request, scheme string, offered *wire.Resume) (t *wire.Token, fits bool) {
	t, err := wire.OpenToken(s.cfg.Tokens, offered.Token)
	if err != nil {
		return nil, false
	}
	return t, t.Newer() || t.Binding == binding(r, scheme, s.cfg.Bind)
}

// offersOurs reports whether a list of subprotocols has an entry of ours.
func offersOurs(list []byte) (ours bool) {
	http1.Elements(list, func(e []byte) {
		ours = ours || string(e) == "wsr" || strings.HasPrefix(string(e), "wsr.")
	})
	return ours
}

// badOffer reports whether the entries of ours in a list of subprotocols are no
// offer.
func badOffer(list []byte) bool {
	var entries []string
	http1.Elements(list, func(e []byte) { entries = append(entries, string(e)) })
	_, err := wire.ParseOffer(entries)
	return err != nil
}

// admitPlain says why a plain WebSocket is not taken now, or nil.
func (s *Server) admitPlain(client netip.Addr) (*upgrade.Refusal, []string) {
	f := s.refusesNew(client)
	if s.drainState.refusing() {
		f = &upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: "this pod is about to stop", Label: event.RefusedDraining}
	}
	if f == nil {
		return nil, nil
	}
	return f, []string{"Retry-After: " + retryAfter()}
}

func retryAfter() string { return strconv.Itoa(minRetryAfter + rand.IntN(minRetryAfter+1)) }

// joinPlain joins a client that did not negotiate wsr.v1 with the app, which has
// accepted its handshake.
func (s *Server) joinPlain(sw passthrough.Switched) {
	c := &sessionDriver{srv: s, id: newSessionID(), plain: true, born: monotime.At(sw.Began), subject: sw.Subject}
	// It counts before its client hears that it is there.
	if !s.limit.add(c, sw.From, false) {
		s.refusePlain(sw, &tooManySessions)
		return
	}
	if sw.Answer() != nil {
		s.limit.remove(c)
		sw.Client.Close()
		sw.App.Close()
		return
	}
	s.startPlain(c, sw.Client, sw.App, sw.Early)
}

// refusePlain refuses a client that was admitted, when others came first: the app has
// accepted it, and the client does not know that yet.
func (s *Server) refusePlain(sw passthrough.Switched, f *upgrade.Refusal) {
	s.observe(event.Event{Kind: event.Refused, Refusal: f.Label})
	transport.Abort(sw.App)
	_ = sw.Client.SetDeadline(time.Now().Add(headTimeout))
	_, _ = sw.Client.Write(f.Append(nil, "Retry-After: "+retryAfter())) // it may be gone
	sw.Client.Close()
}

// startPlain joins two connections whose handshakes are done. early is what the app
// said behind its answer.
func (s *Server) startPlain(c *sessionDriver, client, app net.Conn, early []byte) {
	c.m = session.NewPlain(&s.live.Load().session, time.Now())
	c.client, c.app = c.newLeg(client), c.newAppLeg(app)
	if !s.sessions.add(c) {
		c.abandonUnregistered()
		return
	}
	c.accepted(event.Plain)
	c.began(event.Plain)
	c.start(early)
}
