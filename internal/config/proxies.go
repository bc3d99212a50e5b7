package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
)

// maxProxies bounds the list, which each handshake walks.
const maxProxies = 64

// Words for lists of proxies.
const (
	proxiesPrivate = "private"
	proxiesNone    = "none"
)

// Proxies is a comma-separated list of addresses, networks and the word private;
// or none.
type Proxies clientaddr.Proxies

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proxies) UnmarshalText(text []byte) error {
	*p = nil
	if strings.EqualFold(strings.TrimSpace(string(text)), proxiesNone) {
		return nil
	}
	for i, s := range strings.Split(string(text), ",") {
		s = strings.TrimSpace(s)
		if strings.EqualFold(s, proxiesPrivate) {
			*p = append(*p, clientaddr.Private()...)
			continue
		}
		n, err := network(s)
		if err != nil {
			return fmt.Errorf("entry %d is neither an address nor a network", i+1)
		}
		*p = append(*p, n)
	}
	if len(*p) > maxProxies {
		return fmt.Errorf("%d networks, at most %d", len(*p), maxProxies)
	}
	return nil
}

// network reads an address, or a network. One of IPv4 in the form of IPv6 would
// hold no address: they are compared as IPv4.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err == nil && n.Addr().Is4In6() {
		return n, fmt.Errorf("config: network %s is of IPv4", s)
	}
	return n.Masked(), err
}

// Allowed describes the text form.
func (Proxies) Allowed() string {
	return "comma-separated addresses and networks (203.0.113.0/24), private; or none"
}

// String returns the text form.
func (p Proxies) String() string {
	if len(p) == 0 {
		return proxiesNone
	}
	var list []string
	private := Proxies(clientaddr.Private())
	for i := 0; i < len(p); i++ {
		if n := len(private); len(p)-i >= n && slices.Equal(p[i:i+n], private) {
			list = append(list, proxiesPrivate)
			i += n - 1
			continue
		}
		list = append(list, p[i].String())
	}
	return strings.Join(list, ",")
}
