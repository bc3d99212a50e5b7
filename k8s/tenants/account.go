package tenants

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/wsresilience/wsresilience/store/natsstore"
)

// Tenant is whose an account is. A namespace that was deleted and made again
// under its name is another one, with another UID.
type Tenant struct {
	Namespace string
	UID       string
}

func (t Tenant) text() string { return t.Namespace + "/" + t.UID }

// Quota is what an account may use.
type Quota struct {
	Storage     int64 // bytes of the journal on each server that has a copy
	Connections int64 // at once; each sidecar has one
}

// MinStorage is the least that is worth a journal: a few of the largest records in
// each of its streams.
const MinStorage = 64 << 20

// Implementation limits.
const (
	// streamConsumers is what the streams of the journal allow, and NATS wants to be
	// within the limit of the account.
	streamConsumers = 16

	// consumersPerConnection is for the watches of the bucket: one of each sidecar,
	// and those of sidecars that reconnect.
	consumersPerConnection = 2

	// subscriptionsPerConnection is far above what a sidecar has: its inbox, and
	// one for each watch.
	subscriptionsPerConnection = 16
)

// adminConnections are for injectors that make the streams at the same time.
const adminConnections = 4

// Tags of an account, by which it is found and removed.
const (
	clusterTag = "wsr-cluster:"
	uidTag     = "wsr-namespace:"
)

// RefuseBefore makes the servers refuse credentials that were made until then,
// of which somebody may have a copy. Later ones have another key.
func (a *Account) RefuseBefore(at time.Time) {
	if !at.IsZero() {
		a.claims.Revocations = jwt.RevocationList{jwt.All: at.Unix()}
	}
}

// keepRefused refuses what found, which the servers believe, refuses: another
// injector may know of it earlier than we do.
func (a *Account) keepRefused(found string) {
	have, err := jwt.DecodeAccountClaims(found)
	if err != nil || have.Subject != a.ID() {
		return
	}
	if at, ok := have.Revocations[jwt.All]; ok && at > a.claims.Revocations[jwt.All] {
		a.RefuseBefore(time.Unix(at, 0))
	}
}

// sidecarUser is the key of the tenant's sidecars.
func (a *Account) sidecarUser() (nkeys.KeyPair, error) {
	purpose := purposeUser + a.tenant.text()
	if at, ok := a.claims.Revocations[jwt.All]; ok {
		purpose = fmt.Sprint(purpose, " ", at)
	}
	return a.authority.derive(nkeys.PrefixByteUser, purpose)
}

// Account is a tenant's in NATS.
type Account struct {
	authority *Authority
	signer    nkeys.KeyPair // of users: operators may want that it is not the account's own
	tenant    Tenant
	claims    *jwt.AccountClaims
	layout    natsstore.Layout
}

// keyShare is the part of the quota that messages which act once have, beside it:
// what a tenant has in the journal already may be all of the quota.
const keyShare = 16

// Account returns the account of a tenant. cluster tells Kubernetes clusters
// apart that share NATS servers. Of the layout the bytes follow from the quota.
func (a *Authority) Account(tenant Tenant, cluster string, quota Quota, layout natsstore.Layout) (*Account, error) {
	keys, err := a.derive(nkeys.PrefixByteAccount, purposeAccount+tenant.text())
	if err != nil {
		return nil, err
	}
	id, err := keys.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	signer, err := a.derive(nkeys.PrefixByteAccount, purposeSigner+tenant.text())
	if err != nil {
		return nil, err
	}
	signerID, err := signer.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	layout.MaxBytes, layout.KeyBytes = quota.Storage-natsstore.LeaseBytes, quota.Storage/keyShare
	claims := jwt.NewAccountClaims(id)
	claims.Name = tenant.Namespace
	claims.SigningKeys.Add(signerID)
	claims.Tags = jwt.TagList{clusterTag + cluster, uidTag + tenant.UID}
	claims.Limits = jwt.OperatorLimits{
		NatsLimits:    jwt.NatsLimits{Subs: quota.Connections * subscriptionsPerConnection, Data: jwt.NoLimit, Payload: jwt.NoLimit},
		AccountLimits: jwt.AccountLimits{Conn: quota.Connections + adminConnections, DisallowBearer: true},
		JetStreamLimits: jwt.JetStreamLimits{
			// What is not said of a tier counts every copy.
			DiskStorage: (quota.Storage + layout.KeyBytes) * int64(layout.Replicas), Streams: int64(natsstore.Streams(layout.Shards)) + 1,
			Consumer: streamConsumers + quota.Connections*consumersPerConnection, MaxBytesRequired: true,
		},
	}
	claims.DefaultPermissions = sidecarPermissions()
	return &Account{authority: a, signer: signer, tenant: tenant, claims: claims, layout: layout}, nil
}

