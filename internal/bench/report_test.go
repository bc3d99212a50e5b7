package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTableLines(t *testing.T) {
	got := table{
		{"forwarder", "µs", ""},
		{"a", "10.25", "PASS"},
		{"naïve one", "9.00", ""},
	}.Lines()
	want := []string{
		"forwarder     µs",
		"a          10.25  PASS",
		"naïve one   9.00",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReportJudgesCPU(t *testing.T) {
	rows := []cpuRow{
		{subject{name: "loop", reference: true}, []float64{10, 20, 10}},
		{subject{name: "plain", allowed: 1.15}, []float64{11.5, 23, 30}},
		{subject{name: "resilient", allowed: 1.35}, []float64{13.6, 27.2, 1}},
	}
	var out strings.Builder
	rep := &report{w: &out}
	reportCPU(rep, rows, &options{size: 64, connections: 64, messages: 1000, rounds: 3})
	if !slices.Equal(rep.failed, []string{"CPU, resilient"}) {
		t.Errorf("failed: %q", rep.failed)
	}
	if code := rep.verdict(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, want := range []string{"23.00   1.15", "13.60   1.36", "FAIL: CPU, resilient\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestReportJudgesStartup(t *testing.T) {
	var out strings.Builder
	rep := &report{w: &out}
	reportStartup(rep, &startup{
		empty: []float64{100, 900, 299}, used: []float64{300, 301, 299},
		embedded: 39_999_999, external: 25_000_000,
	})
	if want := []string{"ready, journal used", "idle, NATS external"}; !slices.Equal(rep.failed, want) {
		t.Errorf("failed %q, want %q:\n%s", rep.failed, want, out.String())
	}
}

func TestReportJudgesAdoption(t *testing.T) {
	var out strings.Builder
	rep := &report{w: &out}
	reportAdoption(rep, []adoptRow{
		// The slow look-up is the slow adoption's: 19.9 beyond it.
		{servers: 1, width: 1, lookups: []float64{100, 1, 1}, adopted: []float64{119.9, 2, 50}, duration: time.Second},
		{servers: 3, width: 1, lookups: []float64{1, 1, 1}, adopted: []float64{21, 21, 21}, duration: time.Second},
		{servers: 3, width: 32, lookups: []float64{1, 1, 1}, adopted: []float64{90, 90, 90}, duration: time.Second},
	}, &options{logged: 10, resumes: 3})
	if want := []string{"adoption, 3 nats-servers, 1"}; !slices.Equal(rep.failed, want) {
		t.Errorf("failed %q, want %q:\n%s", rep.failed, want, out.String())
	}
	if !strings.Contains(out.String(), "19.90       20") {
		t.Errorf("no difference of 19.90 in\n%s", out.String())
	}
}

func TestReportJudgesDurability(t *testing.T) {
	var out strings.Builder
	rep := &report{w: &out}
	rows := []phase{
		{name: "due", due: 3, appends: 3, stored: 3, leases: 9},
		{name: "missing", due: 3, appends: 3, stored: 2},
		{name: "late", messages: 90, late: 2, appends: 1, frames: 2, stored: 1},
		{name: "punctual", messages: 90, late: 1, appends: 1, frames: 2, stored: 1},
		{name: "unasked", messages: 90, appends: 1, stored: 1},
		{name: "tried", messages: 90, appends: 1},
	}
	for i := range rows {
		rows[i].persist = persistDefault
	}
	reportDurability(rep, rows)
	if want := []string{"journal, missing, 50ms", "journal, punctual, 50ms", "journal, unasked, 50ms", "journal, tried, 50ms"}; !slices.Equal(rep.failed, want) {
		t.Errorf("failed %q, want %q:\n%s", rep.failed, want, out.String())
	}
}

func TestParts(t *testing.T) {
	o := options{only: "cpu,adoption"}
	for name, want := range map[string]bool{"cpu": true, "adoption": true, "memory": false, "cp": false} {
		if o.wants(name) != want {
			t.Errorf("wants(%q) = %v", name, !want)
		}
	}
	if all := (options{}); !all.wants("memory") {
		t.Error("no list means all")
	}
}

func TestVerdictOfAPass(t *testing.T) {
	var out strings.Builder
	rep := &report{w: &out}
	if word := rep.judge("x", true); word != "PASS" || rep.verdict() != 0 || out.String() != "\nPASS\n" {
		t.Errorf("%s, %q", word, out.String())
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		want options
		ok   bool
	}{
		{"", options{connections: 64, messages: 100_000, rounds: 7, size: 64, sessions: 2000, logged: 10_000, watched: 8000, resumes: 300, cluster: 3}, true},
		{"-rounds 2 -quick", options{connections: 64, messages: 10_000, rounds: 2, size: 64, sessions: 200, logged: 500, watched: 500, resumes: 50, cluster: 1, quick: true}, true},
		{"-messages 10", options{}, false}, // fewer than connections
		{"-rounds 0", options{}, false},
		{"-resumes 0", options{}, false},
		{"-logged -1", options{}, false},
		{"-cluster 6", options{}, false},
		{"-only cpu,walk", options{}, false},
		{"-only cpu,", options{}, false},
		{"-size -1", options{}, false},
		{"-size x", options{}, false},
		{"words", options{}, false},
	} {
		got, err := parseOptions(strings.Fields(c.args), new(strings.Builder))
		if (err == nil) != c.ok || c.ok && got != c.want {
			t.Errorf("%q: %+v, %v", c.args, got, err)
		}
	}
}
