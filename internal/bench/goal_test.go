package main

import (
	"slices"
	"testing"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

func TestGoals(t *testing.T) {
	for _, c := range []struct {
		got, most float64
		want      []string
	}{
		{0.99, 1, []string{"x", "0.99", "≤ 1.00", "PASS"}},
		{1, 1, []string{"x", "1.00", "≤ 1.00", "PASS"}},
		{1.004, 1, []string{"x", "1.00", "≤ 1.00", "FAIL"}},
		{2501, 2500, []string{"x", "2501", "≤ 2500", "FAIL"}},
	} {
		g := newGoal("x", c.got, c.most, "")
		if got := g.cells(); !slices.Equal(got, c.want) {
			t.Errorf("%v of %v: %q, want %q", c.got, c.most, got, c.want)
		}
	}
}

func TestMarkdownTable(t *testing.T) {
	got := table{{"proxy", "µs"}, {"a", "1"}}.Markdown()
	if want := "| proxy | µs |\n|---|---:|\n| a | 1 |\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPermille(t *testing.T) {
	thousand := make([]float64, 1000)
	for i := range thousand {
		thousand[i] = float64(1000 - i)
	}
	for permille, want := range map[int]float64{0: 1, 500: 500, 990: 990, 999: 999, 1000: 1000} {
		if got := stats.Permille(thousand, permille); got != want {
			t.Errorf("%d of a thousand: %v, want %v", permille, got, want)
		}
	}
}
