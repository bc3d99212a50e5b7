package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// A document is a saved copy as JSON, in which a patch can point at what has
// changed. It is never stored as a whole. The preset's name is not in it: that
// does not change.
type document struct {
	ID         []byte          `json:"id"`
	Version    uint32          `json:"version"`
	Changed    int64           `json:"changed"`
	Incomplete bool            `json:"incomplete"`
	Entries    []documentEntry `json:"entries"`
}

// A documentEntry has its payload in the member in which it takes least room and
// comes back byte for byte: JSON, Text or Bytes.
type documentEntry struct {
	Rule     uint32          `json:"rule"`
	Key      string          `json:"key,omitempty"`
	KeyBytes []byte          `json:"keyBytes,omitempty"` // of a key that is not UTF-8
	State    state           `json:"state,omitempty"`
	Binary   bool            `json:"binary,omitempty"`
	Born     uint32          `json:"born"`
	Version  uint32          `json:"version"`
	At       int64           `json:"at"`
	JSON     json.RawMessage `json:"json,omitempty"`
	Text     string          `json:"text,omitempty"`
	Bytes    []byte          `json:"bytes,omitempty"`
}

// document returns the copy as JSON.
func (c *copied) document() []byte {
	d := document{ID: c.id[:], Version: c.version, Changed: c.changed, Incomplete: c.incomplete, Entries: make([]documentEntry, len(c.entries))}
	for i := range c.entries {
		d.Entries[i] = c.entries[i].document()
	}
	return marshal(&d)
}

// document returns the entry as it is in a document.
func (e *entry) document() documentEntry {
	d := documentEntry{Rule: e.rule, State: e.state, Binary: e.m.Binary, Born: e.born, Version: e.version, At: e.at}
	if utf8.ValidString(e.key) {
		d.Key = e.key
	} else {
		d.KeyBytes = []byte(e.key)
	}
	switch {
	case structured(e.m.Data):
		d.JSON = e.m.Data
	case utf8.Valid(e.m.Data):
		d.Text = string(e.m.Data)
	default:
		d.Bytes = e.m.Data
	}
	return d
}

// structured reports whether data is an object or a list of JSON that is the same
// bytes after it was a part of a larger one.
func structured(data []byte) bool {
	if len(data) == 0 || data[0] != '{' && data[0] != '[' || !utf8.Valid(data) {
		return false
	}
	var b bytes.Buffer
	return json.Compact(&b, data) == nil && bytes.Equal(b.Bytes(), data)
}

// entry returns the entry as a Tracker keeps it. Its payload is its own.
func (d *documentEntry) entry() entry {
	e := entry{rule: d.Rule, key: d.Key, state: d.State, born: d.Born, version: d.Version, at: d.At}
	if len(d.KeyBytes) > 0 {
		e.key = string(d.KeyBytes)
	}
	e.m.Binary = d.Binary
	switch {
	case len(d.JSON) > 0:
		e.m.Data = d.JSON
	case d.Text != "":
		e.m.Data = []byte(d.Text)
	default:
		e.m.Data = d.Bytes
	}
	return e
}

// take replaces the copy by what a document says.
func (c *copied) take(text []byte) error {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if len(d.ID) != len(c.id) {
		return fmt.Errorf("id of %d bytes", len(d.ID))
	}
	if len(d.Entries) > MaxEntries {
		return fmt.Errorf("%d entries: at most %d", len(d.Entries), MaxEntries)
	}
	next := copied{id: ID(d.ID), version: d.Version, changed: d.Changed, incomplete: d.Incomplete, preset: c.preset}
	for i := range d.Entries {
		if err := next.add(d.Entries[i].entry()); err != nil {
			return err
		}
	}
	*c = next
	return nil
}

// marshal writes JSON in which what is JSON already stays as it is.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("snapshot: " + err.Error()) // all of it was read or made here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
