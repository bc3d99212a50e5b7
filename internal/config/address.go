package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is host:port. The host is a name, an IPv4 address, an IPv6 address
// in brackets, or empty for all addresses of the machine.
type Address string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	switch {
	case err != nil:
		return errors.New("not host:port")
	case !validPort(port):
		return errors.New("the port is not a number from 1 to 65535")
	case host != "" && !validHost(host):
		return errors.New("the host is neither a name nor an IP address")
	}
	*a = Address(text)
	return nil
}

// Allowed describes the text form.
func (Address) Allowed() string { return "host:port, or :port, IPv6 in brackets" }

// Host returns the host without brackets; empty means all addresses.
func (a Address) Host() string {
	host, _, _ := net.SplitHostPort(string(a))
	return host
}

// Port returns the port in decimal.
func (a Address) Port() string {
	_, port, _ := net.SplitHostPort(string(a))
	return port
}

// wildcard reports whether a listener on a is reached at every address.
func (a Address) wildcard() bool { return unspecified(a.Host()) }

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// loopback reports whether host is this machine as seen by itself.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// validHost accepts an IP address or a DNS name: 1 to 253 letters, digits,
// hyphens, dots, and the underscores of docker compose.
func validHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '.' && r != '_' {
			return false
		}
	}
	return true
}
