package proxy

import (
	"crypto/tls"
	"time"

	"github.com/wsresilience/wsresilience/internal/certfile"
)

// listenerTLS is for the listener under httpguard.Guard. HTTP/2 is for browsers that
// fetch much; for a WebSocket they come again with HTTP/1.1, which is the only
// protocol where we offer one.
func listenerTLS(c *certfile.Pair) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.Current(time.Now()), nil
		},
	}
}

// Certificate tells of the files of the clients' port; ok is false without TLS.
func (s *Server) Certificate() (st certfile.State, ok bool) {
	if s.certificate == nil {
		return st, false
	}
	return s.certificate.State(time.Now()), true
}
