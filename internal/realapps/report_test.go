package main

import (
	"strings"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	begin := time.Unix(0, 0)
	for _, tt := range []struct {
		name  string
		lives []int
		came  []int
		want  tally
	}{
		{"nothing", []int{1}, nil, tally{}},
		{"all", []int{1}, []int{4, 5, 6}, tally{events: 3, gap: time.Second}},
		{"a hole", []int{1}, []int{1, 4}, tally{events: 2, missing: 2, gap: time.Second}},
		{"nobody was subscribed between two lives", []int{1, 5}, []int{3, 7, 8}, tally{events: 3, gap: time.Second}},
		{"a hole in the second life", []int{1, 5}, []int{3, 7, 9}, tally{events: 3, missing: 1, gap: time.Second}},
		{"a life without an event", []int{1, 5, 6, 7}, []int{4, 8}, tally{events: 2, gap: time.Second}},
		{"twice", []int{1}, []int{1, 1, 2}, tally{events: 3, doubled: 1, gap: time.Second}},
		{"out of order", []int{1}, []int{1, 3, 2, 4}, tally{events: 4, doubled: 1, missing: 1, gap: time.Second}},
	} {
		w := newReport()
		for i, n := range tt.came {
			w.take(line{Topic: "kept", N: n}, begin.Add(time.Duration(i)*time.Second))
		}
		if got := w.tally("kept", tt.lives); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestWatch(t *testing.T) {
	w, at := newReport(), time.Unix(7, 0)
	for _, l := range []line{
		{Ready: true}, {Reply: "one"}, {Reply: "one"}, {Noticed: "close", Detail: "1006"}, {Failed: "subscribe"},
		{Topic: "kept", N: 3},
	} {
		w.take(l, at)
	}
	noticed, failed := w.trouble()
	if !w.isReady() || w.answered("one") != 2 || len(noticed) != 1 || noticed[0] != "close: 1006" || len(failed) != 1 {
		t.Fatalf("noticed %q, failed %q, answered %d", noticed, failed, w.answered("one"))
	}
	if got, ok := w.reached("kept", 3); !ok || !got.Equal(at) {
		t.Errorf("event 3: %v, %v", got, ok)
	}
	if _, ok := w.reached("kept", 4); ok {
		t.Error("event 4 has not come")
	}
}

func TestTableShowsFaults(t *testing.T) {
	text := table([]result{{app: "graphql", scenario: "away", faults: []string{"the library noticed a close"}}, {app: "mqtt"}})
	if !strings.Contains(text, "graphql, away: the library noticed a close\n") || strings.Count(text, "\n") != 4 {
		t.Errorf("table:\n%s", text)
	}
}
