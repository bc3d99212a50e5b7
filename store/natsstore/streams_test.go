package natsstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// sidecarUser may do what docs/OPERATING.md lists for sidecars that make their
// streams, or that do not.
func sidecarUser(name string, makes bool) *server.User {
	allow := []string{
		"wsr.log.>", "$KV.WSR_LEASE.*", "$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.>",
		"$JS.API.CONSUMER.CREATE.KV_WSR_LEASE.>", "$JS.API.CONSUMER.DELETE.KV_WSR_LEASE.*", "$JS.FC.KV_WSR_LEASE.>",
	}
	if makes {
		allow = append(allow, "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*")
	}
	return &server.User{Username: name, Password: name, Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Allow: allow}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}}
}

// A tenantScene is a server with a sidecar that may make streams, one that may
// not, and somebody who may do everything.
type tenantScene struct {
	t      *testing.T
	server *server.Server
	nc     *nats.Conn // of who may do everything
}

func newTenantScene(t *testing.T) *tenantScene {
	srv := startServer(t, server.RANDOM_PORT, func(o *server.Options) {
		o.Users = []*server.User{{Username: "tenant", Password: "tenant"}, sidecarUser("maker", true), sidecarUser("user", false)}
	})
	sc := &tenantScene{t: t, server: srv}
	nc, err := nats.Connect(sc.url("tenant"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sc.nc = nc
	return sc
}

func (sc *tenantScene) url(user string) string {
	return strings.Replace(sc.server.ClientURL(), "nats://", "nats://"+user+":"+user+"@", 1)
}

// ask makes a request to JetStream and fails unless it is granted.
func (sc *tenantScene) ask(call string, body any) json.RawMessage {
	sc.t.Helper()
	var data []byte
	if body != nil {
		data = must(json.Marshal(body))
	}
	answer, err := sc.nc.Request("$JS.API."+call, data, 5*time.Second)
	if err != nil || bytes.Contains(answer.Data, []byte(`"error":`)) {
		sc.t.Fatalf("%s: %s, %v", call, answer.Data, err)
	}
	return answer.Data
}

// update changes some fields of a stream.
func (sc *tenantScene) update(stream string, change map[string]any) {
	sc.t.Helper()
	var info struct {
		Config map[string]any `json:"config"`
	}
	if err := json.Unmarshal(sc.ask("STREAM.INFO."+stream, nil), &info); err != nil {
		sc.t.Fatal(err)
	}
	for name, value := range change {
		info.Config[name] = value
	}
	sc.ask("STREAM.UPDATE."+stream, info.Config)
}

// wrong returns in what a stream differs from what it has to be.
func (sc *tenantScene) wrong(want jetstream.StreamConfig) string {
	sc.t.Helper()
	var info struct {
		Config jetstream.StreamConfig `json:"config"`
	}
	if err := json.Unmarshal(sc.ask("STREAM.INFO."+want.Name, nil), &info); err != nil {
		sc.t.Fatal(err)
	}
	_, wrong := compare(&want, &info.Config)
	return wrong
}

// changes is what somebody can do to a stream by one STREAM.UPDATE.
var changes = map[string]struct {
	stream string
	change map[string]any
}{
	"one message a session":    {"WSR_LOG_1", map[string]any{"max_msgs_per_subject": 1}},
	"one message in all":       {"WSR_LOG_1", map[string]any{"max_msgs": 1}},
	"no room":                  {"WSR_LOG_1", map[string]any{"max_bytes": 1 << 10}},
	"small messages":           {"WSR_LOG_1", map[string]any{"max_msg_size": 10}},
	"for a second":             {"WSR_LOG_1", map[string]any{"max_age": int64(time.Second), "duplicate_window": int64(time.Second)}},
	"the oldest give way":      {"WSR_LOG_1", map[string]any{"discard": "old"}},
	"no new ones":              {"WSR_LOG_1", map[string]any{"discard_new_per_subject": true}},
	"nobody is told":           {"WSR_LOG_1", map[string]any{"no_ack": true}},
	"no direct reads":          {"WSR_LOG_1", map[string]any{"allow_direct": false}},
	"other subjects":           {"WSR_LOG_1", map[string]any{"subjects": []string{"elsewhere"}}},
	"renamed":                  {"WSR_LOG_1", map[string]any{"subject_transform": map[string]any{"src": "wsr.log.1.*", "dest": "wsr.log.x.{{wildcard(1)}}"}}},
	"copied elsewhere":         {"WSR_LOG_1", map[string]any{"republish": map[string]any{"src": ">", "dest": "copy.>"}}},
	"filled from elsewhere":    {"WSR_LOG_1", map[string]any{"sources": []any{map[string]any{"name": "other"}}}},
	"as long as it is read":    {"WSR_LOG_1", map[string]any{"retention": "interest"}},
	"markers":                  {"WSR_LOG_1", map[string]any{"deny_purge": true, "allow_msg_ttl": true}},
	"leases: old values":       {leaseStream, map[string]any{"max_msgs_per_subject": 64}},
	"leases: for a second":     {leaseStream, map[string]any{"max_age": int64(time.Second), "duplicate_window": int64(time.Second)}},
	"leases: no room":          {leaseStream, map[string]any{"max_bytes": 1}},
	"leases: small values":     {leaseStream, map[string]any{"max_msg_size": 1}},
	"leases: no markers":       {leaseStream, map[string]any{"subject_delete_marker_ttl": 0}},
	"leases: nobody is told":   {leaseStream, map[string]any{"no_ack": true}},
	"leases: no direct reads":  {leaseStream, map[string]any{"allow_direct": false}},
	"leases: other subjects":   {leaseStream, map[string]any{"subjects": []string{"elsewhere"}}},
	"leases: oldest give way":  {leaseStream, map[string]any{"discard": "old"}},
	"leases: copied elsewhere": {leaseStream, map[string]any{"republish": map[string]any{"src": ">", "dest": "copy.>"}}},
}

// TestStreamsChangedBack: whatever another user changes of a stream is changed
// back at the next check, and told.
func TestStreamsChangedBack(t *testing.T) {
	t.Parallel()
	sc := newTenantScene(t)
	sc.ask("STREAM.CREATE.other", map[string]any{"name": "other", "subjects": []string{"other"}, "max_bytes": 1 << 10})
	logged := &safeBuffer{}
	cfg := externalConfig(t, sc.url("maker"))
	cfg.Logger = slog.New(slog.NewTextHandler(logged, nil))
	var repaired, lost atomic.Int32
	cfg.StreamChanged = func(c StreamChange) {
		if c == StreamRepaired {
			repaired.Add(1)
		}
	}
	cfg.Lost = func() { lost.Add(1) }
	s := mustOpen(t, cfg)
	for name, tc := range changes {
		before, lostBefore := repaired.Load(), lost.Load()
		sc.update(tc.stream, tc.change)
		if name == "markers" { // harmless, and a server does not take it back
			if err := s.Ready(t.Context()); err != nil || repaired.Load() != before {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range s.backend.streams {
			if wrong := sc.wrong(want); wrong != "" {
				t.Errorf("%s: still wrong: %s", name, wrong)
			}
		}
		if repaired.Load() != before+1 || (lost.Load() > lostBefore) != (tc.stream != leaseStream) {
			t.Errorf("%s: told of %d repairs; records lost: %v", name, repaired.Load()-before, lost.Load() > lostBefore)
		}
	}
	if lines := strings.Count(logged.String(), "audit=true"); lines != len(changes)-1 || !strings.Contains(logged.String(), "max_msgs_per_subject is 1, wanted 32") {
		t.Errorf("%d lines for %d changes:\n%s", lines, len(changes)-1, logged)
	}
	mustWork(t, cfg)
}

// TestStreamsDeleted: streams that somebody deleted are made again, and the
// owners of sessions learn that they have to write again.
func TestStreamsDeleted(t *testing.T) {
	t.Parallel()
	sc := newTenantScene(t)
	cfg := externalConfig(t, sc.url("maker"))
	var lost atomic.Int32
	cfg.Lost = func() { lost.Add(1) }
	s := mustOpen(t, cfg)
	for _, want := range s.backend.streams {
		sc.ask("STREAM.DELETE."+want.Name, nil)
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if wrong := sc.wrong(want); wrong != "" {
			t.Errorf("%s: %s", want.Name, wrong)
		}
	}
	// Deleted and made by somebody, as nobody could change it.
	sc.ask("STREAM.DELETE.WSR_LOG_0", nil)
	sc.ask("STREAM.CREATE.WSR_LOG_0", map[string]any{"name": "WSR_LOG_0", "subjects": []string{"wsr.log.0.*"}, "max_msgs_per_subject": 1})
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if wrong := sc.wrong(s.backend.streams[1]); wrong != "" || lost.Load() != 3 {
		t.Errorf("still wrong: %s; told %d times", wrong, lost.Load())
	}
}

// TestStreamsWrong: what cannot be changed back is told at once, and once; the
// journal is used meanwhile, and new sidecars start.
func TestStreamsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		user   string
		expect bool
		change map[string]any
		why    string
	}{
		"no right": {"user", false, map[string]any{"max_msgs_per_subject": 3}, `"$JS.API.STREAM.UPDATE.WSR_LOG_1"`},
		"expect":   {"maker", true, map[string]any{"max_msgs_per_subject": 3}, "WSR_NATS_STREAMS=expect"},
		"both":     {"user", true, map[string]any{"discard": "old"}, "WSR_NATS_STREAMS=expect"},
		"sealed":   {"maker", false, map[string]any{"sealed": true}, "sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newTenantScene(t)
			mustOpen(t, externalConfig(t, sc.url("maker"))).Close()
			logged := &safeBuffer{}
			cfg := externalConfig(t, sc.url(tc.user))
			cfg.ExpectStreams = tc.expect
			cfg.Logger = slog.New(slog.NewTextHandler(logged, nil))
			var told atomic.Int32
			cfg.StreamChanged = func(c StreamChange) {
				if c == StreamWrong {
					told.Add(1)
				}
			}
			s := mustOpen(t, cfg)
			sc.update("WSR_LOG_1", tc.change)
			for range 3 {
				err := s.Ready(t.Context())
				if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "WSR_LOG_1") {
					t.Errorf("ready: %v", err)
				}
			}
			lines := strings.Count(logged.String(), "level=ERROR")
			if told.Load() != 1 || lines != 1 || !strings.Contains(strings.ReplaceAll(logged.String(), `\"`, `"`), tc.why) {
				t.Errorf("told %d times, %d lines, want %q:\n%s", told.Load(), lines, tc.why, logged)
			}
			next := mustOpen(t, cfg)
			if name == "sealed" {
				return // nothing is taken any more
			}
			if _, err := next.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1}); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
}

// TestExpectStreams: where sidecars may not make streams they say which one is
// missing, and work when somebody made them.
func TestExpectStreams(t *testing.T) {
	t.Parallel()
	sc := newTenantScene(t)
	cfg := externalConfig(t, sc.url("user"))
	cfg.Timeout = 500 * time.Millisecond
	mustRefuse(t, cfg, "stream KV_WSR_LEASE is missing", "our user may not make it", `"$JS.API.STREAM.CREATE.KV_WSR_LEASE"`)
	cfg.ExpectStreams = true
	s := mustOpen(t, cfg)
	_, err := s.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1})
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "stream KV_WSR_LEASE is missing") {
		t.Errorf("append: %v", err)
	}
	for range 2 { // a quota below what the sidecars would reserve themselves
		if err := MakeStreams(t.Context(), sc.nc, Layout{Replicas: 1, Shards: 2, MaxBytes: 8 << 20}, nil); err != nil {
			t.Fatal(err)
		}
	}
	mustWork(t, cfg)
	if _, err := s.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1}); err != nil {
		t.Errorf("append: %v", err)
	}
	sc.update("WSR_LOG_0", map[string]any{"max_msgs_per_subject": 1})
	if err := MakeStreams(t.Context(), sc.nc, Layout{Replicas: 1, Shards: 2, MaxBytes: 16 << 20, SessionTTL: time.Hour}, nil); err != nil {
		t.Fatal(err)
	}
	if wrong := sc.wrong(s.backend.streams[1]); wrong != "" {
		t.Error(wrong)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStorageTaken: a neighbour that reserved all storage, or our subjects,
// before our first start keeps nobody from starting; the reason is told, and
// goes with it.
func TestStorageTaken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stream map[string]any
		want   string
	}{
		"storage":  {map[string]any{"name": "x", "subjects": []string{"x"}, "max_bytes": 60 << 20}, "the streams reserve 16 MiB together"},
		"subjects": {map[string]any{"name": "x", "subjects": []string{"wsr.log.>"}}, "subjects overlap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc := newTenantScene(t)
			sc.ask("STREAM.CREATE.x", tc.stream)
			cfg := externalConfig(t, sc.url("maker"))
			cfg.Timeout = 300 * time.Millisecond
			s := mustOpen(t, cfg)
			if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), tc.want) {
				t.Errorf("ready: %v, want %q", err, tc.want)
			}
			sc.ask("STREAM.DELETE.x", nil)
			s.backend.keeper.states = nil // some seconds later
			waitReady(t, s)
		})
	}
}

// TestReplicasWrong: more replicas than there are servers.
func TestReplicasWrong(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	cfg := externalConfig(t, s.ClientURL())
	mustOpen(t, cfg)
	cfg.Replicas = 3
	err := mustOpen(t, cfg).Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), "num_replicas is 1, wanted 3") {
		t.Error(err)
	}
}
