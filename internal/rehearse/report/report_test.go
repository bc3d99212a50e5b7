package report

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// example is a run that has everything, with text that wants to be markup.
func example() *Run {
	var live tally.Live
	r := &Run{
		Title: "A <b>run</b> & more", Command: "rehearse", Target: "ws://h/", Profile: "echo", Began: time.Unix(1e9, 0), Seed: 3,
		Environment: [][2]string{{"kernel", "6.1 | <x>"}}, Calm: time.Second, End: 4 * time.Second, Late: time.Second,
		Spans: []Span{{"wsr_resume_seconds", FromMetrics, 7, 12.5, 3}}, Notes: []string{"the machine was busy"},
		Reasons: map[string]int{"plain: refused": 2},
		Verdicts: []tally.Verdict{
			{Objective: "lost<=0", Side: "resilient", Got: "0", Met: true},
			{Objective: "plain.lost<=0", Side: "plain", Got: "5"},
		},
		Faults: []Fault{{At: 2 * time.Second, For: time.Second, Text: "hook -- <script>", Failure: "exit status 1", Output: "no \x01 pod"}},
	}
	for side := range tally.Sides {
		c := tally.NewClient(int(side), side, &live)
		c.Up(0, tally.First, 0)
		c.Due(time.Second/2, true)
		c.Due(time.Second*5/2, true)
		c.Answered(time.Second, 0)
		clients := []*tally.Client{c}
		r.Sides = append(r.Sides, tally.Summarise(side, clients, tally.Frame{Calm: r.Calm, End: r.End, Late: r.Late}))
		r.Series = append(r.Series, tally.Series(side, clients, r.End))
		r.Oddities = append(r.Oddities, tally.Oddities(side, clients, r.Late))
		r.Faults[0].Effects = append(r.Faults[0].Effects, tally.EffectOf(side, clients, r.Faults[0].At, r.End))
	}
	return r
}

func TestFiles(t *testing.T) {
	dir, r := filepath.Join(t.TempDir(), "not", "there"), example()
	former := example()
	former.Title = "The one before"
	if err := r.Write(dir, former); err != nil {
		t.Fatal(err)
	}
	for file, parts := range map[string][]string{
		"report.md":     {"# A <b>run</b> & more", "FAIL: 1 of 2 objectives are missed.", "the machine was busy", "1. hook -- <script> could not be done", `6.1 \| <x>`, "(latency.svg)", "The one before", "| wsr_resume_seconds | metrics | 7 | 12.5 ms | 3.00 ms |"},
		"report.html":   {"<title>A &lt;b&gt;run&lt;/b&gt; &amp; more</title>", `class="verdict bad"`, "hook -- &lt;script&gt;", "prefers-color-scheme:dark", "@media print"},
		"junit.xml":     {`tests="3" failures="2"`, `message="measured 5"`},
		"run.jsonl":     {`{"run":{`, `{"plain":{`, `{"resilient":{`, `{"plain client":{"what":"lost","client":0,"n":1,"at":2500}}`},
		"connected.svg": {"<svg"}, "latency.svg": {"resilient P99"}, "lost.svg": {"<title>hook"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s: no %s in\n%s", file, part, text)
			}
		}
		if strings.HasSuffix(file, ".html") && (strings.Contains(string(text), "<script") || strings.Contains(string(text), "src=") || strings.Contains(string(text), "href=")) {
			t.Errorf("the page needs something from elsewhere:\n%s", text)
		}
		if strings.HasSuffix(file, ".svg") || strings.HasSuffix(file, ".xml") {
			wellFormed(t, file, string(text))
		}
	}
	again, err := Read(dir)
	if err != nil || again.Title != r.Title || again.Sides[1].Lost != 1 || again.Verdict() != r.Verdict() {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

func wellFormed(t *testing.T, name, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, text)
		}
	}
}

// What is rounded does not look like all of it.
func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{1: "100 %", 0.99999: "99.99 %", 0.5: "50 %", 0.99201: "99.2 %", 0: "0 %"} {
		if got := Percent(share); got != want {
			t.Errorf("%v: %s, want %s", share, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	r := example()
	r.Verdicts = r.Verdicts[:1]
	if r.Met() || r.Verdict() != "FAIL: 1 of 1 faults could not be done" {
		t.Error(r.Verdict())
	}
	r.Faults[0].Failure = ""
	if !r.Met() || r.Verdict() != "PASS: all 1 objectives are met" {
		t.Error(r.Verdict())
	}
}
