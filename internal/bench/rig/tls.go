package rig

import (
	"os"
	"path/filepath"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// TLS names the files of a certificate that a proxy shows to its clients.
type TLS struct{ cert, key, both string }

// NewTLS makes a certificate for loopback, for this run.
func (r *Rig) NewTLS() (t TLS, err error) {
	dir, err := r.Scratch("tls")
	if err != nil {
		return t, err
	}
	pair := certs.SelfSigned("127.0.0.1")
	if t.cert, t.key, err = pair.Write(dir); err != nil {
		return t, err
	}
	t.both = filepath.Join(dir, "both.pem")
	return t, os.WriteFile(t.both, append(pair.Cert[:len(pair.Cert):len(pair.Cert)], pair.Key...), 0o600)
}

// settings are those of a sidecar.
func (t *TLS) settings() []string {
	if t.cert == "" {
		return nil
	}
	return []string{"WSR_TLS_CERT=" + t.cert, "WSR_TLS_KEY=" + t.key}
}

// nginx is what follows the address behind listen.
func (t *TLS) nginx() string {
	if t.cert == "" {
		return ";"
	}
	return " ssl; ssl_certificate " + t.cert + "; ssl_certificate_key " + t.key + ";"
}

// haproxy is what follows the address behind bind.
func (t *TLS) haproxy() string {
	if t.cert == "" {
		return ""
	}
	return " ssl crt " + t.both
}
