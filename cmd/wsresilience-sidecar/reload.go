package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/observe"
	"github.com/wsresilience/wsresilience/proxy"
)

// settingsEvery is how often the files of settings are looked at, as that of keys
// is: Kubernetes swaps a link to them, which no watch of a file would see.
const settingsEvery = keysEvery

// A reloader changes settings while the sidecar runs. One goroutine uses it.
type reloader struct {
	environ []string
	level   *slog.LevelVar
	log     *slog.Logger
	metrics *observe.Metrics
	ring    *keyring.Ring
	check   func(*config.Config) error // what only the running sidecar knows
	apply   func(proxy.Config)
	reissue func(why string)
	pprof   *atomic.Bool

	cfg     *config.Config    // in force
	used    [sha256.Size]byte // the content of the files that was read last
	seen    [sha256.Size]byte // at the last look
	failure string            // why that could not be used; empty: it could
	looks   int               // since then
}

// retryEvery is how many looks later what could not be used is read again: the fault
// may be in a file that only it names.
const retryEvery = 5

// hangups returns a channel with the SIGHUPs that ask for a reload. Without it one
// would end the process.
func hangups() (<-chan os.Signal, func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	return ch, func() { signal.Stop(ch) }
}

// run reloads when a signal comes, or a file has changed, until ctx ends.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	tick := time.NewTicker(settingsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.look()
		case <-hangup:
			r.reload(bySignal)
		case <-ctx.Done():
			return
		}
	}
}

// look reloads when the files differ from what was read, and nobody is writing
// them: they are what they were at the last look.
func (r *reloader) look() {
	now := contents(r.cfg.WatchedFiles())
	still := now == r.seen
	r.seen = now
	r.looks++
	if still && now != r.used || r.failure != "" && r.looks >= retryEvery {
		r.reload(byFile)
	}
}

// What a reload is because of.
const (
	byFile   = "file"
	bySignal = "SIGHUP"
)

// contents is a sum of what is in the files, or that they cannot be read.
func contents(files []config.File) (sum [sha256.Size]byte) {
	var all bytes.Buffer
	for _, f := range files {
		text, err := f.Content()
		if err != nil {
			text = []byte(err.Error())
		}
		part := sha256.Sum256(text)
		all.WriteString(string(f))
		all.Write(part[:])
	}
	return sha256.Sum256(all.Bytes())
}

// reload takes what has changed, all of it or nothing.
func (r *reloader) reload(trigger string) {
	r.used, r.looks = contents(r.cfg.WatchedFiles()), 0
	next, changes, err := r.cfg.Reload(r.environ)
	if err == nil {
		err = r.take(next)
	}
	if err != nil && err.Error() == r.failure && trigger == byFile {
		return // it was told
	}
	r.metrics.Reloaded(err == nil)
	if err != nil {
		r.failure = err.Error()
		r.refused(trigger, err)
		return
	}
	r.failure = ""
	if !slices.Equal(r.cfg.WatchedFiles(), next.WatchedFiles()) { // the rules are in another file
		r.used = contents(next.WatchedFiles())
		r.seen = r.used
	}
	r.cfg = next
	for _, w := range next.Warnings() {
		r.log.Warn(w)
	}
	if len(changes) == 0 {
		r.log.Info("the settings were read again: nothing that counts has changed", "trigger", trigger)
	}
	for _, c := range changes {
		if c.Reach == config.ReachNone {
			r.log.Warn("a changed setting needs a restart", "audit", true, "trigger", trigger, "setting", c.Name, "from", c.From, "to", c.To)
			continue
		}
		r.log.Info("a setting was changed", "audit", true, "trigger", trigger, "setting", c.Name, "from", c.From, "to", c.To, "reaches", c.Reach.String())
	}
}

// take puts the settings in force, if all of them can be used.
func (r *reloader) take(next *config.Config) error {
	policies, err := policiesOf(next)
	if err != nil {
		return err
	}
	if err := r.check(next); err != nil {
		return err
	}
	anotherSeals := false
	if next.TokenKeysFile == "" && !slices.EqualFunc(next.TokenKeys, r.cfg.TokenKeys, bytes.Equal) {
		before := keyIDs(r.ring)
		if err := r.ring.Replace(next.TokenKeys); err != nil {
			return config.Problems{{Names: []string{"WSR_TOKEN_KEYS"}, Why: err.Error()}}
		}
		anotherSeals = !bytes.Equal(next.TokenKeys[0], r.cfg.TokenKeys[0])
		r.log.Info("keys were replaced", "audit", true, "keys", keyIDs(r.ring), "before", before, "another_seals", anotherSeals)
	}
	r.level.Set(next.LogLevel)
	r.pprof.Store(next.Pprof == config.On)
	r.apply(tunable(next, policies))
	if anotherSeals {
		r.reissue("another key seals")
	}
	return nil
}

// refused tells what is wrong, a line for each problem.
func (r *reloader) refused(trigger string, err error) {
	problems := config.Problems{{Why: err.Error()}}
	errors.As(err, &problems)
	for _, p := range problems {
		r.log.Error("a changed setting cannot be used: all stay as they are", "audit", true, "trigger", trigger, "error", p.Error())
	}
}

// newReloader makes the reloader of a running sidecar, whose files had the given
// contents when they were read.
func (s *sidecar) newReloader(environ []string, level *slog.LevelVar, used [sha256.Size]byte) *reloader {
	return &reloader{
		environ: environ, level: level, log: s.log, metrics: s.metrics, ring: s.ring, cfg: s.cfg, used: used, seen: used,
		check: func(c *config.Config) error {
			if limit := s.journal.MaxPayload(); limit > 0 {
				return c.CheckPayload(int64(limit))
			}
			return nil
		},
		apply: s.proxy.Reload, reissue: s.proxy.ReissueTokens, pprof: &s.pprof,
	}
}
