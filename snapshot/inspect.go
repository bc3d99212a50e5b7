package snapshot

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// An Entry is what inspection shows: nothing of it is from a payload (I9).
type Entry struct {
	// Key is the kind of entry, and a hash of what distinguishes it from
	// others of its kind, so that it can be followed without being read.
	Key     string    `json:"key"`
	State   string    `json:"state"`   // held, under way, or dropped
	Version uint32    `json:"version"` // of the Tracker at the last change
	Size    int       `json:"size"`    // bytes of the payload
	Kept    time.Time `json:"kept"`
}

// A View is what inspection shows of a snapshot.
type View struct {
	ID       string    `json:"id"`
	Version  uint32    `json:"version"`
	Complete bool      `json:"complete"`         // a fresh app socket would hear all that it must
	Began    time.Time `json:"began,omitzero"`   // when the first entry was kept
	Expires  time.Time `json:"expires,omitzero"` // when it falls back to nothing
	Bytes    int       `json:"bytes"`            // of the payloads
	Entries  []Entry   `json:"entries"`          // in order
}

// View returns what inspection shows.
func (t *Tracker) View() View {
	_, size := t.Size()
	return View{
		ID: t.id.String(), Version: t.version, Complete: t.Complete(), Began: t.id.Time(), Expires: t.Expires().UTC(),
		Bytes: size, Entries: t.Entries(),
	}
}

// Entries lists the content, in order.
func (t *Tracker) Entries() []Entry {
	var all []Entry
	for i := range t.entries {
		e := &t.entries[i]
		all = append(all, Entry{
			Key: t.masked(e), State: e.state.String(), Version: e.version,
			Size: len(e.m.Data), Kept: time.UnixMilli(e.at).UTC(),
		})
	}
	return all
}

// Size returns how many entries there are, and the bytes of their payloads.
func (t *Tracker) Size() (entries, bytes int) {
	for i := range t.entries {
		bytes += len(t.entries[i].m.Data)
	}
	return len(t.entries), bytes
}

// masked returns the key of an entry without what may come from a payload.
func (t *Tracker) masked(e *entry) string {
	kind, rest := fmt.Sprintf("rule-%08x", e.rule), e.key
	if e.rule == 0 {
		at := strings.IndexFunc(e.key, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') })
		if at < 0 {
			at = len(e.key)
		}
		kind, rest = t.protocol.Name+" "+e.key[:at], e.key[at:]
	}
	if rest == "" {
		return kind
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(rest)) // it never fails
	return fmt.Sprintf("%s/%08x", kind, h.Sum32())
}

// String names the state as it is shown.
func (s state) String() string {
	switch s {
	case pending:
		return "under way"
	case dropped:
		return "dropped"
	}
	return "held"
}
