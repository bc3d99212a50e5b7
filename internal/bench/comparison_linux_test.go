package main

import (
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

func TestContestOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		want compareOptions
		ok   bool
	}{
		{"", compareOptions{rounds: 5, out: "docs/benchmarks"}, true},
		{"-quick", compareOptions{quick: true, rounds: 2, out: "docs/benchmarks"}, true},
		{"-quick -rounds 4 -only cpu,idle -out x", compareOptions{quick: true, rounds: 4, only: "cpu,idle", out: "x"}, true},
		{"-also proxy", compareOptions{rounds: 5, out: "docs/benchmarks", also: []string{"proxy"}}, true},
		{"-sidecar a -sidecar b -rivals resilient -loads fan-out;slow", compareOptions{rounds: 5, out: "docs/benchmarks", sidecars: []string{"a", "b"}, rivals: "resilient", loads: "fan-out;slow"}, true},
		{"-only cpu,walk", compareOptions{}, false},
		{"-only cpu,", compareOptions{}, false},
		{"-rounds -1", compareOptions{}, false},
		{"word", compareOptions{}, false},
	} {
		got, err := parseComparison(strings.Fields(c.args), new(strings.Builder))
		if (err == nil) != c.ok || c.ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v", c.args, got, err)
		}
	}
}

// testApp starts the app and whatever it needs.
func testApp(t *testing.T) (*rig.Rig, *proc.Process, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig.Rig{Starter: proc.Starter{Dir: t.TempDir()}, Ctx: t.Context(), Sidecar: self, Patience: 10 * time.Millisecond}
	up, addr, err := r.StartRole("bare-app")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Kill)
	return r, up, addr
}

// Every workload gets all its messages, from the app itself and through a
// forwarder, whose processor time is seen.
func TestContests(t *testing.T) {
	r, _, app := testApp(t)
	c, forward, err := r.StartRole("forward", "loop", app)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	for _, workload := range workloads(&compareOptions{rounds: 2}) {
		for addr, p := range map[string]*instance{app: nil, forward: {Process: c, addr: forward}} {
			workload.conns = 5
			s, err := workload.gather(addr, wire.Offer{})
			if err != nil {
				t.Fatal(err)
			}
			used, took, err := p.turn(&workload, s, 2000)
			if err != nil || took <= 0 {
				t.Errorf("%s: %v, took %v", workload.name, err, took)
			}
			if p != nil && used.total <= 0 {
				t.Errorf("%s: the forwarder used %v", workload.name, used.total)
			}
			if err := s.leave(); err != nil {
				t.Errorf("%s: %v", workload.name, err)
			}
		}
	}
}

// A loop keeps the rules of wsr.v1, which the fake checks, heartbeats in
// between included.
func TestLoopSpeaksTheProtocol(t *testing.T) {
	r, _, app := testApp(t)
	side, err := r.StartSidecar(app, r.Dir, rig.TokenKey())
	if err != nil {
		t.Fatal(err)
	}
	defer side.Kill()
	s, err := load.DialLoop(side.Addr, 3, wire.Offer{Resilient: true})
	if err != nil {
		t.Fatal(err)
	}
	beats := 0
	for _, p := range s.Clients {
		p.OnBeat = func() { beats++ }
	}
	if err := s.Trips(300, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	if beats < 300/7-3 {
		t.Errorf("%d heartbeats in 300 messages, the fake sends one in 7", beats)
	}
	if err := s.Trips(30, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Rest(2 * load.AckDelay); err != nil { // nothing is left unacknowledged
		t.Fatal(err)
	}
	for i, p := range s.Clients {
		if p.Acked != p.Received || p.Received == 0 {
			t.Errorf("peer %d: %d of %d acknowledged", i+1, p.Acked, p.Received)
		}
	}
	if err := s.Leave(); err != nil {
		t.Error(err)
	}
}

// No message is sent before it is due, and all that is sent comes back.
func TestPace(t *testing.T) {
	r, _, app := testApp(t)
	delays, err := runPace(r, app, wire.Offer{}, 50)
	if err != nil {
		t.Fatal(err)
	}
	if len(delays) != 50 {
		t.Fatalf("%d delays, want 50", len(delays))
	}
	for i, d := range delays {
		if d <= 0 {
			t.Errorf("message %d came back %v µs after it was due", i+1, d)
		}
	}
}

func TestReferenceIsTheBetterNginx(t *testing.T) {
	scores := []score{
		{rival: nginxAuto, micros: []float64{9, 5, 6}},
		{rival: nginxOne, micros: []float64{7, 1, 8}},
		{rival: sidecarPlain, micros: []float64{1, 1, 1}},
	}
	if got := reference(scores).rival; got != nginxAuto {
		t.Errorf("reference %s, want %s", got, nginxAuto)
	}
}

// Limits name workloads and rivals that there are, and rows are judged by them.
func TestPageJudges(t *testing.T) {
	names := make(map[string]bool)
	for _, rv := range rivals() {
		names[rv.name] = true
	}
	all := workloads(&compareOptions{rounds: 1})
	for _, c := range all {
		names[c.name] = true
	}
	names[opening] = true
	for _, l := range workloadLimits {
		if !names[l.workload] || !names[l.rival] {
			t.Errorf("%s, %s: nothing has these names", l.workload, l.rival)
		}
	}
	pg := new(page)
	echo := all[1]
	pg.addWorkload(&echo, []score{
		{rival: nginxAuto, micros: []float64{10, 20, 10}, rate: []float64{1}},
		{rival: nginxOne, micros: []float64{11, 22, 11}, rate: []float64{1}},
		{rival: sidecarPlain, micros: []float64{8, 18, 8}, rate: []float64{1}},
		{rival: sidecarSession, micros: []float64{11, 20, 12}, rate: []float64{1}},
		{rival: direct, rate: []float64{5}},
	})
	pg.addIdle([]idleRow{{rival: sidecarSession, resident: 2400, cpu: 0.021}}, 9000, time.Second)
	var got []string
	for _, g := range pg.goals {
		if !g.reached {
			got = append(got, g.what)
		}
		if math.IsNaN(g.got) {
			t.Errorf("%s: not a number", g.what)
		}
	}
	want := "CPU, echo 64 B, 64 connections, sidecar, resilient, auto; 9000 idle sessions, heartbeats every 15 s"
	if strings.Join(got, "; ") != want {
		t.Errorf("failed %q, want %q", got, want)
	}
	for _, part := range []string{"| 1.10 | 1.00 | 1.20 |", "| no proxy |", "PASS", "cpu.svg"} {
		if !strings.Contains(pg.markdown(), part) {
			t.Errorf("no %q in\n%s", part, pg.markdown())
		}
	}
}

func TestFamilyHasTheChildren(t *testing.T) {
	_, up, _ := testApp(t)
	pids, err := family(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, pid := range pids {
		found = found || pid == up.Pid()
	}
	if !found || pids[0] != os.Getpid() {
		t.Errorf("family %v of %d lacks %d", pids, os.Getpid(), up.Pid())
	}
}

func TestDescriptorsThatNobodyHas(t *testing.T) {
	if err := raiseDescriptors(1 << 62); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("got %v", err)
	}
}
