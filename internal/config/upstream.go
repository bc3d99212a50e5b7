package config

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// Upstream is where the app listens: http://host:port or unix:/path.
type Upstream string

// unixPrefix marks a Unix socket in an Upstream.
const unixPrefix = "unix:"

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *Upstream) UnmarshalText(text []byte) error {
	s := string(text)
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") {
			return errors.New("the socket's path is not absolute")
		}
		*u = Upstream(s)
		return nil
	}
	parsed, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case parsed.Scheme != "http":
		return errors.New("the scheme is not http")
	case parsed.User != nil:
		return errors.New("credentials have no place here")
	case parsed.Path != "" && parsed.Path != "/" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return errors.New("a path or query has no place here: requests keep their own")
	case !validHost(parsed.Hostname()):
		return errors.New("the host is neither a name nor an IP address")
	case parsed.Port() != "" && !validPort(parsed.Port()) || strings.HasSuffix(parsed.Host, ":"):
		return errors.New("the port is not a number from 1 to 65535")
	}
	*u = Upstream(s)
	return nil
}

// Allowed describes the text form.
func (Upstream) Allowed() string { return "http://host:port, or unix:/path" }

// Dial returns what net.Dial takes: tcp and host:port, or unix and a path.
func (u Upstream) Dial() (network, address string) {
	if path, ok := strings.CutPrefix(string(u), unixPrefix); ok {
		return "unix", path
	}
	parsed, err := url.Parse(string(u))
	if err != nil {
		return "tcp", string(u)
	}
	port := parsed.Port()
	if port == "" {
		port = "80"
	}
	return "tcp", net.JoinHostPort(parsed.Hostname(), port)
}
