package natsstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/wsresilience/wsresilience/store"
)

const (
	// denialsPause and refusalPause follow a change of a stream that our user may
	// not make, which an operator changes, and one that the server did not make,
	// for want of room perhaps.
	denialsPause = time.Minute
	refusalPause = 5 * time.Second

	// minShare is what any session may hold, however full the journal is, and
	// shareDivisor the part of the free room that one may hold beyond that.
	minShare     = 64 << 10
	shareDivisor = 8
)

// A StreamChange is what became of a stream that was not as it has to be.
type StreamChange int

const (
	StreamRepaired StreamChange = iota // changed back
	StreamMade                         // it was missing
	StreamWrong                        // neither, which is told once
)

// A wrongStreamError is a stream that the journal cannot rely on, and that
// could not be changed back. The journal is used all the same: what is read is
// checked.
type wrongStreamError struct {
	name, wrong string
	err         error // why it was not changed back
}

func (e *wrongStreamError) Error() string {
	return fmt.Sprintf("stream %s was changed: %s; not changed back: %v; change it with `nats stream edit %s`, or the settings here",
		e.name, e.wrong, e.err, e.name)
}

func (e *wrongStreamError) Unwrap() error { return e.err }

// A missingStreamError is a stream that is not there and could not be made.
type missingStreamError struct {
	name string
	err  error
}

func (e *missingStreamError) Error() string {
	return fmt.Sprintf("stream %s is missing: %v", e.name, e.err)
}

func (e *missingStreamError) Unwrap() error { return e.err }

// errExpected is why a stream is not made or changed where sidecars may not.
var errExpected = errors.New("the streams are an operator's to make and change (WSR_NATS_STREAMS=expect)")

// A keeper makes the streams of a journal and keeps them as they have to be. It
// is safe for concurrent use.
type keeper struct {
	js      jetstream.JetStream
	layout  Layout
	expect  bool // nothing is made or changed
	denials *denials
	timeout time.Duration
	log     *slog.Logger
	changed func(StreamChange)
	lost    func() // records may be gone

	mu     sync.Mutex // guards all below, and is held during one check
	states map[string]*streamState
}

// A streamState is what is known of one stream.
type streamState struct {
	created  time.Time // zero: never seen
	told     string    // what was wrong, and is
	tryAfter time.Time // of the next change, after one that failed
	failed   error     // why it did

	held, most int64 // bytes; most is 0 if there is no limit
}

// keepAll checks every stream. Its error joins those of all that are wrong; any
// other error ends it.
func (k *keeper) keepAll(ctx context.Context, streams []jetstream.StreamConfig) error {
	var wrong []error
	for i := range streams {
		err := k.keep(ctx, &streams[i])
		var w *wrongStreamError
		if err != nil && !errors.As(err, &w) {
			return err
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// keep makes the stream if it is missing, and changes back what is not as the
// journal needs it. A *wrongStreamError says that this could not be done.
func (k *keeper) keep(ctx context.Context, want *jetstream.StreamConfig) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.states == nil {
		k.states = map[string]*streamState{}
	}
	st := k.states[want.Name]
	if st == nil {
		st = &streamState{}
		k.states[want.Name] = st
	}
	stream, err := k.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = k.makeLocked(ctx, st, want)
	}
	if err != nil {
		return k.streamError(want.Name, cause(ctx, err))
	}
	info := stream.CachedInfo()
	st.held, st.most = int64(info.State.Bytes), max(info.Config.MaxBytes, 0)
	known := !st.created.IsZero()
	replaced := known && !info.Created.Equal(st.created)
	st.created = info.Created
	if k.expect && info.Config.MaxBytes > 0 {
		// How large they are is for whoever makes them: it is a tenant's quota.
		sized := *want
		sized.MaxBytes = info.Config.MaxBytes
		want = &sized
	}
	if k.expect { // then how much there is to store is an operator's choice, such as a tenant's quota
		less := *want
		less.MaxBytes = info.Config.MaxBytes
		want = &less
	}
	repaired, wrong := compare(want, &info.Config)
	switch {
	case wrong == "":
		if st.told != "" {
			k.log.Info("journal: stream is as it has to be again", "audit", true, "stream", want.Name)
		}
		st.told = ""
	default:
		err = k.repairLocked(ctx, st, &info.Config, &repaired, wrong)
		replaced = replaced || known && err == nil
	}
	if replaced && holdsRecords(want.Name) {
		k.lost()
	}
	return err
}

// share is how many bytes of one session the fullest stream takes.
func (k *keeper) share() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	least := int64(math.MaxInt64)
	for name, st := range k.states {
		if holdsRecords(name) && st.most > 0 {
			least = min(least, share(st.most, st.held))
		}
	}
	return least
}

// share returns how many bytes of one session a stream takes that has room for
// most and holds held. It is a part of what is free, so that a few sessions may
// hold much and many together still leave room: with n that hold all they may,
// n/8 parts are used of 1 + n/8. The last quarter is for small ones only.
func share(most, held int64) int64 {
	return max((most-most/4-held)/shareDivisor, minShare)
}

