package tenants

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store/natsstore"
)

// Requests of the system account.
const (
	updateSubject = "$SYS.REQ.CLAIMS.UPDATE"
	deleteSubject = "$SYS.REQ.CLAIMS.DELETE"
	listSubject   = "$SYS.REQ.CLAIMS.LIST"
	lookupSubject = "$SYS.REQ.ACCOUNT.%s.CLAIMS.LOOKUP"
)

// Implementation limits.
const (
	// dialTimeout bounds the connect to one server.
	dialTimeout = 2 * time.Second

	// requestTimeout bounds one request to the system account, which any server
	// answers.
	requestTimeout = 2 * time.Second

	// removeTimeout bounds the removal of an account.
	removeTimeout = 20 * time.Second
)

// Servers are the NATS servers that know the operator. It is safe for concurrent
// use. The zero value of a field but URL is its default.
type Servers struct {
	URL       string // one or more, separated by commas, without credentials
	CA        []byte // PEM; empty: the system's
	Authority *Authority
	Log       *slog.Logger // of the streams; nil: silent

	// Back is called when the servers are there again after an outage, in which
	// they may have lost what they knew. nil: nobody is told.
	Back func()

	mu     sync.Mutex
	system *nats.Conn // nil: not connected yet
}

// Apply makes the servers know the account as it is, and makes what the journal
// needs there. It does nothing where all is as it should be.
func (s *Servers) Apply(ctx context.Context, a *Account) error {
	system, err := s.connection()
	if err != nil {
		return err
	}
	found, err := lookup(ctx, system, a.ID())
	if err != nil {
		return err
	}
	a.keepRefused(found)
	if !a.announced(found) {
		if err := announce(ctx, system, a); err != nil {
			return err
		}
	}
	admin, err := s.admin(a)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := natsstore.MakeStreams(ctx, admin, a.layout, cmp.Or(s.Log, slog.New(slog.DiscardHandler))); err != nil {
		return fmt.Errorf("tenants: the journal of namespace %s: %w", a.tenant.Namespace, err)
	}
	return nil
}

// Accounts returns the tenants of a cluster that the servers know, by their
// accounts.
func (s *Servers) Accounts(ctx context.Context, cluster string) (map[string]Tenant, error) {
	system, err := s.connection()
	if err != nil {
		return nil, err
	}
	var list struct {
		Data []string `json:"data"`
	}
	answer, err := request(ctx, system, listSubject, nil)
	if err != nil {
		return nil, fmt.Errorf("tenants: list of accounts: %w", err)
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("tenants: list of accounts: %w", err)
	}
	tenants := map[string]Tenant{}
	for _, id := range list.Data {
		token, err := lookup(ctx, system, id)
		if err != nil {
			return nil, err
		}
		claims, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			continue // it was removed meanwhile, or is not what an account is
		}
		if t, ours := tenantOf(claims, cluster); ours {
			tenants[id] = t
		}
	}
	return tenants, nil
}

// Remove deletes the account and all that is in it.
func (s *Servers) Remove(ctx context.Context, a *Account) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	system, err := s.connection()
	if err != nil {
		return err
	}
	if err := s.empty(ctx, a); err != nil {
		return err
	}
	operator, err := a.authority.keys.PublicKey()
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	claims := jwt.NewGenericClaims(operator)
	claims.Data["accounts"] = []string{a.ID()}
	token, err := claims.Encode(a.authority.keys)
	if err != nil {
		return fmt.Errorf("tenants: removal of the account of %s: %w", a.tenant.Namespace, err)
	}
	return claimsAnswer(request(ctx, system, deleteSubject, []byte(token)))
}

// empty deletes the account's streams: servers keep those of an account that is
// gone.
func (s *Servers) empty(ctx context.Context, a *Account) error {
	admin, err := s.admin(a)
	if err != nil {
		return err
	}
	defer admin.Close()
	js, err := jetstream.New(admin)
	if err != nil {
		return fmt.Errorf("tenants: %w", err)
	}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if err := js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("tenants: stream %s of namespace %s: %w", name, a.tenant.Namespace, err)
		}
	}
	return names.Err()
}

// Close ends the connection of the system account.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.system != nil {
		s.system.Close()
	}
}

// connection returns the one of the system account.
func (s *Servers) connection() (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.system != nil && !s.system.IsClosed() {
		if !s.system.IsConnected() {
			return nil, fmt.Errorf("tenants: NATS is out of reach: %w", cause(s.system))
		}
		return s.system, nil
	}
	system, err := s.dial(s.Authority.systemCreds, nats.MaxReconnects(-1), nats.ReconnectHandler(func(*nats.Conn) {
		if s.Back != nil {
			s.Back()
		}
	}))
	if err != nil {
		return nil, fmt.Errorf("tenants: system account: %w", err)
	}
	s.system = system
	return system, nil
}

func cause(c *nats.Conn) error {
	if err := c.LastError(); err != nil {
		return err
	}
	return nats.ErrDisconnected
}

// admin connects as the user that makes streams in the account.
func (s *Servers) admin(a *Account) (*nats.Conn, error) {
	creds, err := a.admin()
	if err != nil {
		return nil, err
	}
	admin, err := s.dial(creds, nats.NoReconnect())
	if err != nil {
		return nil, fmt.Errorf("tenants: account of %s: %w", a.tenant.Namespace, err)
	}
	return admin, nil
}

func (s *Servers) dial(creds []byte, options ...nats.Option) (*nats.Conn, error) {
	options = append(options,
		nats.Name(injectorName), nats.Timeout(dialTimeout), nats.UserCredentialBytes(creds), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // requests say what is wrong
	)
	if len(s.CA) > 0 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(s.CA) {
			return nil, errors.New("its authorities are no PEM")
		}
		options = append(options, nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	}
	return nats.Connect(s.URL, options...)
}

// lookup returns what the servers believe of an account; "" if they do not know
// it.
func lookup(ctx context.Context, system *nats.Conn, id string) (string, error) {
	answer, err := request(ctx, system, fmt.Sprintf(lookupSubject, id), nil)
	if err != nil {
		return "", fmt.Errorf("tenants: look-up of an account: %w; NATS needs the operator's keys and a full resolver", err)
	}
	return string(answer), nil
}

// announce pushes the account to the servers' resolvers. One answers for all:
// they tell each other.
func announce(ctx context.Context, system *nats.Conn, a *Account) error {
	token, err := a.token()
	if err != nil {
		return err
	}
	return claimsAnswer(request(ctx, system, updateSubject, []byte(token)))
}

// claimsAnswer reads what a resolver says to a change.
func claimsAnswer(answer []byte, err error) error {
	if err != nil {
		return fmt.Errorf("tenants: change of an account: %w", err)
	}
	var status struct {
		Data  *struct{} `json:"data"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(answer, &status); {
	case err != nil:
		return fmt.Errorf("tenants: change of an account: %w", err)
	case status.Error != nil:
		return fmt.Errorf("tenants: NATS refused the change of an account: %.256s", status.Error.Description)
	case status.Data == nil:
		return errors.New("tenants: NATS did not say whether it changed the account")
	}
	return nil
}

func request(ctx context.Context, system *nats.Conn, subject string, data []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := system.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, err
	}
	return answer.Data, nil
}
