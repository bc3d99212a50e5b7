package pod

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/internal/instance"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// A stage is one pod: an app, a NATS server, and what the environment says.
type stage struct {
	t       *testing.T
	keys    [][]byte
	app     net.Listener
	nats    *server.Server
	environ map[string]string
	ring    *keyring.Ring
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, keys: [][]byte{keyring.Generate()}, app: listen(t)}
	s.ring = ring(t, s.keys)
	s.environ = map[string]string{
		"WSR_UPSTREAM": "http://" + s.app.Addr().String(), "WSR_LISTEN": unused(t), "WSR_ADMIN_LISTEN": unused(t), "WSR_DATA_DIR": t.TempDir(), "WSR_ADVERTISE": "127.0.0.1:1",
	}
	return s
}

func ring(t *testing.T, keys [][]byte) *keyring.Ring {
	t.Helper()
	r, err := keyring.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// unused is an address that nobody listens on at the moment.
func unused(t *testing.T) string {
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

// journal starts NATS, with streams unless bare.
func (s *stage) journal(bare bool, change func(*server.Options)) {
	s.t.Helper()
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: s.t.TempDir(), JetStreamMaxStore: 128 << 20, JetStreamMaxMemory: 16 << 20,
	}
	if change != nil {
		change(o)
	}
	n, err := server.NewServer(o)
	if err != nil {
		s.t.Fatal(err)
	}
	n.Start()
	s.t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	if !n.ReadyForConnections(10 * time.Second) {
		s.t.Fatal("nats-server did not start")
	}
	s.nats = n
	s.environ["WSR_NATS_URL"] = n.ClientURL()
	s.environ["WSR_NATS_REPLICAS"], s.environ["WSR_NATS_MAX_BYTES"] = "1", "64MiB"
	s.environ["WSR_TOKEN_KEYS"] = base64.StdEncoding.EncodeToString(s.keys[0])
	if !bare {
		s.open(n.ClientURL(), s.ring)
	}
}

func (s *stage) open(url string, r *keyring.Ring) *natsstore.Store {
	s.t.Helper()
	st, err := natsstore.Open(s.t.Context(), natsstore.Config{URL: url, Keys: r, Replicas: 1, MaxBytes: 64 << 20})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = st.Close() })
	return st
}

// announce says that there is a sidecar at an address, with these keys.
func (s *stage) announce(address string, r *keyring.Ring) string {
	s.t.Helper()
	name := instance.New(address)
	leases := s.open(s.nats.ClientURL(), r).Announce(natsstore.LeaseConfig{Owner: name})
	s.t.Cleanup(func() { _ = leases.Close(context.Background()) })
	return name
}

// sidecar runs one that announces itself.
func (s *stage) sidecar() string {
	s.t.Helper()
	l := listen(s.t)
	name := s.announce(l.Addr().String(), s.ring)
	p, err := proxy.New(proxy.Config{Upstream: s.environ["WSR_UPSTREAM"], Advertise: name, Tokens: s.ring.Derive("wsr token"), Proofs: s.ring.Derive("wsr tunnel"), SessionTTL: time.Minute})
	if err != nil {
		s.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(p.Shutdown(ctx), <-served); err != nil {
			s.t.Error(err)
		}
	})
	return l.Addr().String()
}

func (s *stage) examine() *diagnosis.Report {
	s.t.Helper()
	var environ []string
	for name, value := range s.environ {
		environ = append(environ, name+"="+value)
	}
	cfg, err := config.Load(environ)
	if err != nil {
		s.t.Fatal(err)
	}
	return Examine(s.t.Context(), Command{Config: cfg, Ring: ring(s.t, cfg.TokenKeys), Admin: s.environ["WSR_ADMIN_LISTEN"]})
}

// until looks again while leases are announced in the background.
func (s *stage) until(id string, blame diagnosis.Party) *diagnosis.Report {
	s.t.Helper()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r := s.examine()
		if has(r, id, blame) || time.Now().After(until) {
			return r
		}
	}
}

func has(r *diagnosis.Report, id string, blame diagnosis.Party) bool {
	return slices.ContainsFunc(r.Bad(), func(f diagnosis.Finding) bool { return f.ID == id && slices.Contains(f.Blame, blame) })
}

