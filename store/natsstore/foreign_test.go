package natsstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// TestForeignLog: whoever writes to the journal does not decide how long the log
// gets.
func TestForeignLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &foreignLog{log: slog.New(slog.NewTextHandler(&out, nil))}
		for range 3 {
			for range 1000 {
				f := store.Foreign{ID: storetest.NewID(), Why: store.ErrForeign}
				l.record(f)
				l.record(f)
			}
		}
		if n := strings.Count(out.String(), "\n"); n != maxForeignTold {
			t.Errorf("%d lines in an interval, want %d", n, maxForeignTold)
		}
		time.Sleep(foreignInterval)
		l.record(store.Foreign{Why: store.ErrForeign})
		if want := "messages=5984"; !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "audit=true") {
			t.Errorf("log without %s:\n%s", want, out.String())
		}
	})
}

// TestTenant: another user of the same JetStream lists all sessions and does to
// each whatever the sidecars' own rights allow, and more: their owners notice
// nothing (N03).
func TestTenant(t *testing.T) {
	t.Parallel()
	srv := startServer(t, server.RANDOM_PORT, nil)
	cfg := externalConfig(t, srv.ClientURL())
	met := 0
	cfg.Foreign = func(store.Foreign) { met++ }
	s := mustOpen(t, cfg)
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	const sessions = 10
	type living struct {
		id  store.ID
		rec store.Record
		rev store.Revision
	}
	var all []*living
	for range sessions {
		l := &living{id: storetest.NewID(), rec: store.Record{Kind: store.Snapshot, Epoch: 1, Owner: "a", Writer: store.NewWriter(), OutHead: 2, Frames: storetest.Frames(1, 2, 10)}}
		if l.rev, err = s.Append(t.Context(), l.id, 0, &l.rec); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	attack := func(l *living) {
		subject := s.backend.subject(l.id)
		for _, header := range []nats.Header{
			nil,
			{"Nats-Rollup": {"sub"}},
			{"Nats-Rollup": {"all"}},
			{"Nats-TTL": {"1s"}},
			{"Nats-Expected-Last-Subject-Sequence": {"0"}},
			{"Nats-Msg-Id": {"again"}},
			{"Nats-Schedule": {"@every 1s"}},
		} {
			if _, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte("junk")}, 2*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		stream := streamName(s.backend.shard(l.id))
		for _, call := range [][2]string{
			{"STREAM.PURGE." + stream, `{"filter":"` + subject + `"}`},
			{"STREAM.MSG.DELETE." + stream, `{"seq":1}`},
		} {
			answer, err := nc.Request("$JS.API."+call[0], []byte(call[1]), 2*time.Second)
			if err != nil || !strings.Contains(string(answer.Data), `"error"`) {
				t.Errorf("%s is permitted: %s, %v", call[0], answer.Data, err)
			}
		}
	}
	for _, l := range all {
		attack(l)
		rec := l.rec
		rec.N, rec.OutHead, rec.Frames = 1, 3, storetest.Frames(1, 3, 10)
		if l.rev, err = s.Append(t.Context(), l.id, l.rev, &rec); err != nil {
			t.Fatalf("the owner is ended: %v", err)
		}
		attack(l)
		st, err := storetest.AdoptLatest(t.Context(), s, l.id, "b", time.Now())
		if err != nil || len(st.Frames) != 3 || st.Gap {
			t.Fatalf("adopted %+v, %v", st, err)
		}
	}
	if met < 2*sessions {
		t.Errorf("%d messages were reported", met)
	}
}
