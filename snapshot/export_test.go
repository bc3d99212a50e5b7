package snapshot

import (
	"fmt"

	"github.com/wsresilience/wsresilience/internal/match"
)

// Limits for tests.
const (
	MaxKey    = maxKey
	MaxLook   = maxLook
	MaxRegexp = match.MaxRegexp
)

// Sizes returns what is counted against MaxBytes, what the entries cost, and the
// length of the longest key.
func (t *Tracker) Sizes() (counted, actual, longestKey int) {
	for i := range t.entries {
		actual += t.entries[i].cost()
		longestKey = max(longestKey, len(t.entries[i].key))
	}
	return t.size, actual, longestKey
}

// Protocol returns the name of the preset, if there is one.
func (t *Tracker) Protocol() string { return t.protocol.Name }

// Payloads returns the messages of all entries, in order.
func (t *Tracker) Payloads() []string {
	var all []string
	for _, e := range t.entries {
		all = append(all, string(e.m.Data))
	}
	return all
}

// Contents returns what merging decides of all entries, in order.
func (t *Tracker) Contents() []string {
	var all []string
	for _, e := range t.entries {
		all = append(all, fmt.Sprint(e.key, uint8(e.state), e.version, string(e.m.Data)))
	}
	return all
}
