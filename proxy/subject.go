package proxy

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// firstEpoch is that of a session that begins.
const firstEpoch = 1

// subject is who reports about r, a handshake, are about. It is made once and
// kept, since the request is not.
func (s *Server) subject(r *http.Request, client netip.Addr, epoch uint32) *event.Subject {
	return event.NewSubject(event.About{
		Path: rawPath(r), Client: s.cfg.LogClient.Of(client), Epoch: epoch, Trace: parentOf(r.Header[traceparent.Header]),
	})
}

// plainSubject is subject for a handshake that passes as it came.
func (s *Server) plainSubject(r *http1.Request, client netip.Addr) *event.Subject {
	return event.NewSubject(event.About{
		Path: r.Path(), Client: s.cfg.LogClient.Of(client), Trace: parentOf(plainValues(r, "traceparent")),
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

// parentOf is the trace that a request comes from. More than one is none: nobody
// can tell which is right.
func parentOf(fields []string) traceparent.Parent {
	if len(fields) != 1 {
		return traceparent.Parent{}
	}
	p, _ := traceparent.Parse(fields[0])
	return p
}
