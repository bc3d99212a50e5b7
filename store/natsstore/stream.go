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

func (b *backend) streamConfig(shard int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName(shard),
		Description:       "wsresilience: unacknowledged messages of sessions",
		Subjects:          []string{fmt.Sprint(subjectPrefix, shard, ".*")},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          b.cfg.Replicas,
		MaxAge:            b.cfg.maxAge(),
		MaxMsgsPerSubject: store.Ring,
		MaxBytes:          b.cfg.MaxBytes / int64(b.cfg.Shards),
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicateWindow,
		AllowDirect:       true,
		DenyDelete:        true, // a chain from which a record was taken is an old one
		DenyPurge:         true,
		MaxConsumers:      maxConsumers,
	}
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

// ensureStream makes the stream if it is missing. The embedded one is updated
// to the configuration; an external one belongs to its operator, so that a
// difference that matters is an error, but for an age that is too short.
func (b *backend) ensureStream(ctx context.Context, shard int) error {
	want := b.streamConfig(shard)
	if b.server != nil {
		if _, err := b.js.CreateOrUpdateStream(ctx, want); err != nil {
			return b.streamError(want.Name, err)
		}
		return nil
	}
	stream, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = b.js.CreateStream(ctx, want)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = b.js.Stream(ctx, want.Name) // another pod was faster
	}
	if err != nil {
		return b.streamError(want.Name, err)
	}
	found := stream.CachedInfo().Config
	if short := found.MaxAge != 0 && found.MaxAge < want.MaxAge; !short {
		return verify(&want, &found)
	}
	longer := found
	longer.MaxAge = want.MaxAge
	if err := verify(&want, &longer); err != nil {
		return err
	}
	return b.lengthen(ctx, longer)
}

// lengthen raises a stream's age to what our sessions need. Apps with different
// session TTLs share the streams, and whichever came first made them; an age
// is only ever raised, so pods do not undo each other's change.
func (b *backend) lengthen(ctx context.Context, to jetstream.StreamConfig) error {
	if _, err := b.js.UpdateStream(ctx, to); err != nil {
		return b.streamError(to.Name, err)
	}
	b.cfg.Logger.Info("the journal keeps records longer", "stream", to.Name, "max_age", to.MaxAge.String())
	return nil
}

// streamError tells an answer that will not change from an outage, which is
// ErrUnavailable: the server marks outages with 503, but for "no suitable
// peers", which a cluster also says before its servers have found each other.
func (b *backend) streamError(name string, err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return unavailable(fmt.Errorf("stream %s: %w", name, err))
	}
	err = fmt.Errorf("stream %s: %w%s", name, err, b.streamHint(api.ErrorCode))
	if api.Code != 503 && api.ErrorCode != codeNoSuitablePeers {
		return fmt.Errorf("natsstore: %w", err)
	}
	return unavailable(err)
}

// streamHint returns what an operator can do about a stream that the server
// did not make, to be put behind its error.
func (b *backend) streamHint(code jetstream.ErrorCode) string {
	switch code {
	case codeNoSuitablePeers:
		return fmt.Sprintf("; %d replicas need as many servers with JetStream", b.cfg.Replicas)
	case codeAccountResources, codeInsufficientResources, codeStorageExceeded:
		return fmt.Sprintf("; the streams reserve %d MiB together: raise the storage of the account or of the servers", b.cfg.MaxBytes>>20)
	}
	return ""
}

// verify refuses a stream that the journal cannot rely on. More replicas, more
// messages and a longer age than asked for do no harm.
func verify(want, found *jetstream.StreamConfig) error {
	var wrong []string
	expect := func(ok bool, what string, found, want any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s is %v, wanted %v", what, found, want))
		}
	}
	expect(found.Replicas >= want.Replicas, "replicas", found.Replicas, fmt.Sprint("at least ", want.Replicas))
	expect(found.MaxAge == 0 || found.MaxAge >= want.MaxAge, "max age", found.MaxAge, fmt.Sprint("at least ", want.MaxAge))
	expect(found.MaxMsgsPerSubject >= want.MaxMsgsPerSubject, "max messages per subject",
		found.MaxMsgsPerSubject, fmt.Sprint("at least ", want.MaxMsgsPerSubject))
	expect(found.Discard == want.Discard, "discard policy", found.Discard, want.Discard)
	expect(!found.DiscardNewPerSubject, "discard new per subject", true, false)
	expect(found.AllowDirect, "allow direct", false, true)
	expect(found.Retention == want.Retention, "retention", found.Retention, want.Retention)
	expect(len(found.Subjects) == 1 && found.Subjects[0] == want.Subjects[0], "subjects", found.Subjects, want.Subjects)
	if wrong != nil {
		return fmt.Errorf("natsstore: stream %s: %s; change it with `nats stream edit %s`, or the settings here",
			want.Name, strings.Join(wrong, "; "), want.Name)
	}
	return nil
}
