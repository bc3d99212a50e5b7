package natsstore

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestInspectChangesNothing: streams that are missing stay so, those that are
// there hold what they held, and nobody is told more than host and port.
func TestInspectChangesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, server.RANDOM_PORT, nil)
	cfg := externalConfig(t, s.ClientURL())
	c := Inspect(t.Context(), cfg)
	if c.Problem != nil || !c.Missing || c.Streams == nil || len(c.Denied) > 0 {
		t.Errorf("of a bare server: %+v", c)
	}
	if n := streamsOf(t, s); n > 0 {
		t.Errorf("it made %d streams", n)
	}
	b := mustOpenBackend(t, cfg)
	l := (&Store{backend: b}).Announce(LeaseConfig{Owner: "a@127.0.0.1:1"})
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	before := messages(t, b)
	if c := Inspect(t.Context(), cfg); c.Problem != nil || c.Streams != nil || len(c.Denied) > 0 || c.ClockHigh < c.ClockLow {
		t.Errorf("of a journal: %+v", c)
	}
	if after := messages(t, b); after != before {
		t.Errorf("%d messages became %d", before, after)
	}
	cfg.URL = strings.Replace(s.ClientURL(), "://", "://user:secret@", 1)
	s.Shutdown()
	if c := Inspect(t.Context(), cfg); c.Problem == nil || strings.Contains(c.Problem.Error(), "secret") || !strings.Contains(c.Problem.Error(), "refused") {
		t.Errorf("of a server that is gone: %v", c.Problem)
	}
}

// messages are those in the streams of records.
func messages(t *testing.T, b *backend) (n uint64) {
	t.Helper()
	for _, want := range b.streams {
		stream, err := b.js.Stream(t.Context(), want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if want.Name != leaseStream {
			n += stream.CachedInfo().State.LastSeq
		}
	}
	return n
}

func streamsOf(t *testing.T, s *server.Server) int {
	t.Helper()
	info, err := s.Jsz(&server.JSzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info.Streams
}
