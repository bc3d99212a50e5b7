package natsstore

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// An operator runs one server with JWTs, and one account on it.
type operator struct {
	t        *testing.T
	keys     nkeys.KeyPair
	account  nkeys.KeyPair
	claims   *jwt.AccountClaims
	resolver *server.MemAccResolver
	server   *server.Server
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t, keys: must(nkeys.CreateOperator()), account: must(nkeys.CreateAccount()), resolver: &server.MemAccResolver{}}
	system := public(must(nkeys.CreateAccount()))
	oc := jwt.NewOperatorClaims(public(o.keys))
	oc.SystemAccount = system
	signed := must(jwt.DecodeOperatorClaims(must(oc.Encode(o.keys))))
	o.store(jwt.NewAccountClaims(system))
	o.claims = jwt.NewAccountClaims(public(o.account))
	o.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: 32 << 20, Streams: 8, Consumer: jwt.NoLimit}
	o.store(o.claims)
	o.server = startServer(t, server.RANDOM_PORT, func(opts *server.Options) {
		opts.TrustedOperators = []*jwt.OperatorClaims{signed}
		opts.AccountResolver = o.resolver
		opts.SystemAccount = system
	})
	return o
}

func (o *operator) store(claims *jwt.AccountClaims) {
	o.t.Helper()
	if err := o.resolver.Store(claims.Subject, must(claims.Encode(o.keys))); err != nil {
		o.t.Fatal(err)
	}
}

// update publishes the account's claims, as a push to the resolver does.
func (o *operator) update() {
	o.t.Helper()
	o.store(o.claims)
	o.server.UpdateAccountClaims(must(o.server.LookupAccount(o.claims.Subject)), o.claims)
}

// user makes a user of the account, and returns the public key and the file.
func (o *operator) user(change func(*jwt.UserClaims)) (key, file string) {
	o.t.Helper()
	pair := must(nkeys.CreateUser())
	claims := jwt.NewUserClaims(public(pair))
	if change != nil {
		change(claims)
	}
	content := must(jwt.FormatUserConfig(must(claims.Encode(o.account)), must(pair.Seed())))
	return claims.Subject, writeSecret(o.t, "user.creds", content)
}

func (o *operator) config(creds string) Config {
	cfg := externalConfig(o.t, o.server.ClientURL())
	cfg.CredsFile = creds
	return cfg
}

// must is for what fails only if the test itself is wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func public(pair nkeys.KeyPair) string { return must(pair.PublicKey()) }

// withoutSecrets fails if words contains a seed or a token.
func withoutSecrets(t *testing.T, words string) {
	t.Helper()
	for _, secret := range []string{"SU", "eyJ", "BEGIN", "hunter2"} {
		if strings.Contains(words, secret) {
			t.Errorf("shows %q: %s", secret, words)
		}
	}
}

func TestCreds(t *testing.T) {
	o := newOperator(t)
	_, file := o.user(nil)
	mustWork(t, o.config(file))

	mustRefuse(t, o.config(""), "no credentials given", "authorization violation")

	revoked, file := o.user(nil)
	o.claims.Revoke(revoked)
	o.update()
	mustRefuse(t, o.config(file), "creds file "+file)

	_, file = o.user(func(c *jwt.UserClaims) { c.Expires = time.Now().Add(-time.Minute).Unix() })
	mustRefuse(t, o.config(file), "creds file "+file)

	stranger := newOperator(t)
	_, file = stranger.user(nil)
	mustRefuse(t, o.config(file), "creds file "+file)

	mustRefuse(t, o.config(file+".not"), "creds file", file+".not", "no such file")
}

// TestCredsIncomplete: neither half of a creds file goes to a server, and the
// error shows nothing of it.
func TestCredsIncomplete(t *testing.T) {
	o := newOperator(t)
	_, file := o.user(nil)
	content := string(must(os.ReadFile(file)))
	seed := string(must(must(nkeys.CreateUser()).Seed()))
	token, _, _ := strings.Cut(content, "*****")
	for name, tc := range map[string]struct{ content, want string }{
		"empty":     {"", "no user JWT"},
		"lone seed": {seed, "no user JWT"},
		"no seed":   {token, "no user seed"},
		"password":  {"hunter2", "no user JWT"},
	} {
		file := writeSecret(t, "user.creds", []byte(tc.content))
		_, err := Open(t.Context(), o.config(file))
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), file) {
			t.Fatalf("%s: %v, want %q", name, err, tc.want)
		}
		withoutSecrets(t, strings.ReplaceAll(err.Error(), file, ""))
	}
}

func TestNKey(t *testing.T) {
	pair, other := must(nkeys.CreateUser()), must(nkeys.CreateUser())
	s := startServer(t, server.RANDOM_PORT, func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: public(pair)}}
	})
	cfg := externalConfig(t, s.ClientURL())
	cfg.NKeyFile = writeSecret(t, "nkey", must(pair.Seed()))
	mustWork(t, cfg)

	cfg.NKeyFile = writeSecret(t, "nkey", must(other.Seed()))
	mustRefuse(t, cfg, "NKey file "+cfg.NKeyFile, "authorization violation")
	cfg.NKeyFile = writeSecret(t, "nkey", must(must(nkeys.CreateAccount()).Seed()))
	mustRefuse(t, cfg, "NKey file "+cfg.NKeyFile, "not a valid nkey user seed")
	cfg.NKeyFile = ""
	mustRefuse(t, cfg, "no credentials given")

	open := externalConfig(t, startServer(t, server.RANDOM_PORT, nil).ClientURL())
	open.NKeyFile = writeSecret(t, "nkey", must(pair.Seed()))
	mustRefuse(t, open, "NKey file "+open.NKeyFile, "nkeys not supported")
}

func TestPassword(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT, func(o *server.Options) { o.Username, o.Password = "user", "p@ss" })
	host := s.Addr().String()
	mustWork(t, externalConfig(t, "nats://user:p%40ss@"+host))
	mustRefuse(t, externalConfig(t, "nats://user:hunter2@"+host), "user name and password of the URL")
	mustRefuse(t, externalConfig(t, host), "no credentials given")
}

// TestRevoked: a user that is revoked while sessions live is named as the
// reason, is dialled with again after growing pauses, and works again when the
// revocation is lifted (N08).
func TestRevoked(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	key, file := o.user(nil)
	s := mustWork(t, o.config(file))
	before := must(o.server.Varz(nil)).TotalConnections
	o.claims.Revoke(key)
	o.update()

	var err error
	named := func() bool {
		_, err = s.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1})
		return errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "creds file "+file)
	}
	for deadline := time.Now().Add(10 * time.Second); !named(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("append: %v", err)
		}
	}
	withoutSecrets(t, strings.ReplaceAll(err.Error(), file, ""))
	time.Sleep(2 * time.Second) // the rate of dials to a real server is what is tested
	if dials := must(o.server.Varz(nil)).TotalConnections - before; dials < 1 || dials > 8 {
		t.Errorf("%d dials in two seconds", dials)
	}
	delete(o.claims.Revocations, key)
	o.update()
	waitReady(t, s)
}
