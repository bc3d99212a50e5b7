package tenants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/wsresilience/wsresilience/store/natsstore"
	"github.com/wsresilience/wsresilience/store/storetest"
)

const testCluster = "c1"

var testQuota = Quota{Storage: 12 << 20, Connections: 3}

// startServers starts a NATS server as the chart does: what the Secret says is
// included in its configuration.
func startServers(t *testing.T) *Servers {
	t.Helper()
	data, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	return startServersOf(t, data)
}

func startServersOf(t *testing.T, data map[string][]byte) *Servers {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "nats.conf")
	text := `
		listen: "127.0.0.1:-1"
		include "` + KeyServersConfig + `"
		resolver { type: full, dir: "` + dir + `/jwt", allow_delete: true }
		jetstream { store_dir: "` + dir + `", max_file_store: 64MiB, max_memory_store: 16MiB }`
	if err := errors.Join(os.WriteFile(filepath.Join(dir, KeyServersConfig), data[KeyServersConfig], 0o600), os.WriteFile(config, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		t.Fatal(err)
	}
	options.NoLog, options.NoSigs = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server did not start")
	}
	authority, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	servers := &Servers{URL: s.ClientURL(), Authority: authority}
	t.Cleanup(servers.Close)
	return servers
}

func account(t *testing.T, s *Servers, namespace, uid string) *Account {
	t.Helper()
	a, err := s.Authority.Account(Tenant{namespace, uid}, testCluster, testQuota, natsstore.Layout{Replicas: 1, Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// apply makes the account, and returns the credentials of its sidecars.
func apply(t *testing.T, s *Servers, a *Account) []byte {
	t.Helper()
	if err := s.Apply(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	creds, err := a.Credentials(nil)
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// login connects as a sidecar, or an app that has read its Secret, would.
func login(s *Servers, creds []byte) (*nats.Conn, error) {
	return nats.Connect(s.URL, nats.UserCredentialBytes(creds), nats.NoReconnect(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
}

// open opens the journal as a sidecar does.
func open(t *testing.T, s *Servers, creds []byte) *natsstore.Store {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nats.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := natsstore.Open(t.Context(), natsstore.Config{URL: s.URL, CredsFile: file, Keys: storetest.Ring(t), Replicas: 1, Shards: 2, ExpectStreams: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	if err := j.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestTenants: two namespaces with an account each. Whoever has the credentials
// of one neither sees, changes nor fills the journal of the other, and cannot
// change its own.
func TestTenants(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	shop, evil := account(t, s, "shop", "u1"), account(t, s, "evil", "u2")
	shopCreds, evilCreds := apply(t, s, shop), apply(t, s, evil)
	open(t, s, shopCreds)
	open(t, s, evilCreds)

	intruder, err := login(s, evilCreds)
	if err != nil {
		t.Fatal(err)
	}
	defer intruder.Close()
	victim, err := login(s, shopCreds)
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()

	t.Run("what one says the other does not hear", func(t *testing.T) {
		stream := journal(t, shop, s)
		for _, subject := range []string{"wsr.log.0.session", "$KV.WSR_LEASE.key"} {
			if err := intruder.Publish(subject, []byte("junk")); err != nil {
				t.Fatal(err)
			}
		}
		if err := intruder.Flush(); err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context())
		if err != nil || info.State.Msgs != 0 {
			t.Errorf("%d messages, %v", info.State.Msgs, err)
		}
	})
	t.Run("neither changes streams", func(t *testing.T) {
		for _, subject := range []string{
			"$JS.API.STREAM.UPDATE.WSR_LOG_0", "$JS.API.STREAM.DELETE.WSR_LOG_0", "$JS.API.STREAM.PURGE.WSR_LOG_0", "$JS.API.STREAM.CREATE.MORE",
			"$JS.API.STREAM.MSG.DELETE.WSR_LOG_0", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.SNAPSHOT.WSR_LOG_0", "$JS.API.CONSUMER.CREATE.WSR_LOG_0.all",
			"$JS.API.ACCOUNT.PURGE." + shop.ID(),
		} {
			refused(t, s, evilCreds, subject)
		}
	})
	t.Run("nor listens", func(t *testing.T) {
		denials := make(chan error, 8)
		c, err := nats.Connect(s.URL, nats.UserCredentialBytes(evilCreds), nats.NoReconnect(),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denials <- err }))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, subject := range []string{">", "wsr.log.>", "$JS.>", "$SYS.>"} {
			if _, err := c.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			if err := <-denials; !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", subject, err)
			}
		}
	})
	t.Run("nor accounts", func(t *testing.T) {
		token, err := evil.token()
		if err != nil {
			t.Fatal(err)
		}
		for _, subject := range []string{updateSubject, listSubject, "$SYS.REQ.ACCOUNT." + shop.ID() + ".CLAIMS.LOOKUP", "$SYS.REQ.SERVER.PING"} {
			if answer, err := intruder.Request(subject, []byte(token), 100*time.Millisecond); err == nil {
				t.Errorf("%s: %s", subject, answer.Data)
			}
		}
	})
	t.Run("a full journal is full for one", func(t *testing.T) {
		fill(t, intruder)
		js, err := jetstream.New(victim)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "wsr.log.0.session", make([]byte, 64<<10)); err != nil {
			t.Errorf("the other cannot write: %v", err)
		}
	})
	t.Run("connections are used up for one", func(t *testing.T) {
		var got error
		for range testQuota.Connections + adminConnections + 1 {
			c, err := login(s, evilCreds)
			if err != nil {
				got = err
				break
			}
			defer c.Close()
		}
		if got == nil || !strings.Contains(got.Error(), "maximum account active connections") {
			t.Errorf("%v", got)
		}
		c, err := login(s, shopCreds)
		if err != nil {
			t.Fatalf("the other cannot connect: %v", err)
		}
		c.Close()
	})
	t.Run("credentials of another operator", func(t *testing.T) {
		foreign, err := NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		authority, err := Parse(foreign)
		if err != nil {
			t.Fatal(err)
		}
		a, err := authority.Account(Tenant{"shop", "u1"}, testCluster, testQuota, natsstore.Layout{Replicas: 1})
		if err != nil {
			t.Fatal(err)
		}
		creds, err := a.Credentials(nil)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := login(s, creds); err == nil {
			c.Close()
			t.Error("they are let in")
		}
	})
}

// journal is a stream of the account, seen by its administrator.
func journal(t *testing.T, a *Account, s *Servers) jetstream.Stream {
	t.Helper()
	admin, err := s.admin(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "WSR_LOG_0")
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// refused checks that a sidecar's user may not publish there.
func refused(t *testing.T, s *Servers, creds []byte, subject string) {
	t.Helper()
	denials := make(chan error, 1)
	c, err := nats.Connect(s.URL, nats.UserCredentialBytes(creds), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denials <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Publish(subject, []byte("{}")), c.Flush()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-denials:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", subject, err)
		}
	case <-time.After(2 * time.Second):
		t.Errorf("%s is allowed", subject)
	}
}

// fill writes to a journal until it takes no more.
func fill(t *testing.T, c *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	full := map[string]bool{}
	for i := 0; len(full) < 2; i++ {
		for _, shard := range []string{"0", "1"} {
			subject := "wsr.log." + shard + "." + string(rune('a'+i))
			if _, err := js.Publish(t.Context(), subject, make([]byte, 512<<10)); err != nil {
				full[shard] = true
			}
		}
		if i > 25 {
			t.Fatal("26 MiB fit into 12")
		}
	}
}

// TestApply: an account that is as it should be is left alone; one that is not
// is put right, and so are its streams.
func TestApply(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	a := account(t, s, "shop", "u1")
	first := apply(t, s, a)
	known := func() string {
		token, err := lookup(t.Context(), s.system, a.ID())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	before := known()
	if second := apply(t, s, account(t, s, "shop", "u1")); known() != before || bytes.Equal(first, nil) {
		t.Errorf("applied twice it is another one: %d bytes of credentials", len(second))
	}
	if again, err := a.Credentials(first); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the credentials are made anew: %v", err)
	}
	if other, err := account(t, s, "shop", "u2").Credentials(first); err != nil || bytes.Equal(other, first) {
		t.Errorf("a namespace of the same name has the credentials of the former one: %v", err)
	}

	admin, err := s.admin(a)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	js, err := jetstream.New(admin)
	if err != nil {
		t.Fatal(err)
	}
	changed := journal(t, a, s).CachedInfo().Config
	age := changed.MaxAge
	changed.MaxMsgsPerSubject, changed.MaxAge = 1, 2*age
	if _, err := js.UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "WSR_LOG_1"); err != nil {
		t.Fatal(err)
	}
	larger, err := s.Authority.Account(a.tenant, testCluster, Quota{Storage: 20 << 20, Connections: 9}, natsstore.Layout{Replicas: 1, Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, larger)
	got := journal(t, a, s).CachedInfo().Config
	if got.MaxMsgsPerSubject != 32 || got.MaxAge != 2*age || got.MaxBytes != 8<<20 || known() == before {
		t.Errorf("%d messages, %v, %d bytes", got.MaxMsgsPerSubject, got.MaxAge, got.MaxBytes)
	}
	open(t, s, first)
}

// TestRefuseBefore: credentials that were taken back are worth nothing, later
// ones have another key, and an injector that has not heard of it yet does not
// let the former ones in again.
func TestRefuseBefore(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	copied := apply(t, s, account(t, s, "shop", "u1"))
	connected, err := login(s, copied)
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	time.Sleep(1100 * time.Millisecond) // the time of a JWT is in seconds, and the server's clock is real
	a := account(t, s, "shop", "u1")
	a.RefuseBefore(time.Now().Add(-time.Second))
	if err := s.Apply(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	creds, err := a.Credentials(copied)
	if err != nil || bytes.Equal(creds, copied) {
		t.Fatalf("the credentials stay: %v", err)
	}
	if err := s.Apply(t.Context(), account(t, s, "shop", "u1")); err != nil {
		t.Fatal(err)
	}
	if c, err := login(s, copied); err == nil {
		c.Close()
		t.Error("who has a copy is let in")
	}
	for end := time.Now().Add(5 * time.Second); !connected.IsClosed(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("who was connected with a copy stays")
		}
	}
	open(t, s, creds)
}

// TestRemove: an account that is gone leaves nothing, lets nobody in, and takes
// none of the others with it.
func TestRemove(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	shop, gone := account(t, s, "shop", "u1"), account(t, s, "gone", "u2")
	shopCreds, goneCreds := apply(t, s, shop), apply(t, s, gone)
	known, err := s.Accounts(t.Context(), testCluster)
	if err != nil || len(known) != 2 || known[gone.ID()] != (Tenant{"gone", "u2"}) {
		t.Fatalf("%v, %v", known, err)
	}
	if others, err := s.Accounts(t.Context(), "c2"); err != nil || len(others) != 0 {
		t.Errorf("another cluster sees %v, %v", others, err)
	}
	if err := s.Remove(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if known, err := s.Accounts(t.Context(), testCluster); err != nil || len(known) != 1 {
		t.Errorf("%v, %v", known, err)
	}
	if c, err := login(s, goneCreds); err == nil {
		c.Close()
		t.Error("the credentials are still good")
	}
	open(t, s, shopCreds)
	// Its storage is free again for others: the server has room for five.
	for _, name := range []string{"a", "b", "c"} {
		apply(t, s, account(t, s, name, "u"))
	}
}

// TestSigningKey: servers of one's own, whose operator wants accounts signed by
// signing keys only, and whose injector has one of them.
func TestSigningKey(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	operator, err := nkeys.CreateOperator()
	must(err)
	signer, err := nkeys.CreateOperator()
	must(err)
	system, err := nkeys.CreateAccount()
	must(err)
	operatorID, err := operator.PublicKey()
	must(err)
	signerID, err := signer.PublicKey()
	must(err)
	systemID, err := system.PublicKey()
	must(err)
	oc := jwt.NewOperatorClaims(operatorID)
	oc.SystemAccount, oc.StrictSigningKeyUsage = systemID, true
	oc.SigningKeys.Add(signerID)
	operatorJWT, err := oc.Encode(operator)
	must(err)
	systemSigner, err := nkeys.CreateAccount()
	must(err)
	systemSignerID, err := systemSigner.PublicKey()
	must(err)
	sc := jwt.NewAccountClaims(systemID)
	sc.SigningKeys.Add(systemSignerID)
	systemJWT, err := sc.Encode(signer)
	must(err)
	user, err := nkeys.CreateUser()
	must(err)
	creds, err := credentials(user, systemSigner, systemID, "injector", jwt.Permissions{})
	must(err)
	seed, err := signer.Seed()
	must(err)
	s := startServersOf(t, map[string][]byte{
		KeyOperatorSeed: seed, KeySystemCreds: creds,
		KeyServersConfig: fmt.Appendf(nil, "operator: %q\nsystem_account: %q\nresolver_preload: {%s: %q}\n", operatorJWT, systemID, systemID, systemJWT),
	})
	a := account(t, s, "shop", "u1")
	open(t, s, apply(t, s, a))
	must(s.Remove(t.Context(), a))
	if known, err := s.Accounts(t.Context(), testCluster); err != nil || len(known) != 0 {
		t.Errorf("%v, %v", known, err)
	}
}

// TestOutOfReach: without servers, and with those of another operator, it is
// told and nothing hangs.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	s := startServers(t)
	data, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, servers := range []*Servers{{URL: "nats://127.0.0.1:1", Authority: foreign}, {URL: s.URL, Authority: foreign}} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := servers.Apply(ctx, account(t, servers, "shop", "u"))
		cancel()
		if err == nil || ctx.Err() == context.DeadlineExceeded || strings.Contains(err.Error(), "SO") {
			t.Errorf("%v", err)
		}
	}
}

func TestParse(t *testing.T) {
	good, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	without := func(key, value string) map[string][]byte {
		data := map[string][]byte{}
		for k, v := range good {
			data[k] = v
		}
		data[key] = []byte(value)
		return data
	}
	for _, test := range []struct {
		data map[string][]byte
		want string
	}{
		{nil, KeyOperatorSeed},
		{without(KeyOperatorSeed, "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY"), KeyOperatorSeed},
		{without(KeySystemCreds, "hunter2"), KeySystemCreds},
	} {
		if _, err := Parse(test.data); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
	if _, err := Parse(without(KeyOperatorSeed, string(good[KeyOperatorSeed])+"\n")); err != nil {
		t.Error(err)
	}
	if strings.Contains(string(good[KeyServersConfig]), string(good[KeyOperatorSeed])) || strings.Contains(string(good[KeyServersConfig]), "SEED") {
		t.Error("the servers are told a seed")
	}
}
