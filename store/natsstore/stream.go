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

	// duplicates is the shortest window of message ids that means anything:
	// we use none.
	duplicates = time.Second

	// maxConsumers bounds what others may attach to look at the stream.
	maxConsumers = 16
)

func streamName(shard int) string { return fmt.Sprint(streamPrefix, shard) }

// shard spreads ids evenly. Another number of shards finds other streams, so
// it is not changed while sessions live.
func (l *log) shard(id store.ID) int {
	h := fnv.New32a()
	h.Write(id[:])
	return int(h.Sum32() % uint32(l.cfg.Shards))
}

func (l *log) subject(id store.ID) string {
	return fmt.Sprint(subjectPrefix, l.shard(id), ".", id)
}

func (l *log) streamConfig(shard int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName(shard),
		Description:       "wsresilience: unacknowledged messages of sessions",
		Subjects:          []string{fmt.Sprint(subjectPrefix, shard, ".*")},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          l.cfg.Replicas,
		MaxAge:            l.cfg.maxAge(),
		MaxMsgsPerSubject: store.Ring,
		MaxBytes:          l.cfg.MaxBytes / int64(l.cfg.Shards),
		Discard:           jetstream.DiscardNew,
		Duplicates:        duplicates,
		AllowDirect:       true,
		MaxConsumers:      maxConsumers,
	}
}

// checkServer refuses servers that lack what the layout needs.
func (l *log) checkServer(ctx context.Context) error {
	info, err := l.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("natsstore: server: %w", err)
	case err != nil:
		// "Not enabled" too: the client says so whenever nobody answers, as
		// while a cluster starts.
		return unavailable(fmt.Errorf("account info: %w", err))
	}
	return checkLevel(l.nc.ConnectedServerVersion(), info.API.Level)
}

func checkLevel(version string, level int) error {
	if level < minLevel {
		return fmt.Errorf("natsstore: nats-server %s (API level %d): 2.11 or newer is needed, 2.15 recommended", version, level)
	}
	return nil
}

// ensureStream makes the stream if it is missing. The embedded one is brought
// up to date; an external one belongs to its operator, so a difference that
// matters is an error rather than a fight between pods, but for the age.
func (l *log) ensureStream(ctx context.Context, shard int) error {
	want := l.streamConfig(shard)
	if l.server != nil {
		if _, err := l.js.CreateOrUpdateStream(ctx, want); err != nil {
			return l.streamError(want.Name, err)
		}
		return nil
	}
	stream, err := l.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = l.js.CreateStream(ctx, want)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = l.js.Stream(ctx, want.Name) // another pod was faster
	}
	if err != nil {
		return l.streamError(want.Name, err)
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
	return l.lengthen(ctx, longer)
}

// lengthen gives a stream the age that our sessions need. Apps whose sessions
// wait for different times share the streams, and whichever came first made
// them; since an age is only ever raised, pods do not fight over it.
func (l *log) lengthen(ctx context.Context, to jetstream.StreamConfig) error {
	if _, err := l.js.UpdateStream(ctx, to); err != nil {
		return l.streamError(to.Name, err)
	}
	l.cfg.Logger.Info("the journal keeps records longer", "stream", to.Name, "max_age", to.MaxAge.String())
	return nil
}

// streamError tells an answer that will not change from an outage: the server
// marks those that may with 503, but for "no suitable peers", which is also
// what a cluster says before its servers have found each other.
func (l *log) streamError(name string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code != 503 && api.ErrorCode != codeNoSuitablePeers {
		return fmt.Errorf("natsstore: stream %s: %w", name, err)
	}
	return unavailable(fmt.Errorf("stream %s: %w", name, err))
}

// verify compares what the journal's promises rest on. More replicas, more
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
