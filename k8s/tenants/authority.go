package tenants

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Keys of the Secret that holds an Authority.
const (
	KeyOperatorSeed  = "operator-seed" // of the operator, or of one of its signing keys
	KeySystemCreds   = "system-creds"  // of a user of the system account
	KeyServersConfig = "operator.conf" // what the servers read: nothing in it is secret
	systemName       = "SYS"           // of the system account
	operatorName     = "wsresilience"  // of the operator
	purposeAccount   = "nats account " // before what an account is of
	purposeSigner    = "nats signer "  // the same of the key that signs users
	purposeUser      = "nats user "    // the same of the sidecars' user
	purposeAdmin     = "nats admin "   // the same of the user that makes streams
	purposePrefix    = "wsresilience " // before every purpose
	injectorName     = "wsresilience-injector"
)

// Authority signs accounts. It is safe for concurrent use, and prints no key.
type Authority struct {
	keys        nkeys.KeyPair
	seed        []byte // raw, from which the accounts' keys are derived
	systemCreds []byte
}

// NewSecret makes an operator with its system account, and returns what the
// Secret is to hold.
func NewSecret() (map[string][]byte, error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	system, err := nkeys.CreateAccount()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	systemID, err := system.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	config, err := serversConfig(operator, systemID)
	if err != nil {
		return nil, err
	}
	creds, err := systemUser(system)
	if err != nil {
		return nil, err
	}
	seed, err := operator.Seed()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	return map[string][]byte{KeyOperatorSeed: seed, KeySystemCreds: creds, KeyServersConfig: config}, nil
}

// Parse reads what the Secret holds. Errors show no key.
func Parse(data map[string][]byte) (*Authority, error) {
	seed := []byte(strings.TrimSpace(string(data[KeyOperatorSeed])))
	prefix, raw, err := nkeys.DecodeSeed(seed)
	if err != nil || prefix != nkeys.PrefixByteOperator {
		return nil, errors.New("tenants: " + KeyOperatorSeed + " is not the seed of an operator (SO...)")
	}
	keys, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, errors.New("tenants: " + KeyOperatorSeed + " cannot be read")
	}
	creds := data[KeySystemCreds]
	if _, err := nkeys.ParseDecoratedUserNKey(creds); err != nil {
		return nil, errors.New("tenants: " + KeySystemCreds + " is no credentials file with a user's seed")
	}
	return &Authority{keys: keys, seed: raw, systemCreds: creds}, nil
}

// derive returns the keys of something, which are the same each time: nothing
// has to be kept of a namespace, and all injectors agree.
func (a *Authority) derive(kind nkeys.PrefixByte, purpose string) (nkeys.KeyPair, error) {
	secret, err := hkdf.Key(sha256.New, a.seed, nil, purposePrefix+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	pair, err := nkeys.FromRawSeed(kind, secret)
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	return pair, nil
}

// serversConfig is the part of nats.conf that depends on the keys.
func serversConfig(operator nkeys.KeyPair, system string) ([]byte, error) {
	public, err := operator.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	oc := jwt.NewOperatorClaims(public)
	oc.Name, oc.SystemAccount = operatorName, system
	operatorJWT, err := oc.Encode(operator)
	if err != nil {
		return nil, fmt.Errorf("tenants: operator: %w", err)
	}
	sc := jwt.NewAccountClaims(system)
	sc.Name = systemName
	systemJWT, err := sc.Encode(operator)
	if err != nil {
		return nil, fmt.Errorf("tenants: system account: %w", err)
	}
	return fmt.Appendf(nil, "operator: %q\nsystem_account: %q\nresolver_preload: {%s: %q}\n", operatorJWT, system, system, systemJWT), nil
}

// systemUser returns the credentials with which accounts are announced. They are
// good for that alone.
func systemUser(system nkeys.KeyPair) ([]byte, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	return credentials(user, system, "", injectorName, jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{updateSubject, deleteSubject, listSubject, fmt.Sprintf(lookupSubject, "*")}},
		Sub: jwt.Permission{Allow: jwt.StringList{"_INBOX.>"}},
	})
}

// credentials makes the file with which a user logs in. Without permissions it
// has the account's. signer is the account's key or, with account, a signing key
// of that account.
func credentials(user, signer nkeys.KeyPair, account, name string, permissions jwt.Permissions) ([]byte, error) {
	public, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount, claims.Permissions = name, account, permissions
	token, err := claims.Encode(signer)
	if err != nil {
		return nil, fmt.Errorf("tenants: user %s: %w", name, err)
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	file, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		return nil, fmt.Errorf("tenants: user %s: %w", name, err)
	}
	return file, nil
}