func TestPlantedInPods(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		plant func(*stage)
		want  string
		blame diagnosis.Party
	}{
		{"the app is away", func(s *stage) { s.app.Close() }, "app-away", diagnosis.App},
		{"no folder can be made", func(s *stage) { s.environ["WSR_DATA_DIR"] = "/dev/null/x" }, "journal", diagnosis.Sidecar},
		{"a port is taken", func(s *stage) { s.environ["WSR_LISTEN"] = listen(s.t).Addr().String() }, "port-taken", diagnosis.Sidecar},
		{"an expired certificate", func(s *stage) {
			pair := certs.NewAuthority().IssueUntil(time.Now().Add(-time.Hour), "app")
			for name, p := range map[string][]byte{"WSR_TLS_CERT": pair.Cert, "WSR_TLS_KEY": pair.Key} {
				s.environ[name] = filepath.Join(s.t.TempDir(), name)
				if err := os.WriteFile(s.environ[name], p, 0o600); err != nil {
					s.t.Fatal(err)
				}
			}
		}, "certificate-expired", diagnosis.Sidecar},
		{"the sidecar is not ready", func(s *stage) {
			a := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "the journal is away", http.StatusServiceUnavailable)
			}))
			s.t.Cleanup(a.Close)
			s.environ["WSR_ADMIN_LISTEN"] = a.Listener.Addr().String()
		}, "not-ready", diagnosis.Sidecar},
		{"NATS is away", func(s *stage) { s.environ["WSR_NATS_URL"] = "nats://" + unused(s.t) }, "journal", diagnosis.Sidecar},
		{"another password", func(s *stage) {
			s.journal(true, func(o *server.Options) { o.Username, o.Password = "a", "b" })
		}, "journal", diagnosis.Sidecar},
		{"no JetStream", func(s *stage) { s.journal(true, func(o *server.Options) { o.JetStream = false }) }, "journal", diagnosis.Sidecar},
		{"no right to the bucket", denying("$KV.WSR_LEASE.>"), "nats-right", diagnosis.Sidecar},
		{"no right to append", denying("wsr.log.>"), "nats-right", diagnosis.Sidecar},
		{"no right to read", denying("$JS.API.DIRECT.GET.>"), "nats-right", diagnosis.Sidecar},
		{"no right to watch", denying("$JS.API.CONSUMER.CREATE.>"), "nats-right", diagnosis.Sidecar},
		{"streams are missing, and expected", func(s *stage) {
			s.journal(true, nil)
			s.environ["WSR_NATS_STREAMS"] = "expect"
		}, "streams", diagnosis.Sidecar},
		{"a stream was changed", func(s *stage) {
			s.journal(false, nil)
			s.edit("WSR_LOG_0", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 })
		}, "streams", diagnosis.Sidecar},
		{"no keys", func(s *stage) { s.journal(false, nil); delete(s.environ, "WSR_TOKEN_KEYS") }, "no-keys", diagnosis.Sidecar},
		{"a peer's address leads elsewhere", func(s *stage) { s.journal(false, nil); s.announce(s.app.Addr().String(), s.ring) }, "peer-unreachable", diagnosis.Path},
		{"a peer is cut off", func(s *stage) { s.journal(false, nil); s.announce(listen(s.t).Addr().String(), s.ring) }, "peer-unreachable", diagnosis.Path},
		{"a peer with other keys", func(s *stage) {
			s.journal(false, nil)
			s.announce("127.0.0.1:2", ring(s.t, [][]byte{keyring.Generate()}))
		}, "foreign-leases", diagnosis.Sidecar},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c.plant(s)
			r := s.until(c.want, c.blame)
			if !has(r, c.want, c.blame) {
				t.Errorf("%+v, want %s", r.Findings, c.want)
			}
			for _, f := range r.Bad() {
				if f.ID != c.want && f.ID != "setting-odd" {
					t.Errorf("also %s: %s %q", f.ID, f.What, f.Seen)
				}
			}
		})
	}
}

// denying is NATS whose user may not publish to a subject.
func denying(subject string) func(*stage) {
	return func(s *stage) {
		s.journal(true, func(o *server.Options) {
			o.Users = []*server.User{{Username: "all", Password: "all"}, {Username: "some", Password: "some", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: []string{subject}},
			}}}
		})
		as := func(user string) string {
			return strings.Replace(s.nats.ClientURL(), "://", "://"+user+":"+user+"@", 1)
		}
		s.open(as("all"), s.ring)
		s.environ["WSR_NATS_URL"] = as("some")
	}
}

// edit changes a stream as an operator might.
func (s *stage) edit(name string, change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	nc, err := nats.Connect(s.nats.ClientURL())
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	change(&c)
	if _, err := js.UpdateStream(s.t.Context(), c); err != nil {
		s.t.Fatal(err)
	}
}

func TestSoundPods(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(*stage){
		"embedded": func(*stage) {},
		"a folder that is still to be made": func(s *stage) {
			s.environ["WSR_DATA_DIR"] = filepath.Join(s.t.TempDir(), "a", "b")
		},
		"NATS, two peers":      func(s *stage) { s.journal(true, nil); s.environ["WSR_ADVERTISE"] = s.sidecar(); s.sidecar() },
		"NATS without streams": func(s *stage) { s.journal(true, nil) },
		"a peer that is gone":  func(s *stage) { s.journal(true, nil); s.announce(unused(s.t), s.ring) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			plant(s)
			for _, f := range s.examine().Bad() {
				if f.ID != "setting-odd" {
					t.Errorf("%s: %s %q", f.ID, f.What, f.Seen)
				}
			}
		})
	}
}
