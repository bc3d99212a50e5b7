package config

import (
	"errors"
	"net"
	"net/url"

	"github.com/wsresilience/wsresilience/internal/appaddr"
)

// Upstream is where the app listens: http://host:port or unix:/path. A URL
// always has its port.
type Upstream string

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *Upstream) UnmarshalText(text []byte) error {
	s := withPort(string(text))
	network, address, err := appaddr.Parse(s)
	if err != nil {
		return err
	}
	if network == "tcp" && !validHost(Address(address).Host()) {
		return errors.New("the host is neither a name nor an IP address")
	}
	*u = Upstream(s)
	return nil
}

// withPort adds the port of HTTP to a URL that has none.
func withPort(s string) string {
	parsed, err := url.Parse(s)
	if err != nil || parsed.Hostname() == "" || parsed.Port() != "" || parsed.Host[len(parsed.Host)-1] == ':' {
		return s
	}
	parsed.Host = net.JoinHostPort(parsed.Hostname(), "80")
	return parsed.String()
}

// Allowed describes the text form.
func (Upstream) Allowed() string { return appaddr.Forms }

// Dial returns what net.Dial takes: tcp and host:port, or unix and a path.
func (u Upstream) Dial() (network, address string) {
	network, address, _ = appaddr.Parse(string(u))
	return network, address
}
