// Package doctor looks for what is wrong between a client and a WebSocket app.
// It gathers facts with handshakes, pings and messages of wsr.v1 that end at the
// sidecar, so that nothing reaches the app that could act; package diagnosis
// judges them.
package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say what to look at, and how. The zero value of each field but URL
// is usable.
type Options struct {
	URL          string
	Header       http.Header // beside those of a handshake
	Origin       string      // "": that of the URL; "none": no such header
	Subprotocols []string
	Roots        *x509.CertPool   // nil: the system's
	Insecure     bool             // certificates are not checked
	Certificate  *tls.Certificate // of the client; nil: none
	Issuer       string           // expected, a part of its name
	ServerName   string           // of TLS; "": the URL's host
	Resolve      []string         // addresses instead of those of the name; host:port, or host
	Unix         string           // path of a socket instead of TCP
	Direct       string           // URL of the same behind the path
	Sidecar      bool             // one is expected
	Compression  bool             // expected
	Echo         bool             // the app sends messages back
	Stream       string           // path of an answer of plain HTTP that comes bit by bit
	Message      string           // sent to the app, which answers it
	Quick        bool
	Idle         time.Duration // longest silence; 0: the default
	Timeout      time.Duration // of a handshake; 0: the default
	UserAgent    string

	Progress func(string) // nil: silent; called by several goroutines
}

// Implementation limits, and defaults.
const (
	DefaultIdle  = 10*time.Minute + time.Second
	quickIdle    = 7 * time.Second
	longTimeout  = 10 * time.Second
	quickTimeout = 5 * time.Second
)

// A target is what Options say, taken apart.
type target struct {
	Options
	url    *url.URL
	secure bool
	port   string
	host   string // header
	path   string
}

// ErrUsage is wrapped by errors of Options.
var ErrUsage = errors.New("cannot be used")

// parse checks o.
func (o Options) parse() (*target, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("doctor: URL %q %w: allowed is ws://host[:port]/path or wss://…", o.URL, ErrUsage)
	}
	t := &target{Options: o, url: u, host: u.Host}
	switch u.Scheme {
	case "ws", "http":
		t.port = "80"
	case "wss", "https":
		t.secure, t.port = true, "443"
	default:
		return nil, fmt.Errorf("doctor: URL %q %w: it begins with %q; allowed is ws://host[:port]/path or wss://…", o.URL, ErrUsage, u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("doctor: URL %q %w: no host in it; allowed is ws://host[:port]/path or wss://…", o.URL, ErrUsage)
	}
	if u.Port() != "" {
		t.port = u.Port()
	}
	if t.path = u.RequestURI(); t.path == "" {
		t.path = "/"
	}
	if t.Header == nil {
		t.Header = http.Header{}
	}
	if u.User != nil && t.Header.Get("Authorization") == "" {
		r := http.Request{Header: t.Header.Clone()}
		password, _ := u.User.Password()
		r.SetBasicAuth(u.User.Username(), password)
		t.Header = r.Header
	}
	for name, values := range t.Header {
		if strings.ContainsAny(name, " :\r\n") || strings.ContainsAny(strings.Join(values, ""), "\r\n") {
			return nil, fmt.Errorf("doctor: header %q %w: it has a line break, or a name with a space", name, ErrUsage)
		}
	}
	if t.Stream != "" && (t.Stream[0] != '/' || strings.ContainsFunc(t.Stream, func(r rune) bool { return r <= ' ' || r == 0x7f })) {
		return nil, fmt.Errorf("doctor: -stream %q %w: allowed is a path that starts with /", t.Stream, ErrUsage)
	}
	if t.Idle == 0 {
		t.Idle = DefaultIdle
		if t.Quick {
			t.Idle = quickIdle
		}
	}
	if t.Timeout == 0 {
		t.Timeout = longTimeout
		if t.Quick {
			t.Timeout = quickTimeout
		}
	}
	if t.ServerName == "" {
		t.ServerName = u.Hostname()
	}
	if t.Progress == nil {
		t.Progress = func(string) {}
	}
	return t, nil
}

// shown is the URL without what may be a secret in it: a password, a query.
func (t *target) shown() string {
	u := *t.url
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return u.String()
}

// origin is what a page of the same host would send.
func (t *target) origin() string {
	switch {
	case strings.EqualFold(t.Origin, "none"):
		return ""
	case t.Origin != "":
		return t.Origin
	case t.secure:
		return "https://" + t.host
	}
	return "http://" + t.host
}

// fixed are the addresses that were given, which need no look-up.
func (t *target) fixed() []string {
	if t.Unix != "" {
		return []string{t.Unix}
	}
	list := make([]string, 0, len(t.Resolve))
	for _, a := range t.Resolve {
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), t.port)
		}
		list = append(list, a)
	}
	return list
}
