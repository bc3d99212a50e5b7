package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// firstEpoch is that of a session that begins.
const firstEpoch = 1

// subject is who reports about r, a handshake, are about. It is made once and
// kept, since the request is not.
func (s *Server) subject(r *http.Request, epoch uint32) *event.Subject {
	return s.newSubject(event.About{Path: rawPath(r), Epoch: epoch, Trace: parentOf(r.Header[traceparent.Header])},
		r.RemoteAddr, r.Header["X-Forwarded-For"])
}

// plainSubject is subject for a handshake that passes as it came.
func (s *Server) plainSubject(r *http1.Request, client net.Addr) *event.Subject {
	var parents, forwarded []string
	for i := range r.Fields {
		switch f := &r.Fields[i]; {
		case f.Is("traceparent"):
			parents = append(parents, string(f.Value))
		case f.Is("x-forwarded-for"):
			forwarded = append(forwarded, string(f.Value))
		}
	}
	return s.newSubject(event.About{Path: r.Path(), Trace: parentOf(parents)}, client.String(), forwarded)
}

func (s *Server) newSubject(a event.About, remote string, forwarded []string) *event.Subject {
	a.Client = s.cfg.LogClient.Of(clientAddress(remote, forwarded))
	return event.NewSubject(a)
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

// clientAddress is whom an operator would call the client: the peer of the
// connection, or, where that has an address of a private network, as a balancer or
// an ingress in front has, whom that says to serve: the last entry of
// X-Forwarded-For. It is for reports only, and grants nothing.
func clientAddress(remote string, forwarded []string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{} // a Unix socket, for one
	}
	peer := at.Addr().Unmap()
	if !isPrivate(peer) || len(forwarded) == 0 {
		return peer
	}
	last := forwarded[len(forwarded)-1]
	last = strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
	if a, err := netip.ParseAddr(strings.Trim(last, "[]")); err == nil {
		return a.Unmap()
	}
	if at, err := netip.ParseAddrPort(last); err == nil { // as some balancers write it
		return at.Addr().Unmap()
	}
	return peer
}

// shared is the address space of carriers and of some clusters (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func isPrivate(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)
}
