package tally

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// account plays a client that was connected at 0 and lost its connection for a
// while: of eight messages one came twice, one too late, one out of order, one
// never, and one was never sent.
func account(side Side, live *Live) *Client {
	c := NewClient(3, side, live)
	c.Up(0, Reconnect, 0)
	for n := range 8 {
		c.Due(time.Duration(n)*100*ms, n != 7)
		if n != 6 {
			c.Sent(n)
		}
	}
	c.Answered(10*ms, 0)
	c.Answered(11*ms, 0)
	c.Answered(1700*ms, 1)
	c.Answered(1710*ms, 3)
	c.Answered(1720*ms, 2)
	c.Answered(1730*ms, 4)
	c.Answered(1740*ms, 99)
	c.Down(500 * ms)
	c.Up(1500*ms, Resumed, time.Second)
	return c
}

func TestSummary(t *testing.T) {
	var live Live
	c := account(Resilient, &live)
	f := Frame{Calm: 150 * ms, End: 2 * time.Second, Late: 1500 * ms}
	s := Summarise(Resilient, []*Client{c, NewClient(4, Plain, &live)}, f)
	got := [...]int{s.Clients, s.Due, s.Sent, s.Judged, s.Answered, s.Lost, s.Unsent, s.Doubled, s.Reordered, s.Late, s.Foreign, s.Breaks, s.Resumed, s.SessionsLost, s.Kept}
	want := [...]int{1, 8, 7, 7, 5, 2, 1, 1, 1, 2, 1, 1, 1, 0, 1}
	if got != want {
		t.Errorf("counts %v, want %v", got, want)
	}
	if s.Retention != 1 || s.Connected != 0.5 || s.Away.N != 1 || s.Away.Max != 1000 {
		t.Errorf("retention %v, connected %v, away %+v", s.Retention, s.Connected, s.Away)
	}
	if s.Baseline.N != 2 || s.Baseline.Max != 1600 || s.Whole.N != 5 || s.Whole.P50 != 1410 {
		t.Errorf("baseline %+v, whole %+v", s.Baseline, s.Whole)
	}
	if live.Up.Load() != 1 || live.Answered.Load() != 5 || live.Due.Load() != 8 {
		t.Errorf("live: up %d, answered %d, due %d", live.Up.Load(), live.Answered.Load(), live.Due.Load())
	}
	if !c.Waiting() {
		t.Error("nothing is awaited, with two messages unanswered")
	}
}

// Where the app may answer in any order, none is wrong.
func TestUnordered(t *testing.T) {
	var live Live
	c := NewClient(0, Plain, &live)
	c.Unordered = true
	for range 3 {
		c.Due(0, true)
	}
	c.Answered(ms, 2)
	c.Answered(ms, 0)
	if s := Summarise(Plain, []*Client{c}, Frame{End: time.Second}); s.Reordered != 0 || s.Answered != 2 {
		t.Errorf("%+v", s)
	}
}

// A client that lost what the app knew of it does not count as kept, even if it
// is connected again.
func TestRetention(t *testing.T) {
	var live Live
	c := NewClient(0, Plain, &live)
	c.Up(0, Reconnect, 0)
	c.Lost(time.Second, "1012")
	c.Up(3*time.Second, Reconnect, 0)
	s := Summarise(Plain, []*Client{c}, Frame{End: 4 * time.Second})
	if s.Retention != 0 || s.SessionsLost != 1 || s.Ends["1012"] != 1 || s.Breaks != 1 || s.Connected != 0.5 || s.Away.Max != 2000 {
		t.Errorf("%+v", s)
	}
	e := EffectOf(Plain, []*Client{c}, 500*ms, 2*time.Second)
	if e.Breaks != 1 || e.Back.N != 1 || e.Lost != 0 {
		t.Errorf("effect %+v", e)
	}
}

func TestPushes(t *testing.T) {
	var live Live
	c := NewClient(0, Plain, &live)
	for _, n := range []int64{10, 11, 14, 12, 14, 15, 9} { // 13 never comes; 9 was before the first
		c.Pushed("", n)
	}
	c.Pushed("other", 1)
	s := Summarise(Plain, []*Client{c}, Frame{})
	if want := (Count{Sent: 7, Got: 6, Lost: 1, Doubled: 1, Reordered: 1}); s.Pushes != want {
		t.Errorf("%+v, want %+v", s.Pushes, want)
	}
	c.Renumbered()
	c.Pushed("", 1)
	s = Summarise(Plain, []*Client{c}, Frame{})
	if want := (Count{Sent: 8, Got: 7, Lost: 1, Doubled: 1, Reordered: 1}); s.Pushes != want {
		t.Errorf("on another socket: %+v, want %+v", s.Pushes, want)
	}
}

