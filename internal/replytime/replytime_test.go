package replytime

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A play is what sessions do on one path.
type play struct {
	every, reply, jitter uint32 // a message each, and its answer after that; 0: no answer
	ticks                uint32 // the app says something by itself that often; 0: never
	silent               int    // of 10 messages that many have no answer
	sessions, messages   int
}

type happening struct {
	at  uint32
	ask bool
}

func (p *play) run(path *Path, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range p.sessions {
		var list []happening
		start, latest := 1+r.Uint32N(1000), uint32(0)
		for i := range p.messages {
			at := start + uint32(i)*p.every
			list = append(list, happening{at, true})
			if p.reply == 0 || r.IntN(10) < p.silent {
				continue
			}
			latest = max(latest, at+p.reply+r.Uint32N(p.jitter+1)) // answers keep their order
			list = append(list, happening{latest, false})
		}
		for at := start; p.ticks > 0 && at < start+uint32(p.messages)*p.every; at += p.ticks {
			list = append(list, happening{at, false})
		}
		slices.SortStableFunc(list, func(a, b happening) int { return int(a.at) - int(b.at) })
		probe, last := path.Probe(), uint32(0)
		for _, h := range list {
			if h.ask {
				probe = probe.Asked(h.at, last, 1)
				last = h.at
			} else {
				probe.Said(h.at)
			}
		}
		probe.Release()
	}
}

// The slowest path counts, and one of which nothing is known as if it took as long
// as any.
func TestLongest(t *testing.T) {
	var paths Paths
	if got := paths.Longest(); got != 0 {
		t.Errorf("without a path: %v", got)
	}
	for _, reply := range []uint32{10, 300, 50} {
		p := play{every: 500, reply: reply, sessions: 3, messages: 20}
		p.run(paths.Path(fmt.Sprint(reply)), 1)
	}
	if got := paths.Longest(); got < 450*time.Millisecond || got > 600*time.Millisecond {
		t.Errorf("%v, want 300ms and half of it", got)
	}
	paths.Path("new")
	if got := paths.Longest(); got != LongestReply {
		t.Errorf("%v, want %v", got, LongestReply)
	}
}

// What is expected of each kind of app, at least and at most.
func TestExpectation(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tc := range []struct {
		name        string
		play        play
		least, most time.Duration
		sure        bool
	}{
		{"nothing is known", play{}, unknownWait, unknownWait, true},
		{"answers at once", play{every: 200, reply: 1, sessions: 5, messages: 20}, 0, ms(5), true},
		{"answers before the next", play{every: 200, reply: 50, jitter: 5, sessions: 5, messages: 50}, ms(75), ms(105), true},
		{"two are under way", play{every: 200, reply: 300, jitter: 20, sessions: 5, messages: 50}, ms(450), ms(600), true},
		{"ten are under way", play{every: 200, reply: 2000, sessions: 5, messages: 50}, ms(3000), ms(3900), true},
		{"more are under way than are timed", play{every: 10, reply: 500, sessions: 9, messages: 200}, ms(750), ms(1000), true},
		{"nothing has come yet", play{every: 100, sessions: 5, messages: 50}, unknownWait, unknownWait, true},
		{"never answers", play{every: 100, sessions: 5, messages: 150}, 0, 0, true},
		{"a part has no answer", play{every: 12_000, reply: 50, silent: 5, sessions: 5, messages: 50}, ms(75), ms(105), true},
		{"a word of its own at times", play{every: 1000, reply: 50, ticks: 3000, sessions: 5, messages: 50}, ms(75), ms(105), true},
		{"streams", play{every: 200, reply: 300, ticks: 50, sessions: 5, messages: 50}, unknownWait, unknownWait, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := new(Paths).Path("/")
			tc.play.run(path, 1)
			got := path.Expect()
			if got.Wait < tc.least || got.Wait > tc.most || got.Sure != tc.sure {
				t.Errorf("%v sure %v, want %v to %v, sure %v; %+v", got.Wait, got.Sure, tc.least, tc.most, tc.sure, counts(path))
			}
			if n := path.lent.Load(); n != 0 {
				t.Errorf("%d probes were not given back", n)
			}
		})
	}
}

func counts(p *Path) [4]int {
	return [4]int{p.sketch.asked, p.sketch.unanswered, p.sketch.words, p.sketch.extra}
}

// An app that has become slower is known for it, and one that has become faster
// too.
func TestExpectationFollows(t *testing.T) {
	path := new(Paths).Path("/")
	expect := func(least, most time.Duration) {
		t.Helper()
		if got := path.Expect(); got.Wait < least || got.Wait > most || !got.Sure {
			t.Errorf("%+v, want %v to %v", got, least, most)
		}
	}
	fast := play{every: 500, reply: 20, sessions: 10, messages: 100}
	fast.run(path, 1)
	expect(30*time.Millisecond, 45*time.Millisecond)
	slow := play{every: 500, reply: 400, sessions: 1, messages: 60}
	slow.run(path, 2)
	expect(600*time.Millisecond, 720*time.Millisecond)
	fast.sessions = 100
	fast.run(path, 3)
	expect(30*time.Millisecond, 45*time.Millisecond)
}

// Few sessions are looked at at a time, and none that is in the middle of
// something.
func TestProbesAreLent(t *testing.T) {
	path := new(Paths).Path("/")
	none := path.Probe()
	if b := none.Asked(5000, 4000, 1); b != none {
		t.Error("a session with something under way is looked at")
	}
	var lent []*Probe
	for range maxProbes {
		b := none.Asked(1, 0, 1)
		if b == none {
			t.Fatal("a session that begins is not looked at")
		}
		lent = append(lent, b)
	}
	if b := none.Asked(1, 0, 1); b != none {
		t.Errorf("more than %d are looked at", maxProbes)
	}
	for _, b := range lent {
		if b.Release() != none {
			t.Error("what remains after a release is not the path's own")
		}
	}
	b := none.Asked(1, 0, 1)
	if b == none {
		t.Error("nobody is looked at any more")
	}
	for i := range uint32(maxReply + 1) {
		b = b.Asked(2+i, 1+i, 1)
	}
	if b != none {
		t.Error("an app that does not answer is looked at for ever")
	}
	var nothing *Path
	nothing.Probe().Asked(1, 0, 1).Said(2)
	nothing.Probe().Release()
}

// Paths beyond the limit share one sketch.
func TestPathsAreBounded(t *testing.T) {
	var paths Paths
	for i := range maxPaths {
		paths.Path(string(rune('a' + i)))
	}
	if paths.Path("one") != paths.Path("another") || paths.Path("a") == paths.Path("b") || len(paths.paths) != maxPaths {
		t.Error("paths are not bounded, or not told apart")
	}
}

// Every bucket ends where the next one begins.
func TestBuckets(t *testing.T) {
	for ms := range uint32(maxReply + 1) {
		i := bucket(ms)
		if ms > limit(i) || i > 0 && ms <= limit(i-1) {
			t.Fatalf("%d ms is in bucket %d, of %d to %d", ms, i, limit(i-1)+1, limit(i))
		}
	}
	if limit(bucket(maxReply)) > maxReply*5/4 {
		t.Errorf("the last bucket reaches to %d", limit(bucket(maxReply)))
	}
}
