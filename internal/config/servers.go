package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Servers is a comma-separated list of NATS servers. They may have credentials,
// without which it prints; string(s) has them.
type Servers string

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Servers) UnmarshalText(text []byte) error {
	for server := range strings.SplitSeq(string(text), ",") {
		parsed, err := url.Parse(server)
		switch {
		case err != nil:
			return errors.New("not a URL")
		case parsed.Scheme != "nats" && parsed.Scheme != "tls":
			return errors.New("the scheme is neither nats nor tls")
		case !validHost(parsed.Hostname()):
			return errors.New("the host is neither a name nor an IP address")
		case parsed.Port() != "" && !validPort(parsed.Port()):
			return errors.New("the port is not a number from 1 to 65535")
		case parsed.Path != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
			return errors.New("a path or query has no place here; a / in a password is written %2F")
		}
	}
	*s = Servers(text)
	return nil
}

// Allowed describes the text form.
func (Servers) Allowed() string { return "nats://host:port or tls://host:port, comma-separated" }

// String returns the list without credentials.
func (s Servers) String() string {
	list := strings.Split(string(s), ",")
	for i, server := range list {
		if scheme, rest, ok := strings.Cut(server, "://"); ok {
			list[i] = scheme + "://" + maskURL(rest)
		} else {
			list[i] = maskURL(server)
		}
	}
	return strings.Join(list, ",")
}

// Format implements fmt.Formatter: no verb, not even a wrong one, shows more
// than String.
func (s Servers) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText is String: a log handler that encodes must not show more.
func (s Servers) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