// makeLocked makes a stream that is missing. k.mu is held.
func (k *keeper) makeLocked(ctx context.Context, st *streamState, want *jetstream.StreamConfig) (jetstream.Stream, error) {
	if k.expect {
		return nil, &missingStreamError{want.Name, errExpected}
	}
	var stream jetstream.Stream
	err := k.changeLocked(ctx, st, func(ctx context.Context) (err error) {
		stream, err = k.js.CreateStream(ctx, *want)
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return k.js.Stream(ctx, want.Name) // another sidecar was faster
	case denied(err):
		return nil, &missingStreamError{want.Name, fmt.Errorf("our user may not make it: %w", err)}
	case err != nil:
		return nil, err
	}
	if !st.created.IsZero() {
		k.log.Warn("journal: stream was deleted, and is made again", "audit", true, "stream", want.Name)
	}
	k.changed(StreamMade)
	return stream, nil
}

// repairLocked changes a stream back. An age that only has to be longer is no
// news: apps with different session TTLs share the streams, and whichever came
// first made them. What is raised is never lowered, so that sidecars do not
// undo each other's change. k.mu is held.
func (k *keeper) repairLocked(ctx context.Context, st *streamState, found, to *jetstream.StreamConfig, wrong string) error {
	err := errExpected
	if !k.expect {
		err = k.changeLocked(ctx, st, func(ctx context.Context) error {
			_, err := k.js.UpdateStream(ctx, *to)
			return err
		})
	}
	if err != nil {
		err = &wrongStreamError{to.Name, wrong, err}
		if st.told != wrong {
			k.log.Error("journal: sessions may be lost with their sidecars", "audit", true, "error", err)
			k.changed(StreamWrong)
		}
		st.told = wrong
		return unavailable(err)
	}
	st.told = ""
	if longer := *found; longer.MaxAge > store.RefreshSlack && to.MaxAge > 0 {
		longer.MaxAge = to.MaxAge
		if _, wrong := compare(to, &longer); wrong == "" {
			k.log.Info("the journal keeps records longer", "stream", to.Name, "max_age", to.MaxAge.String())
			return nil
		}
	}
	k.log.Warn("journal: stream was changed, and is changed back: somebody else can write there", "audit", true, "stream", to.Name, "was", wrong)
	k.changed(StreamRepaired)
	return nil
}

// changeLocked calls change, unless one failed a short time ago. k.mu is held.
func (k *keeper) changeLocked(ctx context.Context, st *streamState, change func(context.Context) error) error {
	if now := time.Now(); now.Before(st.tryAfter) {
		return st.failed
	}
	ctx, done, err := k.denials.call(ctx, k.timeout)
	if err != nil {
		return err
	}
	defer done()
	err = cause(ctx, change(ctx))
	var api *jetstream.APIError
	switch {
	case denied(err):
		st.failed, st.tryAfter = err, time.Now().Add(denialsPause)
	case errors.As(err, &api) && !retryable(api) && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		st.failed, st.tryAfter = err, time.Now().Add(refusalPause)
	}
	return err
}

// retryable reports whether the server may make the stream any moment: it marks
// outages with 503, but for "no suitable peers", which a cluster also says
// before its servers have found each other.
func retryable(api *jetstream.APIError) bool {
	return api.Code == 503 || api.ErrorCode == codeNoSuitablePeers
}

// streamError marks an answer about a stream as one to try again after, and
// says what an operator can do.
func (k *keeper) streamError(name string, err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		err = fmt.Errorf("%w%s", err, k.streamHint(api.ErrorCode))
	}
	return unavailable(fmt.Errorf("stream %s: %w", name, err))
}

// streamHint returns what an operator can do about a stream that the server
// did not make, to be put behind its error.
func (k *keeper) streamHint(code jetstream.ErrorCode) string {
	switch code {
	case codeNoSuitablePeers:
		return fmt.Sprintf("; %d replicas need as many servers with JetStream", k.layout.Replicas)
	case codeAccountResources, codeInsufficientResources, codeStorageExceeded:
		return fmt.Sprintf("; the streams reserve %d MiB together: raise the storage of the account or of the servers, or see which other stream reserves it", k.layout.MaxBytes>>20)
	}
	return ""
}

// MakeStreams makes the streams of a journal in the account that nc is connected
// to, or changes them to what the journal needs, for sidecars that may not do
// so themselves (Config.ExpectStreams). It is for whoever makes accounts, and
// may be called again and again. Errors that wrap store.ErrUnavailable may be
// gone at the next call.
func MakeStreams(ctx context.Context, nc *nats.Conn, layout Layout, logger *slog.Logger) error {
	cfg := Config{URL: nats.DefaultURL, Replicas: layout.Replicas, Shards: layout.Shards, SessionTTL: layout.SessionTTL, MaxBytes: layout.MaxBytes, KeyBytes: layout.KeyBytes, Logger: logger}
	cfg.setDefaults()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(cfg.Timeout))
	if err != nil {
		return fmt.Errorf("natsstore: make streams: %w", err)
	}
	k := newKeeper(js, &cfg, &denials{})
	return k.keepAll(ctx, k.layout.streams())
}

func newKeeper(js jetstream.JetStream, cfg *Config, d *denials) *keeper {
	return &keeper{
		js: js, expect: cfg.ExpectStreams, denials: d, timeout: cfg.Timeout, log: cfg.Logger,
		changed: cfg.StreamChanged, lost: cfg.Lost, layout: cfg.layout(),
	}
}

// ofChange reports whether a denial is about making or changing a stream, which
// does not concern other calls.
func ofChange(err error) bool {
	return slices.ContainsFunc([]string{"STREAM.CREATE.", "STREAM.UPDATE."}, func(call string) bool {
		return strings.Contains(err.Error(), "$JS.API."+call)
	})
}
