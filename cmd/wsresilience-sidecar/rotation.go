package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/observe"
)

// keysEvery is how often the file of WSR_TOKEN_KEYS_FILE is looked at. Kubernetes
// swaps a link to it, which no watch of the file itself would see, and takes a
// minute to do so.
const keysEvery = time.Second

// rotation follows the file of the keys.
type rotation struct {
	file    config.File
	ring    *keyring.Ring
	changed func(sealsAnew bool) // after a change: whether another key seals
	invalid func(error)          // what the file holds cannot be used; nil: it can again

	known   config.Keys
	failure string // of the last look
}

// run looks at the file until ctx ends.
func (r *rotation) run(ctx context.Context) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.look()
		case <-ctx.Done():
			return
		}
	}
}

// look takes the keys in the file, unless they cannot be used: then those of
// before stay. While Kubernetes swaps the link there may be no file for a moment,
// so that is told of when it is found twice.
func (r *rotation) look() {
	keys, err := config.KeysOf(r.file)
	if err == nil && !slices.EqualFunc(keys, r.known, slices.Equal) {
		err = r.ring.Replace(keys)
	}
	if err != nil {
		if r.failure == err.Error() {
			r.invalid(err)
		}
		r.failure = err.Error()
		return
	}
	r.failure = ""
	r.invalid(nil)
	if sealsAnew := !slices.Equal(keys[0], r.known[0]); sealsAnew || !slices.EqualFunc(keys, r.known, slices.Equal) {
		r.known = keys
		r.changed(sealsAnew)
	}
}

// rotate has the sidecar follow the file of its keys, if they are from one.
func (s *sidecar) rotate(ctx context.Context) {
	if s.cfg.TokenKeysFile == "" {
		return
	}
	told := ""
	r := &rotation{file: s.cfg.TokenKeysFile, ring: s.ring, known: s.cfg.TokenKeys}
	r.changed = func(sealsAnew bool) {
		s.log.Info("keys were replaced", "audit", true, "keys", keyIDs(s.ring), "another_seals", sealsAnew)
		if sealsAnew {
			s.proxy.ReissueTokens("another key seals")
		}
	}
	r.invalid = func(err error) {
		s.metrics.KeysFileInvalid(err != nil)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != told && text != "" {
			s.log.Error("WSR_TOKEN_KEYS_FILE cannot be used: the keys of before stay", "audit", true, "file", string(r.file), "error", text, "keys", keyIDs(s.ring))
		}
		told = text
	}
	r.run(ctx)
}

// keyIDs are the names of the keys in logs and metrics, the one that seals first.
func keyIDs(ring *keyring.Ring) string {
	var ids []string
	for _, u := range ring.Usage() {
		ids = append(ids, u.ID)
	}
	return strings.Join(ids, ",")
}

// keyUses is what the keys have done, for metrics.
func keyUses(ring *keyring.Ring) func() []observe.KeyUse {
	return func() (list []observe.KeyUse) {
		for i, u := range ring.Usage() {
			list = append(list, observe.KeyUse{ID: u.ID, Place: i + 1, Sealed: u.Sealed, Opened: u.Opened})
		}
		return list
	}
}
