package natsstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// startServer starts one server on loopback as an operator's.
func startServer(t *testing.T, port int, change func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 64 << 20, JetStreamMaxMemory: 16 << 20,
	}
	if change != nil {
		change(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server did not start")
	}
	return s
}

func externalConfig(t *testing.T, url string) Config {
	return Config{URL: url, Keys: storetest.Ring(t), Replicas: 1, Shards: 2, MaxBytes: 16 << 20}
}

func TestExternal(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	l := mustOpenBackend(t, externalConfig(t, s.ClientURL()))
	used := map[int]bool{}
	for range 64 {
		used[l.shard(storetest.NewID())] = true
	}
	if len(used) != 2 {
		t.Errorf("ids use %d of 2 shards", len(used))
	}
	large := startServer(t, server.RANDOM_PORT, nil)
	storetest.RunBackend(t, func(t *testing.T) store.Backend {
		cfg := externalConfig(t, large.ClientURL())
		cfg.MaxBytes = 56 << 20
		return mustOpenBackend(t, cfg)
	})
}

// TestLongerSessions: records live as long as the longest session TTL of those that
// share the streams needs. A user who may not change them gets an error.
func TestLongerSessions(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, func(o *server.Options) {
		o.Users = []*server.User{{Username: "all", Password: "all"}, {Username: "some", Password: "some", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: []string{"$JS.API.STREAM.UPDATE.>"}},
		}}}
	})
	open := func(user string, ttl time.Duration) (*Store, error) {
		cfg := externalConfig(t, strings.Replace(s.ClientURL(), "nats://", "nats://"+user+":"+user+"@", 1))
		cfg.SessionTTL = ttl
		st, err := Open(t.Context(), cfg)
		if err == nil {
			t.Cleanup(func() { st.Close() })
		}
		return st, err
	}
	age := func(st *Store) time.Duration {
		stream, err := st.backend.js.Stream(t.Context(), streamName(1))
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().Config.MaxAge
	}
	for _, step := range []struct{ ttl, want time.Duration }{
		{5 * time.Minute, 8 * time.Minute}, {10 * time.Minute, 13 * time.Minute}, {time.Minute, 13 * time.Minute},
	} {
		st, err := open("all", step.ttl)
		if err != nil {
			t.Fatal(err)
		}
		if got := age(st); got != step.want {
			t.Errorf("after sessions of %v the streams keep %v, want %v", step.ttl, got, step.want)
		}
	}
	st, err := open("some", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err = st.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), `"$JS.API.STREAM.UPDATE.WSR_LOG_0"`) {
		t.Errorf("a user who may not change the stream: %v", err)
	}
	st, err = open("some", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Ready(t.Context()); err != nil {
		t.Errorf("a user who need not change the stream: %v", err)
	}
}

// TestAbsentAtStart: no server is no error; the journal sets itself up when
// one comes, and again when its streams are deleted.
func TestAbsentAtStart(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 1)[0]
	cfg := externalConfig(t, fmt.Sprint("nats://127.0.0.1:", port))
	cfg.Timeout = 500 * time.Millisecond
	s := mustOpen(t, cfg)
	id := storetest.NewID()
	rec := &store.Record{Kind: store.Snapshot, Epoch: 1, Owner: "a"}
	if _, err := s.Append(t.Context(), id, 0, rec); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	if s.MaxPayload() != 0 {
		t.Errorf("max payload %d", s.MaxPayload())
	}
	startServer(t, port, nil)
	waitReady(t, s)
	if _, err := s.Append(t.Context(), id, 0, rec); err != nil {
		t.Fatal(err)
	}
	for shard := range cfg.Shards {
		if err := s.backend.js.DeleteStream(t.Context(), streamName(shard)); err != nil {
			t.Fatal(err)
		}
	}
	waitReady(t, s)
	if _, err := s.Append(t.Context(), id, 0, rec); err != nil {
		t.Fatalf("after the streams were deleted: %v", err)
	}
}

