// Package clientaddr finds out at which address the client of a request is, where
// proxies stand in front: a proxy that is trusted says in X-Forwarded-For, or in
// Forwarded (RFC 7239), whom it serves. It is pure.
package clientaddr

import (
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds how many proxies are walked through, each of which the one
// behind has named.
const maxHops = 16

// Proxies are the addresses whose word counts. The zero value trusts nobody. It
// does not change, and is safe for concurrent use.
type Proxies []netip.Prefix

// Private returns the addresses that no client in the internet has: loopback,
// private and link-local ones, and those of carriers and of some clusters.
func Private() Proxies {
	return Proxies{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598
	}
}

// Said are the fields of a request in which proxies say whom they serve, as they
// came, in order.
type Said struct{ XForwardedFor, Forwarded []string }

// Client returns where the client is whose request came from peer: the last
// address that no trusted proxy has. What its own proxies, or itself, have said
// before is not looked at. Where a trusted one did not say whom it serves, or says
// so in both fields, and not the same, it counts as the client. The zero Addr
// means that peer has no address.
func (p Proxies) Client(peer netip.Addr, said Said) netip.Addr {
	peer = Plain(peer)
	if !p.trusts(peer) {
		return peer
	}
	x := p.walk(peer, said.XForwardedFor, address)
	f := p.walk(peer, said.Forwarded, forwardedFor)
	switch {
	case len(said.Forwarded) == 0:
		return x
	case len(said.XForwardedFor) == 0:
		return f
	case x == f:
		return x
	}
	// Proxies write one of the two, and pass the other one on as it came.
	return peer
}

func (p Proxies) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// walk goes from a trusted proxy to whom that names, and on, backwards through
// the elements of the lists.
func (p Proxies) walk(at netip.Addr, lists []string, parse func(string) netip.Addr) netip.Addr {
	left := maxHops
	for i := len(lists) - 1; i >= 0; i-- {
		for list, more := lists[i], true; more; left-- {
			var last string
			list, last, more = cutLast(list)
			next := parse(strings.Trim(last, " \t"))
			if left == 0 || !next.IsValid() {
				return at
			}
			if at = next; !p.trusts(at) {
				return at
			}
		}
	}
	return at
}

// cutLast cuts the last element off a list. Commas in quotes are no ends of
// elements, and no address has one.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// address reads an address, which some balancers write with a port.
func address(s string) netip.Addr {
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return Plain(a)
	}
	if at, err := netip.ParseAddrPort(s); err == nil {
		return Plain(at.Addr())
	}
	return netip.Addr{}
}

// forwardedFor reads whom an element of Forwarded names: for=192.0.2.1;proto=https.
func forwardedFor(element string) (a netip.Addr) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if a.IsValid() {
			return netip.Addr{} // two of them
		}
		if quoted, ok := strings.CutPrefix(value, `"`); ok {
			value = strings.TrimSuffix(quoted, `"`)
		}
		if a = address(value); !a.IsValid() {
			return a
		}
	}
	return a
}

// Plain is a as it counts: one client may reach us by either version of IP, and
// a zone is ours to know.
func Plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Network is a, or of IPv6 the network of 64 bits that one client has.
func Network(a netip.Addr) netip.Addr {
	if a = Plain(a); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
