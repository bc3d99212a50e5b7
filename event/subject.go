package event

import (
	"net/netip"
	"strings"
	"unique"

	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// maxPath bounds what is kept of a path. The rest tells nobody at which socket of
// an app a client was.
const maxPath = 200

// A Subject is who an event is about: what is known of a session's client from
// its handshake, or of a client whose handshake came to nothing. It does not
// change, and is safe for concurrent use. Its methods may be called on nil, about
// which nothing is known.
//
// Each session keeps one, so it is small: 48 bytes, a size class of Go's
// allocator, and what many have in common is there once.
type Subject struct {
	common  unique.Handle[common]
	address [16]byte // of Client, as IPv6
	trace   [16]byte
	span    [8]byte
}

// common is what many subjects share.
type common struct {
	path  string
	bits  uint8 // of Client; 0: it is not said
	v4    bool
	flags traceparent.Flags
	epoch uint32
}

// About is what a Subject says.
type About struct {
	// Path is the request's, without its query; of a long one the beginning is
	// kept.
	Path string
	// Client is the client's address as far as it is to be told: all bits of it,
	// or its network. The zero value says nothing.
	Client netip.Prefix
	// Trace is what the handshake says that it came from.
	Trace traceparent.Parent
	// Epoch is that of the ownership; 0: not known.
	Epoch uint32
}

// NewSubject makes one.
func NewSubject(a About) *Subject {
	s := &Subject{trace: a.Trace.TraceID, span: a.Trace.SpanID}
	c := common{path: shortened(a.Path), flags: a.Trace.Flags, epoch: a.Epoch}
	if a.Client.IsValid() {
		s.address, c.bits, c.v4 = a.Client.Addr().As16(), uint8(a.Client.Bits()), a.Client.Addr().Is4()
	}
	s.common = unique.Make(c)
	return s
}

// shortened is path as far as it is kept.
func shortened(path string) string {
	if len(path) > maxPath {
		path = path[:maxPath] + "…"
	}
	return strings.ToValidUTF8(path, "\ufffd")
}

// Path is the path of the handshake, without its query; "" if it is not known.
func (s *Subject) Path() string {
	if s == nil {
		return ""
	}
	return s.common.Value().path
}

// Client is the client's address, or the network that it is in, as WSR_LOG_CLIENT
// says; "" if that is not said.
func (s *Subject) Client() string {
	p := s.ClientPrefix()
	switch {
	case !p.IsValid():
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// ClientPrefix is Client as an address; not valid if it is not said.
func (s *Subject) ClientPrefix() netip.Prefix {
	if s == nil {
		return netip.Prefix{}
	}
	c := s.common.Value()
	a := netip.AddrFrom16(s.address)
	switch {
	case c.bits == 0:
		return netip.Prefix{}
	case c.v4:
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, int(c.bits))
}

// Trace is where in a trace the handshake came from; zero: it did not say.
func (s *Subject) Trace() traceparent.Parent {
	if s == nil {
		return traceparent.Parent{}
	}
	return traceparent.Parent{TraceID: s.trace, SpanID: s.span, Flags: s.common.Value().flags}
}

// Epoch is that of the session's ownership; 0 if it is not known.
func (s *Subject) Epoch() uint32 {
	if s == nil {
		return 0
	}
	return s.common.Value().epoch
}

// A ClientDetail is how much of a client's address is told (WSR_LOG_CLIENT).
type ClientDetail uint8

const (
	// TellPrefix tells the network: the first 24 bits of IPv4, 48 of IPv6. That
	// is what a site or a provider has, and no single person.
	TellPrefix ClientDetail = iota
	// TellAddress tells all of it.
	TellAddress
	// TellNothing tells nothing.
	TellNothing
)

// Bits of a client's network.
const (
	prefix4 = 24
	prefix6 = 48
)

// Of is what is told of a.
func (d ClientDetail) Of(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	switch {
	case d == TellNothing || !a.IsValid():
		return netip.Prefix{}
	case d == TellAddress:
	case a.Is4():
		bits = prefix4
	default:
		bits = prefix6
	}
	p, _ := a.Prefix(bits) // bits are in range
	return p
}
