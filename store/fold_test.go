package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// rec makes a record with frames of the given seqs.
func rec(kind Kind, epoch, acked, head uint32, seqs ...uint32) Stored {
	r := &Record{Kind: kind, Epoch: epoch, OutAcked: acked, OutHead: head}
	for _, seq := range seqs {
		r.Frames = append(r.Frames, Frame{Seq: seq, Data: []byte{byte(seq)}})
	}
	return Stored{Record: r, Parts: 1}
}

func withContext(s Stored, context string) Stored {
	s.Record.Context = []byte(context)
	return s
}

// TestFoldContext: the newest context that was carried is the one, an empty
// one too, and a fenced owner's is none.
func TestFoldContext(t *testing.T) {
	chain := []Stored{
		rec(Delta, 1, 0, 0),
		withContext(rec(Snapshot, 1, 0, 0), "one"),
		rec(Delta, 1, 0, 0),
		withContext(rec(Delta, 1, 0, 0), "two"),
		rec(Claim, 2, 0, 0),
		withContext(rec(Delta, 1, 0, 0), "fenced"),
		withContext(rec(Delta, 2, 0, 0), ""),
	}
	for n, want := range []string{"<nil>", "one", "one", "two", "two", "two", ""} {
		st, err := Fold(chain[:n+1])
		if err != nil {
			t.Fatal(err)
		}
		got := string(st.Context)
		if st.Context == nil {
			got = "<nil>"
		}
		if got != want {
			t.Errorf("after %d records: context %q, want %q", n+1, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	const top = ^uint32(0)
	bad := Stored{Err: ErrCorrupt, Parts: 1}
	junk := Stored{Foreign: errMoved, Parts: 1}
	half := Stored{Parts: 1}
	first := rec(Delta, 1, 0, 2, 1, 2)
	first.Record.First = true
	for name, tc := range map[string]struct {
		chain []Stored
		seqs  []uint32
		gap   bool
		err   error
	}{
		"nothing":               {nil, nil, false, ErrNotFound},
		"only a beginning":      {[]Stored{half}, nil, false, ErrNotFound},
		"snapshot replaces":     {[]Stored{rec(Snapshot, 1, 0, 2, 1, 2), rec(Snapshot, 1, 2, 3, 3)}, []uint32{3}, false, nil},
		"delta adds":            {[]Stored{rec(Snapshot, 1, 0, 2, 1, 2), rec(Delta, 1, 0, 3, 3)}, []uint32{1, 2, 3}, false, nil},
		"ack drops":             {[]Stored{rec(Snapshot, 1, 0, 2, 1, 2), rec(Delta, 1, 2, 3, 3)}, []uint32{3}, false, nil},
		"claim keeps":           {[]Stored{rec(Snapshot, 1, 0, 2, 1, 2), rec(Claim, 2, 0, 2)}, []uint32{1, 2}, false, nil},
		"first anchors":         {[]Stored{first, rec(Delta, 1, 0, 3, 3)}, []uint32{1, 2, 3}, false, nil},
		"wrap":                  {[]Stored{rec(Snapshot, 1, top-2, 0, top-1, top, 0), rec(Delta, 1, top-1, 1, 1)}, []uint32{top, 0, 1}, false, nil},
		"retry overlaps":        {[]Stored{rec(Snapshot, 1, 0, 2, 1, 2), rec(Delta, 1, 0, 4, 2, 3, 4)}, []uint32{1, 2, 3, 4}, false, nil},
		"late frame":            {[]Stored{rec(Snapshot, 1, 0, 3, 1, 3), rec(Delta, 1, 0, 3, 2)}, []uint32{1, 2, 3}, false, nil},
		"not yet journaled":     {[]Stored{rec(Snapshot, 1, 1, 5, 2)}, []uint32{2}, false, nil},
		"gap at the start":      {[]Stored{rec(Snapshot, 1, 0, 3, 2, 3)}, []uint32{2, 3}, true, nil},
		"gap in the middle":     {[]Stored{rec(Snapshot, 1, 0, 3, 1, 3)}, []uint32{1, 3}, true, nil},
		"no anchor":             {[]Stored{rec(Claim, 2, 1, 5), rec(Claim, 3, 1, 5)}, nil, true, nil},
		"no anchor, no context": {[]Stored{rec(Delta, 1, 5, 5)}, nil, true, nil},
		"no anchor, no matter":  {[]Stored{withContext(rec(Delta, 1, 5, 5), "c"), rec(Delta, 1, 6, 6)}, nil, false, nil},
		"fenced owner":          {[]Stored{rec(Snapshot, 2, 0, 1, 1), rec(Snapshot, 1, 0, 2, 1, 2)}, []uint32{1}, false, nil},
		"corrupt":               {[]Stored{rec(Snapshot, 1, 0, 1, 1), bad, rec(Delta, 1, 0, 2, 2)}, nil, false, ErrCorrupt},
		"corrupt, replaced":     {[]Stored{bad, rec(Snapshot, 1, 0, 1, 1)}, []uint32{1}, false, nil},
		"junk":                  {[]Stored{junk, rec(Snapshot, 1, 0, 1, 1), junk, rec(Delta, 1, 0, 2, 2), junk}, []uint32{1, 2}, false, nil},
		"nothing but junk":      {[]Stored{junk, junk}, nil, false, ErrCorrupt},
		"unfinished at the end": {[]Stored{rec(Snapshot, 1, 0, 1, 1), half}, []uint32{1}, false, nil},
	} {
		for i := range tc.chain {
			tc.chain[i].Revision = Revision(10 + i)
		}
		st, err := Fold(tc.chain)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %v", name, err, tc.err)
		}
		if err != nil || tc.err != nil {
			continue
		}
		var seqs []uint32
		for _, f := range st.Frames {
			seqs = append(seqs, f.Seq)
		}
		if !slices.Equal(seqs, tc.seqs) || st.Gap != tc.gap {
			t.Errorf("%s: frames %v, gap %v, want %v, %v", name, seqs, st.Gap, tc.seqs, tc.gap)
		}
		if want := tc.chain[len(tc.chain)-1].Revision; st.Revision != want {
			t.Errorf("%s: revision %d, want %d", name, st.Revision, want)
		}
	}
}

// TestFoldPast: where the newest record keeps the past, a reader has what was
// acknowledged since the Snapshot, each message once and in order.
func TestFoldPast(t *testing.T) {
	keep := func(s Stored, past ...uint32) Stored {
		s.Record.KeepsPast = true
		for _, seq := range past {
			s.Record.Past = append(s.Record.Past, Frame{Seq: seq})
		}
		return s
	}
	const top = ^uint32(0)
	for name, tc := range map[string]struct {
		chain []Stored
		past  []uint32
		gap   bool
	}{
		"nothing yet":            {[]Stored{keep(rec(Snapshot, 1, 0, 2, 1, 2))}, nil, false},
		"of a snapshot":          {[]Stored{keep(rec(Snapshot, 1, 9, 9), 3, 7)}, []uint32{3, 7}, false},
		"acknowledged since":     {[]Stored{keep(rec(Snapshot, 1, 0, 2, 1, 2)), keep(rec(Delta, 1, 1, 3, 3)), keep(rec(Delta, 1, 3, 3))}, []uint32{1, 2, 3}, false},
		"behind a snapshot":      {[]Stored{keep(rec(Snapshot, 1, 5, 6, 6), 2), keep(rec(Delta, 1, 6, 6))}, []uint32{2, 6}, false},
		"replaced":               {[]Stored{keep(rec(Snapshot, 1, 0, 2, 1, 2)), keep(rec(Snapshot, 1, 2, 2), 2)}, []uint32{2}, false},
		"added":                  {[]Stored{keep(rec(Snapshot, 1, 0, 1, 1)), keep(rec(Delta, 1, 0, 2, 2), 40), keep(rec(Delta, 1, 2, 2))}, []uint32{40, 1, 2}, false},
		"retried":                {[]Stored{keep(rec(Snapshot, 1, 0, 2, 1, 2)), keep(rec(Delta, 1, 1, 3, 2, 3)), keep(rec(Delta, 1, 2, 3, 2, 3))}, []uint32{1, 2}, false},
		"claimed":                {[]Stored{keep(rec(Snapshot, 1, 0, 2, 1, 2)), keep(rec(Delta, 1, 1, 2)), keep(rec(Claim, 2, 1, 2))}, []uint32{1}, false},
		"wrap":                   {[]Stored{keep(rec(Snapshot, 1, top-1, 0, top, 0)), keep(rec(Delta, 1, 0, 0))}, []uint32{top, 0}, false},
		"not kept any more":      {[]Stored{keep(rec(Snapshot, 1, 0, 1, 1), 9), rec(Delta, 1, 1, 1)}, nil, false},
		"of a chain that is cut": {[]Stored{withContext(keep(rec(Delta, 1, 5, 5)), "c")}, nil, true},
	} {
		st, err := Fold(tc.chain)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var past []uint32
		for _, f := range st.Past {
			past = append(past, f.Seq)
		}
		if !slices.Equal(past, tc.past) || st.Gap != tc.gap {
			t.Errorf("%s: past %v, gap %v, want %v, %v", name, past, st.Gap, tc.past, tc.gap)
		}
	}
}

// FuzzCadence lets an owner write by Cadence, loses what the ring loses, and
// checks after every record that the ring still tells everything.
func FuzzCadence(f *testing.F) {
	f.Add(uint64(1), uint16(100), uint16(50))
	f.Add(uint64(2), uint16(3000), uint16(200))
	f.Fuzz(func(t *testing.T, seed uint64, frameMost, partSize uint16) {
		random := rand.New(rand.NewPCG(seed, 0))
		part := int(partSize) + bodyFixed
		cadence := Cadence{Limits: Limits{Part: part, Record: MaxParts * part}}
		head := ^uint32(0) - 20 // the count wraps on the way
		acked, journaled := head, head
		var log []Stored
		var window []Frame
		context := []byte{}
		var sizes []int // of each record, at its last part
		for range 100 {
			for range random.IntN(3) {
				data := make([]byte, random.IntN(int(frameMost)+1))
				if r := (Record{Context: context, Frames: append(slices.Clone(window), Frame{Data: data})}); r.size() > MaxParts*part {
					break // the window is full: backpressure
				}
				head++
				window = append(window, Frame{Seq: head, Data: data})
			}
			for len(window) > 0 && random.IntN(3) == 0 {
				acked = window[0].Seq
				window = window[1:]
			}
			if after(acked, journaled) {
				journaled = acked
			}
			r := &Record{Kind: Delta, OutAcked: acked, OutHead: head}
			if n := random.IntN(part); random.IntN(8) == 0 && (&Record{Context: make([]byte, n), Frames: window}).size() <= MaxParts*part {
				context = bytes.Repeat([]byte{byte(random.Uint32())}, n)
				r.Context = context
			}
			fresh := window[len(window)-int(head-journaled):]
			r.Frames = slices.Clone(fresh)
			if r.Kind = cadence.Next(r.size()-bodyFixed, (&Record{Context: context, Frames: window}).size()-bodyFixed); r.Kind == Snapshot {
				r.Frames, r.Context = slices.Clone(window), context
			}
			parts, err := split(r, part)
			if err != nil {
				t.Fatal(err)
			}
			for range len(parts) - 1 {
				log = append(log, Stored{Revision: 1, Parts: 1})
				checkRing(t, log, acked)
			}
			log = append(log, Stored{Revision: 1, Record: r, Parts: 1})
			cadence.Wrote(r, nil)
			for range parts {
				sizes = append(sizes, 0)
			}
			sizes[len(sizes)-1] = r.size() + len(parts)*partOverhead
			checkHeld(t, &cadence, sizes)
			journaled = head
			if st := checkRing(t, log, acked); len(st.Frames) != len(window) || !bytes.Equal(st.Context, context) {
				t.Fatalf("%d frames, want %d; context of %d bytes, want %d", len(st.Frames), len(window), len(st.Context), len(context))
			}
		}
	})
}

// checkHeld: the chain holds no more than the Cadence says.
func checkHeld(t *testing.T, c *Cadence, sizes []int) {
	t.Helper()
	held := 0
	for _, size := range sizes[max(0, len(sizes)-Ring):] {
		held += size
	}
	if c.Holds() < int64(held) {
		t.Fatalf("the chain holds %d bytes, counted %d", held, c.Holds())
	}
}

// TestLoose: records without messages make a chain light, whatever is
// outstanding and however long its names are, within two rings.
func TestLoose(t *testing.T) {
	for _, limit := range []int{4 << 10, 1 << 20} {
		for _, outstanding := range []int{0, 1000, 20 << 10, 1 << 20, 5 << 20} {
			if outstanding > MaxParts*limit {
				continue
			}
			c := Cadence{Limits: Limits{Part: limit, Record: MaxParts * limit}}
			c.Found(100 << 20)
			names := strings.Repeat("n", MaxNegotiated)
			o := Outstanding{Bytes: outstanding, Names: 2 * MaxNegotiated}
			records := 0
			for ; c.Loose(o); records++ {
				r := &Record{Owner: names[:MaxOwner], CloseReason: names[:MaxReason], Subprotocol: names, Extensions: names}
				if r.Kind = c.Next(0, outstanding); r.Kind == Snapshot {
					r.Frames = []Frame{{Data: make([]byte, max(0, outstanding-frameFixed))}}
				}
				c.Wrote(r, nil)
				if records > 2*Ring {
					t.Fatalf("parts of %d, %d outstanding: still %d bytes after %d records", limit, outstanding, c.Holds(), records)
				}
			}
			if c.Heavy(o) {
				t.Error("light and heavy")
			}
		}
	}
}

// checkRing folds what the ring keeps of the log. A record that lost its
// first parts is invisible, as assemble makes it.
func checkRing(t *testing.T, log []Stored, acked uint32) *State {
	t.Helper()
	kept := slices.Clone(log[max(0, len(log)-Ring):])
	if cut := len(log) - len(kept); cut > 0 && log[cut-1].Record == nil {
		for i := range kept {
			done := kept[i].Record != nil
			kept[i].Record = nil
			if done {
				break
			}
		}
	}
	if cut := len(log) - len(kept); len(kept) == Ring {
		// Nothing shows that the oldest one is in its place (linked), so what it
		// is a part of is no record.
		for i := range kept {
			kept[i].Record = nil
			if log[cut+i].Record != nil {
				break
			}
		}
	}
	st, err := Fold(kept)
	if errors.Is(err, ErrNotFound) && len(log) < MaxParts {
		return &State{} // the very first record is on its way
	}
	if err != nil || st.Gap {
		t.Fatalf("after %d parts: %v, gap %v", len(log), err, st != nil && st.Gap)
	}
	return st
}
