package natsstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

const (
	streamPrefix  = "WSR_LOG_"
	subjectPrefix = "wsr.log."

	// minLevel is the JetStream API level of nats-server 2.11, the first with
	// batched direct gets.
	minLevel = 1

	// duplicateWindow is the shortest that JetStream takes: we use no message
	// ids.
	duplicateWindow = time.Second

	// maxConsumers bounds the consumers of operators who inspect the stream; we
	// use none.
	maxConsumers = 16
)

// holdsRecords reports whether a stream is one of records, and no bucket.
func holdsRecords(name string) bool { return strings.HasPrefix(name, streamPrefix) }

func streamName(shard int) string { return fmt.Sprint(streamPrefix, shard) }

// shard returns the number of the stream that holds a session. Another number
// of shards maps to other streams, so it must not change while sessions live.
func (b *backend) shard(id store.ID) int {
	h := fnv.New32a()
	h.Write(id[:])
	return int(h.Sum32() % uint32(b.cfg.Shards))
}

func (b *backend) subject(id store.ID) string {
	return fmt.Sprint(subjectPrefix, b.shard(id), ".", id)
}

// checkServer refuses servers that lack what the journal needs.
func (b *backend) checkServer(ctx context.Context) error {
	info, err := b.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("natsstore: server: %w; enable JetStream for the account", err)
	case err != nil:
		// "Not enabled" too: the client returns it whenever no server answers, as
		// while a cluster starts.
		return unavailable(fmt.Errorf("account info: %w", err))
	}
	return checkLevel(b.nc.ConnectedServerVersion(), info.API.Level)
}

func checkLevel(version string, level int) error {
	if level < minLevel {
		return fmt.Errorf("natsstore: nats-server %s (API level %d): 2.11 or newer is needed, 2.15 recommended", version, level)
	}
	return nil
}
