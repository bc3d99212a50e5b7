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

// A settingError is a reason for not being connected that retrying does not
// change, with the setting that an operator has to check. It holds no secret.
type settingError struct {
	setting string
	err     error
}

func (e *settingError) Error() string { return e.setting + ": " + e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

// explain makes a settingError of an error of the connection if retrying does
// not help: the server refuses us, or it is not the one that we expect. An
// expired certificate is none, since the server's operator renews it.
func (c *Config) explain(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &unknown) && c.CAFile != "":
		return &settingError{"CA file " + c.CAFile + " did not sign the server's certificate", err}
	case errors.As(err, &unknown):
		return &settingError{"no CA file given, and the system does not know the server's", err}
	case errors.As(err, &name):
		return &settingError{"server's certificate is for another name than the URL's", err}
	case errors.Is(err, nats.ErrSecureConnWanted):
		return &settingError{"TLS wanted, the server has none: remove the CA file, or turn TLS on in the server", err}
	case unauthorized(err):
		return &settingError{c.credentials(), err}
	}
	return err
}

// unauthorized reports whether the server refuses our credentials.
func unauthorized(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) ||
		errors.Is(err, nats.ErrNkeysNotSupported)
}

// credentials names the setting that authenticates us.
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

// checkCreds refuses a creds file that lacks a part. The NATS client would take
// any text for the JWT, a lone seed too, and send it to the server.
func checkCreds(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("natsstore: creds file: %w", err)
	}
	defer clear(content)
	if token, err := nkeys.ParseDecoratedJWT(content); err != nil || strings.Count(token, ".") != 2 {
		return fmt.Errorf("natsstore: creds file %s: no user JWT in it; make it with `nsc generate creds`", file)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return fmt.Errorf("natsstore: creds file %s: no user seed in it; make it with `nsc generate creds`", file)
	}
	pair.Wipe()
	return nil
}
