package passthrough

import (
	"bytes"
	"net"

	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// A requestHead is what the app gets of a request's head: the bytes as they came,
// in their order, but for what is ours to add and what may not pass:
//
//   - names of ours, and names with "_" that an app could take for another field
//     (upgrade.Forged): left out;
//   - elements of Connection that are no options of a connection: left out, so
//     that no field behind a proxy can be named there to be dropped
//     (CVE-2024-45410, CVE-2026-29054);
//   - subprotocols of ours, from a client that has no session here: left out;
//   - Upgrade, unless the protocol is one that may be switched to;
//   - X-Forwarded-For, -Host and, where it is known, -Proto;
//   - of a request for a page that gets the page client, conditions (page.Request).
type requestHead struct {
	peer  string // the client's address, empty if it has none
	proto string // for X-Forwarded-Proto, empty: not known
}

func newRequestHead(client net.Addr, proto string) requestHead {
	h := requestHead{proto: proto}
	if client != nil {
		if host, _, err := net.SplitHostPort(client.String()); err == nil {
			h.peer = host
		}
	}
	return h
}

// appendTo appends the head for the app. of is nil unless r may be for a page.
func (h *requestHead) appendTo(dst []byte, r *http1.Request, upgrades bool, of *page.Request) []byte {
	dst = append(dst, r.Line...)
	last := lastForwardedFor(r.Fields)
	proto, host := h.proto == "", len(r.Host) == 0
	for i := range r.Fields {
		f := &r.Fields[i]
		if of != nil && of.Drops(string(f.Name)) {
			continue
		}
		switch kindOf(f.Name) {
		case fieldForged:
			if upgrade.Forged(r.Fields, f) {
				continue
			}
		case fieldConnection:
			dst = appendList(dst, f, func(e []byte) bool { return isOption(e, upgrades) })
			continue
		case fieldProtocols:
			dst = appendList(dst, f, notOurs)
			continue
		case fieldUpgrade:
			if !upgrades {
				continue
			}
		case fieldForwardedFor:
			if i == last && h.peer != "" {
				dst = append(append(dst, bytes.TrimRight(f.Line, "\r\n \t")...), ", "...)
				if len(f.Value) == 0 {
					dst = append(append(dst[:len(dst)-2], ' '), h.peer...)
				} else {
					dst = append(dst, h.peer...)
				}
				dst = append(dst, "\r\n"...)
				continue
			}
		case fieldForwardedProto:
			proto = true
		case fieldForwardedHost:
			host = true
		}
		dst = append(dst, f.Line...)
	}
	if last < 0 && h.peer != "" {
		dst = appendField(dst, "X-Forwarded-For", h.peer)
	}
	if !proto {
		dst = appendField(dst, "X-Forwarded-Proto", h.proto)
	}
	if !host {
		dst = append(append(append(dst, "X-Forwarded-Host: "...), r.Host...), "\r\n"...)
	}
	if match := of.Match(); match != "" {
		dst = appendField(dst, "If-None-Match", match)
	}
	return append(dst, "\r\n"...)
}

func appendField(dst []byte, name, value string) []byte {
	return append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
}

func lastForwardedFor(fields http1.Fields) int {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Is("x-forwarded-for") {
			return i
		}
	}
	return -1
}

// A fieldKind is what is to be done about a field of a request.
type fieldKind uint8

const (
	fieldOther fieldKind = iota
	fieldForged
	fieldConnection
	fieldUpgrade
	fieldProtocols
	fieldForwardedFor
	fieldForwardedProto
	fieldForwardedHost
)

// kindOf sorts fields by their names. Of the forged ones it only says that
// they have to be looked at.
func kindOf(name []byte) fieldKind {
	is := func(s string) bool { f := http1.Field{Name: name}; return f.Is(s) }
	switch name[0] | 0x20 {
	case 'c':
		if is("connection") {
			return fieldConnection
		}
	case 'u':
		if is("upgrade") {
			return fieldUpgrade
		}
	case 'h':
		if is("http2-settings") {
			return fieldUpgrade
		}
	case 's':
		if is("sec-websocket-protocol") {
			return fieldProtocols
		}
	case 'x':
		switch {
		case is("x-forwarded-for"):
			return fieldForwardedFor
		case is("x-forwarded-proto"):
			return fieldForwardedProto
		case is("x-forwarded-host"):
			return fieldForwardedHost
		}
	}
	if name[0]|0x20 == 'w' || name[0]|0x20 == 'x' || bytes.IndexByte(name, '_') >= 0 {
		return fieldForged
	}
	return fieldOther
}

// appendList appends a line with those elements of its list that may pass. A line
// of which all may is appended as it came.
func appendList(dst []byte, f *http1.Field, may func(element []byte) bool) []byte {
	whole := true
	http1.Elements(f.Value, func(e []byte) { whole = whole && may(e) })
	if whole {
		return append(dst, f.Line...)
	}
	begin, first := len(dst), true
	dst = append(append(dst, f.Name...), ": "...)
	http1.Elements(f.Value, func(e []byte) {
		if !may(e) {
			return
		}
		if !first {
			dst = append(dst, ", "...)
		}
		dst, first = append(dst, e...), false
	})
	if first {
		return dst[:begin]
	}
	return append(dst, "\r\n"...)
}

// notOurs reports whether a subprotocol is the app's.
func notOurs(e []byte) bool { return string(e) != "wsr" && !bytes.HasPrefix(e, []byte("wsr.")) }

// isOption reports whether an element of Connection is about the connection.
func isOption(e []byte, upgrades bool) bool {
	is := func(s string) bool { f := http1.Field{Name: e}; return f.Is(s) }
	return is("close") || is("keep-alive") || is("te") || upgrades && (is("upgrade") || is("http2-settings"))
}

// appendAnswer appends the head of an app's answer for the client, as it came
// but for Content-Length beside Transfer-Encoding (RFC 9112 §6.3), and, if the
// connection is to end, Connection: close.
func appendAnswer(dst []byte, r *http1.Response, closes bool) []byte {
	dst = append(dst, r.Line...)
	for i := range r.Fields {
		f := &r.Fields[i]
		if r.Overridden && f.Is("content-length") || closes && (f.Is("connection") || f.Is("keep-alive")) {
			continue
		}
		dst = append(dst, f.Line...)
	}
	if closes {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendSwitch appends a 101, without what says that a body follows.
func appendSwitch(dst []byte, r *http1.Response) []byte {
	dst = append(dst, r.Line...)
	for i := range r.Fields {
		if f := &r.Fields[i]; !f.Is("content-length") && !f.Is("transfer-encoding") {
			dst = append(dst, f.Line...)
		}
	}
	return append(dst, "\r\n"...)
}

// appendTrailer appends a trailer section for the app. Some servers make headers
// of it, so that what may not pass there may not pass here.
func appendTrailer(dst []byte, fields http1.Fields) []byte {
	for i := range fields {
		f := &fields[i]
		switch kindOf(f.Name) {
		case fieldForged:
			if upgrade.Forged(fields, f) {
				continue
			}
		case fieldConnection, fieldUpgrade, fieldProtocols, fieldForwardedFor, fieldForwardedProto, fieldForwardedHost:
			continue
		case fieldOther:
			if f.Is("content-length") || f.Is("transfer-encoding") || f.Is("host") {
				continue
			}
		}
		dst = append(dst, f.Line...)
	}
	return append(dst, "\r\n"...)
}