// TestSecretsStaySecret: a wrong password is an error at once, and neither
// that nor the log shows it.
func TestSecretsStaySecret(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT, func(o *server.Options) { o.Username, o.Password = "user", "right" })
	host := strings.TrimPrefix(s.ClientURL(), "nats://")
	var logged bytes.Buffer
	cfg := externalConfig(t, "nats://user:hunter2@"+host)
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	_, err := Open(t.Context(), cfg)
	if err == nil || strings.Contains(err.Error()+logged.String(), "hunter2") {
		t.Errorf("wrong password: %v, log %s", err, logged.String())
	}
	cfg = externalConfig(t, "nats://user:right@"+host)
	mustOpen(t, cfg)
}

func TestConfigRefuses(t *testing.T) {
	dir := t.TempDir()
	nkey := filepath.Join(dir, "nkey")
	if err := os.WriteFile(nkey, []byte("SUnotaseed"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no keys":      {func(c *Config) { c.Keys = nil }, "keys"},
		"no directory": {func(c *Config) { c.Embedded.Dir = "" }, "no directory"},
		"replicas":     {func(c *Config) { c.Replicas = 3 }, "an embedded journal has 1"},
		"shards":       {func(c *Config) { c.Shards = 65 }, "must be 1 to 64"},
		"scheme":       {func(c *Config) { c.URL = "http://u:hunter2@h" }, `server 1 of the list: scheme "http"`},
		"not a URL":    {func(c *Config) { c.URL = "nats://h,nats://u:hunter2@h:x" }, "server 2 of the list: not a URL"},
		"creds":        {func(c *Config) { c.CredsFile = filepath.Join(dir, "no") }, "creds file"},
		"both":         {func(c *Config) { c.CredsFile, c.NKeyFile = nkey, nkey }, "give one"},
		"bad nkey":     {func(c *Config) { c.URL, c.NKeyFile = "nats://127.0.0.1:1", nkey }, "NKey file"},
		"bad CA":       {func(c *Config) { c.URL, c.CAFile = "nats://127.0.0.1:1", nkey }, "connect"},
	} {
		cfg := embeddedConfig(t)
		tc.change(&cfg)
		_, err := Open(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestCheckLevel(t *testing.T) {
	if err := checkLevel("2.10.22", 0); err == nil || !strings.Contains(err.Error(), "nats-server 2.10.22") {
		t.Errorf("2.10: %v", err)
	}
	if err := checkLevel("2.11.0", 1); err != nil {
		t.Error(err)
	}
	plain := startServer(t, server.RANDOM_PORT, func(o *server.Options) { o.JetStream = false })
	cfg := externalConfig(t, plain.ClientURL())
	cfg.Timeout = 200 * time.Millisecond
	err := mustOpen(t, cfg).Ready(t.Context())
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "jetstream not enabled") {
		t.Errorf("without JetStream: %v", err)
	}
}

func TestAppendErrors(t *testing.T) {
	b := &backend{}
	for _, tc := range []struct {
		code jetstream.ErrorCode
		text string
		want error
	}{
		{10071, "wrong last sequence: 17", store.ErrFenced},
		{10164, "wrong last sequence", store.ErrBusy},
		{10077, "maximum bytes exceeded", store.ErrFull},
		{10077, "write error: input/output error", store.ErrUnavailable},
		{10047, "insufficient storage resources available", store.ErrFull},
		{10023, "insufficient resources", store.ErrFull},
		{10008, "JetStream system temporarily unavailable", store.ErrUnavailable},
	} {
		err := b.appendError(fmt.Errorf("nats: %w", &jetstream.APIError{ErrorCode: tc.code, Description: tc.text}))
		if !errors.Is(err, tc.want) {
			t.Errorf("%d %s: %v, want %v", tc.code, tc.text, err, tc.want)
		}
		var fenced *store.FencedError
		if errors.As(err, &fenced) && (!fenced.Known || fenced.Newest != 17) {
			t.Errorf("newest %+v", fenced)
		}
	}
}