// sidecarPermissions are those of docs/OPERATING.md, without the right to make
// or change streams.
func sidecarPermissions() jwt.Permissions {
	return jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{
			"wsr.log.>", "$KV.WSR_LEASE.*", "$KV.WSR_IDEM.*",
			"$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.>",
			"$JS.API.CONSUMER.CREATE.KV_WSR_LEASE.>", "$JS.API.CONSUMER.DELETE.KV_WSR_LEASE.*", "$JS.FC.KV_WSR_LEASE.>",
		}},
		Sub: jwt.Permission{Allow: jwt.StringList{"_INBOX.>"}},
	}
}

// adminPermissions are for making streams, and for removing them with their
// account.
func adminPermissions() jwt.Permissions {
	return jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{
			"$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.DELETE.*",
		}},
		Sub: jwt.Permission{Allow: jwt.StringList{"_INBOX.>"}},
	}
}

// ID is the account's public key.
func (a *Account) ID() string { return a.claims.Subject }

// Credentials returns the file with which the tenant's sidecars log in: have, if
// that is theirs already, since a new one would differ for no reason.
func (a *Account) Credentials(have []byte) ([]byte, error) {
	user, err := a.sidecarUser()
	if err != nil {
		return nil, err
	}
	if a.valid(have, user) {
		return have, nil
	}
	return credentials(user, a.signer, a.ID(), a.tenant.Namespace, jwt.Permissions{})
}

// valid reports whether file is one that Credentials made.
func (a *Account) valid(file []byte, user nkeys.KeyPair) bool {
	token, err := nkeys.ParseDecoratedJWT(file)
	if err != nil {
		return false
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil || claims.IssuerAccount != a.ID() || !a.claims.SigningKeys.Contains(claims.Issuer) || a.claims.Revocations.IsRevoked(claims.Subject, time.Unix(claims.IssuedAt, 0)) || claims.Expires != 0 || !reflect.DeepEqual(claims.Permissions, jwt.Permissions{}) {
		return false
	}
	pair, err := nkeys.ParseDecoratedUserNKey(file)
	if err != nil {
		return false
	}
	have, err1 := pair.Seed()
	want, err2 := user.Seed()
	return err1 == nil && err2 == nil && bytes.Equal(have, want)
}

// admin returns the credentials of the user that makes streams. They are kept
// nowhere.
func (a *Account) admin() ([]byte, error) {
	user, err := a.authority.derive(nkeys.PrefixByteUser, purposeAdmin+a.tenant.text())
	if err != nil {
		return nil, err
	}
	public, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	claims := jwt.NewUserClaims(public)
	claims.Name, claims.IssuerAccount, claims.Permissions = injectorName, a.ID(), adminPermissions()
	claims.Expires = time.Now().Add(adminLife).Unix()
	token, err := claims.Encode(a.signer)
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, fmt.Errorf("tenants: %w", err)
	}
	return jwt.FormatUserConfig(token, seed)
}

// adminLife is how long the credentials of admin are good for: they are used at
// once. It allows for clocks that differ.
const adminLife = 10 * time.Minute

// token is the account as the servers believe it.
func (a *Account) token() (string, error) {
	claims := *a.claims
	token, err := claims.Encode(a.authority.keys)
	if err != nil {
		return "", fmt.Errorf("tenants: account of %s: %w", a.tenant.Namespace, err)
	}
	return token, nil
}

// announced reports whether token says of the account what we would say, and
// was signed by our key.
func (a *Account) announced(token string) bool {
	have, err := jwt.DecodeAccountClaims(token)
	if err != nil {
		return false
	}
	signer, err := a.authority.keys.PublicKey()
	return err == nil && have.Issuer == signer && have.Subject == a.ID() && have.Name == a.claims.Name &&
		reflect.DeepEqual(have.Limits, a.claims.Limits) && reflect.DeepEqual(have.DefaultPermissions, a.claims.DefaultPermissions) &&
		reflect.DeepEqual(have.Tags, a.claims.Tags) && maps.Equal(have.Revocations, a.claims.Revocations) &&
		slices.Equal(have.SigningKeys.Keys(), a.claims.SigningKeys.Keys()) && len(have.Exports)+len(have.Imports)+len(have.Mappings) == 0
}

// tenantOf returns whose an account of this cluster is, by its claims.
func tenantOf(claims *jwt.AccountClaims, cluster string) (t Tenant, ours bool) {
	for _, tag := range claims.Tags {
		if uid, ok := strings.CutPrefix(tag, uidTag); ok {
			t.UID = uid
		}
		ours = ours || tag == clusterTag+cluster
	}
	t.Namespace = claims.Name
	return t, ours && t.UID != "" && t.Namespace != ""
}
