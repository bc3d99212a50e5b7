package snapshot

import (
	"encoding/binary"
	"fmt"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

const (
	// minPatched is how large a saved copy is at least of which a patch is worth
	// its names: what it would take is hardly less than the copy.
	minPatched = 512

	// patchFixed precedes each patch behind a saved copy.
	patchFixed = 4
)

// journaled is what the journal has of a Tracker, as far as it is known: what a
// patch is made against. Payloads are shared with the entries.
type journaled struct {
	*copied     // nil: not known, or too small
	size    int // of the saved copy with the patches behind it
}

// A Change is what the journal lacks of a Tracker.
type Change struct {
	// Whole is a saved copy. Patch, if it is not nil, says as much in less, behind
	// what the journal has.
	Whole, Patch []byte
}

// Smaller returns the patch, or the copy if there is none.
func (c *Change) Smaller() []byte {
	if c.Patch != nil {
		return c.Patch
	}
	return c.Whole
}

// Change returns what the journal is to have. former asks for a copy that the
// release before can read, of which there are no patches.
func (t *Tracker) Change(former bool) Change {
	if former {
		return Change{Whole: t.saveFormer()}
	}
	c := Change{Whole: t.Save()}
	if t.journal.copied == nil {
		return c
	}
	to := t.now()
	patch := t.journal.patchTo(to, true)
	if patch == nil {
		patch = t.journal.patchTo(to, false)
	}
	if patch != nil && len(patch) < len(c.Whole) && t.journal.size+len(patch) <= MaxSaved {
		c.Patch = patch
	}
	return c
}

// Writing notes that a record carries data of a Change, which was its Patch or not.
func (t *Tracker) Writing(data []byte, patch bool) {
	t.writing = journaled{size: len(data)}
	if patch {
		t.writing.size += t.journal.size
	}
	if t.writing.size >= minPatched && (patch || data[0] == format) {
		t.writing.copied = t.now()
	}
}

// Written notes what became of the record that was written last with data of a
// Change: the journal has it, or it is not known what the journal has.
func (t *Tracker) Written(ok bool) {
	if t.journal = t.writing; !ok {
		t.journal = journaled{}
	}
	t.writing = journaled{}
}

// now returns what Save would save.
func (t *Tracker) now() *copied {
	return &copied{id: t.id, version: t.version, changed: t.changed, incomplete: t.incomplete, preset: t.protocol.Name, entries: slices.Clone(t.entries)}
}

// patchTo returns what stands behind a saved copy of c to make it one of to; nil
// if that cannot be said, or would not give the same bytes. within says to look
// for what has changed within payloads of JSON, which may be the reason for that:
// their order may have changed only.
func (c *copied) patchTo(to *copied, within bool) []byte {
	var ops operations
	ops.test("/version", c.version) // it is for this copy only
	if to.version != c.version {
		ops.replace("/version", to.version)
	}
	if to.id != c.id {
		ops.replace("/id", to.id[:])
	}
	if to.changed != c.changed {
		ops.replace("/changed", to.changed)
	}
	if to.incomplete != c.incomplete {
		ops.replace("/incomplete", to.incomplete)
	}
	if !ops.entries(c.entries, to.entries, within) {
		return nil
	}
	text := marshal(ops)
	check := *c
	if check.apply(text) != nil || !check.equal(to) {
		return nil
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, patchFixed+len(text)), uint32(len(text))), text...)
}

// entries adds what makes one list of entries of another, and reports whether it
// could: it cannot where entries have changed their order.
func (o *operations) entries(from, to []entry, within bool) bool {
	same := func(a, b *entry) bool {
		return a.rule == b.rule && a.key == b.key && a.state == b.state && a.born == b.born
	}
	rest := slices.Clone(from)
	for i := len(rest) - 1; i >= 0; i-- {
		if !slices.ContainsFunc(to, func(e entry) bool { return same(&e, &rest[i]) }) {
			o.remove(fmt.Sprintf("/entries/%d", i))
			rest = slices.Delete(rest, i, i+1)
		}
	}
	for i := range to {
		switch {
		case i >= len(rest):
			o.add("/entries/-", to[i].document())
		case !same(&rest[i], &to[i]):
			return false
		case !rest[i].equal(&to[i]):
			o.entry(fmt.Sprintf("/entries/%d", i), &rest[i], &to[i], within)
		}
	}
	return true
}

// entry adds what makes one entry of another with the same key.
func (o *operations) entry(path string, from, to *entry, within bool) {
	whole := operations{{"replace", path, marshal(to.document())}}
	if !within {
		*o = append(*o, whole...)
		return
	}
	before, after := from.document(), to.document()
	var parts operations
	if before.JSON != nil && after.JSON != nil {
		parts.diff(path+"/json", before.JSON, after.JSON)
		before.JSON, after.JSON = nil, nil
	}
	parts.diff(path, marshal(&before), marshal(&after))
	if len(marshal(whole)) <= len(marshal(parts)) {
		parts = whole
	}
	*o = append(*o, parts...)
}

// apply changes the copy as the text of a patch says. After an error it is as
// before.
func (c *copied) apply(text []byte) error {
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return err
	}
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices, options.EscapeHTML = false, false
	options.AccumulatedCopySizeLimit = MaxSaved
	changed, err := patch.ApplyWithOptions(c.document(), options)
	if err != nil {
		return err
	}
	return c.take(changed)
}
