package proxy

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/http1"
)

// firstEpoch is that of a session that begins.
const firstEpoch = 1

// subject is who reports about r, a handshake, are about. It is made once and
// kept, since the request is not.
func (s *Server) subject(r *http.Request, client netip.Addr, epoch uint32) *event.Subject {
	return event.NewSubject(event.About{
		Path: rawPath(r), Client: s.cfg.LogClient.Of(client), Epoch: epoch, Trace: s.cfg.Propagators.Extract(r.Header.Values),
	})
}

// about is subject for the client of q, at an epoch. Its trace is the span that it
// has here, if it has one.
func (q *request) about(epoch uint32) *event.Subject {
	if q.span.IsZero() {
		return q.s.subject(q.r, q.client, epoch)
	}
	return event.NewSubject(event.About{
		Path: rawPath(q.r), Client: q.s.cfg.LogClient.Of(q.client), Epoch: epoch, Trace: q.span,
	})
}

// plainSubject is subject for a handshake that passes as it came.
func (s *Server) plainSubject(r *http1.Request, client netip.Addr) *event.Subject {
	return event.NewSubject(event.About{
		Path: r.Path(), Client: s.cfg.LogClient.Of(client), Trace: s.cfg.Propagators.Extract(func(name string) []string { return plainValues(r, name) }),
	})
}

// clientOf is at which address the client of r is: for limits, and for reports.
func (s *Server) clientOf(r *http.Request) netip.Addr {
	return s.cfg.TrustedProxies.Client(addressOf(r.RemoteAddr), clientaddr.Said{
		XForwardedFor: r.Header["X-Forwarded-For"], Forwarded: r.Header["Forwarded"],
	})
}

// plainClient is clientOf for a handshake that passes as it came.
func (s *Server) plainClient(r *http1.Request, peer net.Addr) netip.Addr {
	return s.cfg.TrustedProxies.Client(addressOf(peer.String()), clientaddr.Said{
		XForwardedFor: plainValues(r, "x-forwarded-for"), Forwarded: plainValues(r, "forwarded"),
	})
}

// addressOf is the address of a connection's peer, of a Unix socket none.
func addressOf(peer string) netip.Addr {
	at, _ := netip.ParseAddrPort(peer)
	return at.Addr()
}

func plainValues(r *http1.Request, name string) (values []string) {
	for i := range r.Fields {
		if f := &r.Fields[i]; f.Is(name) {
			values = append(values, string(f.Value))
		}
	}
	return values
}
