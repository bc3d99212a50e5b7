package natsstore

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// A refusal is a reason for not being connected that waiting does not mend,
// with the setting that it is about. Nothing in it is secret.
type refusal struct {
	setting string
	err     error
}

func (r *refusal) Error() string { return r.setting + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// explain makes a refusal of an error of the connection if it is one: the
// server does not want us, or it is not the one that we want. A certificate
// that is only out of date is none, since the server's operator renews it.
func (c *Config) explain(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &unknown) && c.CAFile != "":
		return &refusal{"CA file " + c.CAFile, err}
	case errors.As(err, &unknown):
		return &refusal{"no CA file given", err}
	case errors.As(err, &name):
		return &refusal{"server's certificate", err}
	case errors.Is(err, nats.ErrSecureConnWanted):
		return &refusal{"TLS wanted, the server has none", err}
	case unauthorized(err):
		return &refusal{c.credentials(), err}
	}
	return err
}

// unauthorized tells whether the server knows us and does not want us.
func unauthorized(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) ||
		errors.Is(err, nats.ErrNkeysNotSupported)
}

// credentials names the setting that says who we are.
func (c *Config) credentials() string {
	switch {
	case c.CredsFile != "":
		return "creds file " + c.CredsFile
	case c.NKeyFile != "":
		return "NKey file " + c.NKeyFile
	case strings.Contains(c.URL, "@"):
		return "user name and password of the URL"
	}
	return "no credentials given"
}

// checkCreds refuses a creds file that lacks a part. The client would take
// any text for the JWT, and send it to the server: a lone seed too.
func checkCreds(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("natsstore: creds file: %w", err)
	}
	defer clear(content)
	if token, err := nkeys.ParseDecoratedJWT(content); err != nil || strings.Count(token, ".") != 2 {
		return fmt.Errorf("natsstore: creds file %s: no user JWT in it", file)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return fmt.Errorf("natsstore: creds file %s: no user seed in it", file)
	}
	pair.Wipe()
	return nil
}
