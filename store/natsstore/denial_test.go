package natsstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// A safeBuffer is a log's target that several goroutines write to.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// permit is a server's option: one user who may publish all but deny.
func permit(deny ...string) func(*server.Options) {
	return func(o *server.Options) {
		o.Users = []*server.User{{Username: "user", Password: "right", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: deny},
		}}}
	}
}

// startReloadable starts a server whose permissions can be changed while it
// runs, as by an operator's SIGHUP.
func startReloadable(t *testing.T) (s *server.Server, reload func(func(*server.Options))) {
	t.Helper()
	var opts *server.Options
	s = startServer(t, freePorts(t, 1)[0], func(o *server.Options) {
		permit()(o)
		opts = o.Clone()
	})
	return s, func(change func(*server.Options)) {
		t.Helper()
		next := opts.Clone()
		change(next)
		if err := s.ReloadOptions(next); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeniedAtStart: a user without permissions for JetStream is an error that
// names them.
func TestDeniedAtStart(t *testing.T) {
	for _, subject := range []string{"$JS.API.INFO", "$JS.API.STREAM.CREATE.>"} {
		s := startServer(t, server.RANDOM_PORT, permit(subject))
		cfg := externalConfig(t, "nats://user:right@"+s.Addr().String())
		mustRefuse(t, cfg, "user name and password of the URL", strings.TrimSuffix(subject, ">"), "permissions")
	}
}

// TestDenied: the operator takes a permission away while sessions live. Calls
// fail with its name, at once and not at their timeout; the server and the log
// get one line per pause, not one per call; and calls succeed again when the
// permission is back (N08).
func TestDenied(t *testing.T) {
	t.Parallel()
	for name, subject := range map[string]string{"append": "wsr.log.>", "read": "$JS.API.DIRECT.GET.>"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testDenied(t, subject)
		})
	}
}

func testDenied(t *testing.T, subject string) {
	srv, reload := startReloadable(t)
	logged := &safeBuffer{}
	cfg := externalConfig(t, "nats://user:right@"+srv.Addr().String())
	cfg.Timeout = 20 * time.Second
	cfg.Logger = slog.New(slog.NewTextHandler(logged, nil))
	s := mustWork(t, cfg)
	reload(permit(subject))

	id := storetest.NewID()
	use := func() error {
		if _, err := s.Append(t.Context(), storetest.NewID(), 0, &store.Record{Kind: store.Snapshot, Epoch: 1}); err != nil {
			return err
		}
		if _, err := s.Load(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	}
	began := time.Now()
	calls := 0
	for ; time.Since(began) < denialPause*3/4; calls++ {
		err := use()
		if !errors.Is(err, store.ErrUnavailable) || !denied(err) || !strings.Contains(err.Error(), strings.TrimSuffix(subject, ">")) {
			t.Fatalf("call %d: %v", calls, err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) || !denied(err) {
			t.Fatalf("ready: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	if lines := strings.Count(logged.String(), "level=WARN"); calls < 10 || lines != 1 {
		t.Errorf("%d calls, %d lines in the log:\n%s", calls, lines, logged)
	}
	reload(permit())
	waitReady(t, s)
	if err := use(); err != nil {
		t.Errorf("permitted again: %v", err)
	}
}

// TestDeniedWaiting: a denial ends the calls that are under way and fails the
// next ones, until its pause is over.
func TestDeniedWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d denials
		ctx, done, err := d.call(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		denial := fmt.Errorf("%w for wsr.log.0.x", nats.ErrPermissionViolation)
		if !d.record(denial) || d.record(denial) {
			t.Error("of two denials in a row the first one counts")
		}
		<-ctx.Done()
		if err := cause(ctx, ctx.Err()); err != denial {
			t.Errorf("ended because of %v", err)
		}
		time.Sleep(denialPause - 1)
		if _, _, err := d.call(t.Context(), time.Hour); !errors.Is(err, store.ErrUnavailable) || !denied(err) {
			t.Errorf("a call within the pause: %v", err)
		}
		time.Sleep(time.Nanosecond)
		_, done, err = d.call(t.Context(), time.Hour)
		if err != nil {
			t.Fatalf("a call after the pause: %v", err)
		}
		defer done()
		if !d.record(denial) {
			t.Error("a denial after the pause does not count")
		}
	})
}

// TestAccountLimits: an account whose storage the operator cut is full: nothing is
// stored, and no other session loses anything (N06, N08).
func TestAccountLimits(t *testing.T) {
	o := newOperator(t)
	_, file := o.user(nil)
	s := mustWork(t, o.config(file))
	limits := o.claims.Limits.JetStreamLimits
	o.claims.Limits.DiskStorage = 1 << 10
	o.update()
	rec := &store.Record{Kind: store.Snapshot, Epoch: 1, OutHead: 1, Frames: storetest.Frames(1, 1, 2<<10)}
	var err error
	for range 8 {
		if _, err = s.Append(t.Context(), storetest.NewID(), 0, rec); err != nil {
			break
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("append past the account's limit: %v", err)
	}
	o.claims.Limits.JetStreamLimits = limits
	o.update()
	if _, err = s.Append(t.Context(), storetest.NewID(), 0, rec); err != nil {
		t.Errorf("the limit is lifted: %v", err)
	}
	o.claims.Limits.JetStreamLimits = jwt.JetStreamLimits{}
	o.update()
	_, err = s.Append(t.Context(), storetest.NewID(), 0, rec)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an account without JetStream: %v", err)
	}
}
