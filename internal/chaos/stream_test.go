package main

import (
	"slices"
	"testing"
)

func TestOutbound(t *testing.T) {
	for name, tc := range map[string]struct {
		tags                              []tag
		missing, doubled, reordered, late int
		highest                           uint32 // of socket 1
	}{
		"nothing":              {},
		"in order":             {tags: []tag{{1, 1}, {1, 2}, {1, 3}}, highest: 3},
		"hole":                 {tags: []tag{{1, 1}, {1, 3}}, missing: 1, highest: 3},
		"begins late":          {tags: []tag{{1, 3}}, missing: 2, highest: 3},
		"hole filled":          {tags: []tag{{1, 1}, {1, 3}, {1, 2}}, reordered: 1, highest: 3},
		"twice":                {tags: []tag{{1, 1}, {1, 2}, {1, 2}}, doubled: 1, highest: 2},
		"hole filled twice":    {tags: []tag{{1, 2}, {1, 1}, {1, 1}}, reordered: 1, doubled: 1, highest: 2},
		"new socket":           {tags: []tag{{1, 1}, {2, 1}, {2, 2}}, highest: 1},
		"old one speaks again": {tags: []tag{{1, 1}, {2, 1}, {1, 2}}, reordered: 1, late: 1, highest: 2},
		"old one repeats":      {tags: []tag{{1, 1}, {2, 1}, {1, 1}}, doubled: 1, late: 1, highest: 1},
		"old one leaves a hole": {
			tags: []tag{{1, 1}, {2, 1}, {1, 4}}, reordered: 1, late: 1, missing: 2, highest: 4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o outbound
			for _, tag := range tc.tags {
				o.take(tag)
			}
			if o.got != len(tc.tags) || len(o.missing) != tc.missing || o.doubled != tc.doubled || o.reordered != tc.reordered || o.stale != tc.late {
				t.Errorf("got %d, missing %d, doubled %d, reordered %d, stale %d, want %+v", o.got, len(o.missing), o.doubled, o.reordered, o.stale, tc)
			}
			if h := o.highest(1); h != tc.highest {
				t.Errorf("highest %d, want %d", h, tc.highest)
			}
		})
	}
}

func TestInbound(t *testing.T) {
	for name, tc := range map[string]struct {
		tags                            []tag
		lost, doubled, again, reordered int // of three messages
	}{
		"nothing":       {lost: 3},
		"in order":      {tags: []tag{{1, 1}, {1, 2}, {1, 3}}},
		"moved":         {tags: []tag{{1, 1}, {2, 2}, {2, 3}}},
		"moved, again":  {tags: []tag{{1, 1}, {1, 2}, {2, 2}, {2, 3}}, again: 1},
		"last is lost":  {tags: []tag{{1, 1}, {1, 2}}, lost: 1},
		"hole":          {tags: []tag{{1, 1}, {1, 3}}, lost: 1},
		"hole filled":   {tags: []tag{{1, 1}, {1, 3}, {1, 2}}, reordered: 1},
		"twice":         {tags: []tag{{1, 1}, {1, 2}, {1, 2}, {1, 3}}, doubled: 1},
		"two at a time": {tags: []tag{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {1, 3}, {2, 3}}, again: 3},
	} {
		t.Run(name, func(t *testing.T) {
			var in inbound
			for _, tag := range tc.tags {
				in.take(tag.stream, tag.n)
			}
			if lost := in.lost(3); lost != tc.lost || in.doubled != tc.doubled || in.again != tc.again || in.reordered != tc.reordered {
				t.Errorf("lost %d, doubled %d, again %d, reordered %d, want %+v", lost, in.doubled, in.again, in.reordered, tc)
			}
		})
	}
}

// FuzzOutbound: whatever comes, the account adds up to what a list shows.
func FuzzOutbound(f *testing.F) {
	f.Add([]byte{0x11, 0x12, 0x14, 0x13, 0x21, 0x15, 0x15})
	f.Fuzz(func(t *testing.T, script []byte) {
		var o outbound
		seen := map[tag]bool{}
		high := map[uint32]uint32{}
		for _, b := range script {
			at := tag{uint32(b >> 4), uint32(b&15) + 1}
			o.take(at)
			seen[at] = true
			high[at.stream] = max(high[at.stream], at.n)
		}
		holes := 0
		for sock, h := range high {
			if got := o.highest(sock); got != h {
				t.Fatalf("%x: highest of %d is %d, want %d", script, sock, got, h)
			}
			for n := range h {
				if !seen[tag{sock, n + 1}] {
					holes++
				}
			}
		}
		if o.got != len(script) || o.doubled != len(script)-len(seen) || len(o.missing) != holes {
			t.Fatalf("%x: got %d, doubled %d, missing %d, want %d, %d, %d",
				script, o.got, o.doubled, len(o.missing), len(script), len(script)-len(seen), holes)
		}
	})
}

// FuzzInbound: the same for what the app's sockets read.
func FuzzInbound(f *testing.F) {
	f.Add([]byte{0x11, 0x12, 0x12, 0x22, 0x23, 0x14})
	f.Fuzz(func(t *testing.T, script []byte) {
		const sent = 16
		var in inbound
		onSock := map[tag]bool{}
		any := map[uint32]bool{}
		doubled := 0
		for _, b := range script {
			at := tag{uint32(b >> 4), uint32(b&15) + 1}
			in.take(at.stream, at.n)
			if onSock[at] {
				doubled++
			}
			onSock[at], any[at.n] = true, true
		}
		if in.lost(sent) != sent-len(any) || in.doubled != doubled || in.again != len(onSock)-len(any) {
			t.Fatalf("%x: lost %d, doubled %d, again %d, want %d, %d, %d",
				script, in.lost(sent), in.doubled, in.again, sent-len(any), doubled, len(onSock)-len(any))
		}
	})
}

func TestTags(t *testing.T) {
	for _, want := range []tag{{0, 1}, {7, 12}, {1<<32 - 1, 1<<32 - 1}} {
		if got, ok := parseTag(want.append(nil)); !ok || got != want {
			t.Errorf("%v became %v, %v", want, got, ok)
		}
	}
	for _, bad := range []string{"", "1", "1 ", " 1", "1 0", "a 1", "1 1 1", "-1 1", "4294967296 1"} {
		if got, ok := parseTag([]byte(bad)); ok {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestRecords(t *testing.T) {
	want := []record{{opened, 1, 2, 0, 5}, {got, 1, 2, 3, 1 << 60}, {alien, 1<<32 - 1, 0, 0, 0}}
	var b []byte
	for i := range want {
		b = want[i].append(b)
	}
	got, err := parseRecords(append(b, 1, 2, 3)) // the last one is torn
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseRecords(make([]byte, recordBytes)); err == nil {
		t.Error("a record without a kind was read")
	}
}
