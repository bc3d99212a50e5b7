package config

import (
	"net"
	"net/netip"
	"strings"
)

// maxAdvertise is what a resume token has room for (wire.MaxAddress).
const maxAdvertise = 128

// loops refuses addresses that would make the sidecar talk to itself.
func (l *loader) refuseLoops() {
	c := l.cfg
	l.samePorts()
	switch {
	case c.Advertise == "":
	case c.Advertise.wildcard():
		l.fail(l.find("WSR_ADVERTISE"), "other pods need one host to reach, not all addresses")
	case len(c.Advertise) > maxAdvertise:
		l.fail(l.find("WSR_ADVERTISE"), "longer than the 128 bytes that a token has room for")
	}
	network, app := c.Upstream.Dial()
	if network != "tcp" {
		return
	}
	for _, own := range append(l.listeners(), listener{"WSR_ADVERTISE", c.Advertise}) {
		if own.address != "" && l.reaches(Address(app), own.address) {
			l.conflict("the app's address is the sidecar's own: it would call itself ("+
				l.describe([]string{"WSR_UPSTREAM", own.name})+")", "WSR_UPSTREAM", own.name)
			return
		}
	}
}

// A listener is an address that the sidecar takes, and where it is set.
type listener struct {
	name    string
	address Address
}

// listeners lists the addresses that the sidecar listens on.
func (l *loader) listeners() []listener {
	list := []listener{{"WSR_LISTEN", l.cfg.Listen}, {"WSR_ADMIN_LISTEN", l.cfg.AdminListen}}
	if l.cfg.PeerTLS() {
		list = append(list, listener{"WSR_PEER_LISTEN", l.cfg.PeerListen})
	}
	return list
}

// samePorts refuses two listeners where there is room for one.
func (l *loader) samePorts() {
	list := l.listeners()
	for i, a := range list {
		for _, b := range list[i+1:] {
			sameHost := a.address.wildcard() || b.address.wildcard() || strings.EqualFold(a.address.Host(), b.address.Host())
			if a.address.Port() == b.address.Port() && sameHost {
				l.conflict("both want the same port ("+l.describe([]string{a.name, b.name})+")", a.name, b.name)
			}
		}
	}
}

// reaches reports whether dialling target ends at a listener on own. Names
// other than localhost are not resolved: the answer may be another one later.
func (l *loader) reaches(target, own Address) bool {
	if target.Port() != own.Port() {
		return false
	}
	host := target.Host()
	if strings.EqualFold(host, own.Host()) || loopback(host) && loopback(own.Host()) {
		return true
	}
	// Dialling the unspecified address means this machine.
	return own.wildcard() && (loopback(host) || unspecified(host) || l.isOwn(host))
}

// isOwn reports whether host is an address of this machine.
func (l *loader) isOwn(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if host == l.podIP {
		return true
	}
	for _, own := range machineAddresses() {
		if own == ip.Unmap() {
			return true
		}
	}
	return false
}

// advertise is the default of WSR_ADVERTISE: the host of the listener that peers
// connect to, else the pod's address, else the machine's first one.
func (l *loader) advertise() Address {
	listen := l.cfg.Listen
	if l.cfg.PeerTLS() {
		listen = l.cfg.PeerListen
	}
	host := listen.Host()
	if listen.wildcard() {
		host = l.podIP
		if _, err := netip.ParseAddr(host); err != nil {
			host = firstAddress(machineAddresses())
		}
	}
	return Address(net.JoinHostPort(host, listen.Port()))
}

// firstAddress prefers IPv4, which every cluster routes. A machine without a
// network reaches itself, which is all that it can.
func firstAddress(addresses []netip.Addr) string {
	best := "127.0.0.1"
	for _, ip := range addresses {
		if ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		if ip.Is4() {
			return ip.String()
		}
		if best == "127.0.0.1" {
			best = ip.String()
		}
	}
	return best
}

// machineAddresses lists the addresses of this machine. One that cannot be
// listed has none.
func machineAddresses() []netip.Addr {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}