// What comes after a restart is judged by itself, and an answer to what was asked
// before it is not expected any more.
func TestRestart(t *testing.T) {
	var live Live
	c := account(Resilient, &live)
	c.Lost(1900*ms, Cut)
	c.Up(1950*ms, Reconnect, 0)
	c.Restart(2 * time.Second)
	s := Summarise(Resilient, []*Client{c}, Frame{End: 3 * time.Second})
	if s.Due+s.Lost+s.Doubled+s.Reordered+s.Foreign+s.Breaks+s.SessionsLost+s.Away.N != 0 || s.Kept != 1 || s.Connected != 1 || c.Waiting() {
		t.Errorf("at once: %+v", s)
	}
	n := c.Due(2100*ms, true)
	c.Sent(n)
	c.Sent(5) // of before, and told late
	c.Answered(2110*ms, 5)
	c.Answered(2120*ms, n)
	c.Down(2500 * ms)
	c.Adopted(2600*ms, "drained", 0)
	s = Summarise(Resilient, []*Client{c}, Frame{End: 3 * time.Second})
	if s.Due != 1 || s.Sent != 1 || s.Answered != 1 || s.Foreign != 1 || s.Reordered != 0 || s.AdoptedBy["drained"] != 1 || s.Longest.Max != 20 || n != 8 {
		t.Errorf("then: %+v, number %d", s, n)
	}
}

// A fault counts for whoever had to come back after it.
func TestFelt(t *testing.T) {
	c := NewClient(0, Resilient, new(Live))
	c.Up(0, First, 0)
	for _, at := range []time.Duration{100, 200, 1700, 1800, 3900, 4000} {
		c.Heard(at * ms)
	}
	c.Answered(1700*ms, c.Due(300*ms, true))
	c.Answered(1750*ms, c.Due(1740*ms, true))
	c.Down(1000 * ms)
	c.Up(1600*ms, Resumed, 600*ms)
	got := c.Felt([]time.Duration{900 * ms, 2000 * ms, 5000 * ms})
	if want := (Felt{Wait: 1400 * ms, Gap: 1500 * ms}); len(got) != 1 || got[0] != want {
		t.Errorf("felt %v, want %v", got, want)
	}
}

func TestSeries(t *testing.T) {
	var live Live
	got := Series(Resilient, []*Client{account(Resilient, &live)}, 2*time.Second)
	if len(got) != 2 || got[0].Due != 8 || got[0].Lost != 2 || got[0].Up != 0 || got[1].Up != 1 || got[0].P50 != 1410 {
		t.Errorf("%+v", got)
	}
}

func TestObjectives(t *testing.T) {
	sides := []Summary{
		{Side: "plain", Clients: 2, Judged: 100, Lost: 10, Retention: 0.5},
		{Side: "resilient", Clients: 2, Judged: 100, Retention: 0.999, Whole: Latency{P99: 950}},
	}
	for _, tt := range []struct {
		text string
		met  bool
		got  string
	}{
		{"lost<=0", true, "0"},
		{"plain.lost<=0", false, "10"},
		{"plain.lost.share <= 10%", true, "10 %"},
		{"retention>=99%", true, "99.9 %"},
		{"retention>=0.9995", false, "99.9 %"},
		{"p99<=900ms", false, "950 ms"},
		{"p99<=1s", true, "950 ms"},
	} {
		o, err := ParseObjective(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if v := Judge([]Objective{o}, sides)[0]; v.Met != tt.met || v.Got != tt.got {
			t.Errorf("%s: met %t, measured %q; want %t, %q", tt.text, v.Met, v.Got, tt.met, tt.got)
		}
	}
	// With nobody to measure, nothing is met.
	o, _ := ParseObjective("resilient.lost<=0")
	if Judge([]Objective{o}, sides[:1])[0].Met {
		t.Error("met without such clients")
	}
	for _, text := range []string{"", "lost", "lost<0", "lots<=0", "p99<=9", "retention>=all", "lost<=-1", "lost<=NaN"} {
		if _, err := ParseObjective(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range Defaults {
		if _, err := ParseObjective(text); err != nil {
			t.Error(err)
		}
	}
}

// What went wrong is named one by one.
func TestOddities(t *testing.T) {
	var live Live
	var got []string
	for _, o := range Oddities(Resilient, []*Client{account(Resilient, &live)}, 1500*ms) {
		got = append(got, fmt.Sprint(o.What, o.N))
	}
	if want := "doubled0 late1 late2 lost5 lost6 away0"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}
