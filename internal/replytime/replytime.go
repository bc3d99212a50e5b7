// Package replytime learns how long an app takes to answer, from what every
// session shows: when a message was handed to the app, and when the app said
// something. Which word of the app answers which message is not known, so
// answers are matched to messages first in, first out, and the sketch counts
// how well that fits. It reads no clock; times are milliseconds of any origin.
package replytime

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Implementation limits.
const (
	// maxPaths bounds what is kept; paths beyond it share one sketch.
	maxPaths = 64

	// maxProbes is how many sessions of a path are looked at at a time.
	maxProbes = 4

	// maxTimed is how many of the messages that wait for their answers are
	// timed; of more than that only some are.
	maxTimed = 32

	// maxFollowed is how many messages a probe follows before another session
	// has its turn.
	maxFollowed = 1024

	// maxReply is the longest time to an answer that is believed, in
	// milliseconds. A message that is older is taken for one without an answer.
	maxReply = 10_000
)

// Paths are the sketches of all paths. The zero value is ready; it is safe for
// concurrent use.
type Paths struct {
	mu    sync.Mutex
	paths map[string]*Path
	rest  *Path
}

// Path returns the sketch of a path.
func (p *Paths) Path(path string) *Path {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.paths[path]; known != nil {
		return known
	}
	if len(p.paths) >= maxPaths {
		if p.rest == nil {
			p.rest = newPath()
		}
		return p.rest
	}
	if p.paths == nil {
		p.paths = make(map[string]*Path)
	}
	made := newPath()
	p.paths[path] = made
	return made
}

// Longest returns how long the slowest path's app is waited for; 0: there is none.
func (p *Paths) Longest() (longest time.Duration) {
	p.mu.Lock()
	paths := slices.Collect(maps.Values(p.paths))
	if p.rest != nil {
		paths = append(paths, p.rest)
	}
	p.mu.Unlock()
	for _, path := range paths {
		wait := LongestReply
		if e := path.Expect(); e.Known {
			wait = e.Wait
		}
		longest = max(longest, wait)
	}
	return longest
}

// A Path is what is known of the app on one path. It is safe for concurrent use.
type Path struct {
	none Probe // of sessions that are not looked at
	lent atomic.Int32

	mu     sync.Mutex
	sketch sketch
}

func newPath() *Path {
	p := new(Path)
	p.none.path = p
	return p
}

// Probe returns what a session of this path begins with. nil has one too, and
// learns nothing.
func (p *Path) Probe() *Probe {
	if p == nil {
		return nil
	}
	return &p.none
}

// Expect returns how long after the last message that it was handed the app may
// answer. nil knows nothing of the app.
func (p *Path) Expect() Expectation {
	if p == nil {
		return Expectation{Known: true, Answers: true, Sure: true}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sketch.expect()
}

// A Probe looks at one session, or, if it is the one that Path.Probe returned,
// at none. It is used by one goroutine at a time. nil looks at nothing.
type Probe struct {
	path         *Path
	asked, words uint32             // messages, and words of the app that answer one
	timed        [maxTimed]question // a ring, the oldest first
	first, n     uint32
}

type question struct {
	number uint32 // of the message
	at     uint32
	alone  bool // nothing else waited
}

// Asked notes that the app was handed n messages at a moment, the ones before
// at last; 0: there were none. It returns the probe that the session has from
// now on. Only where nothing can be under way it is known which answer is
// whose, so that is where a probe begins.
func (b *Probe) Asked(at, last uint32, n int) *Probe {
	if b == nil {
		return nil
	}
	quiet := last == 0 || at-last > maxReply
	switch {
	case b != &b.path.none && quiet:
		b.unanswered()
	case b != &b.path.none && (b.asked > maxFollowed || b.n > 0 && at-b.timed[b.first].at > maxReply):
		b.unanswered()
		return b.Release()
	case b != &b.path.none:
	case !quiet || b.path.lent.Load() >= maxProbes:
		return b
	case b.path.lent.Add(1) > maxProbes:
		b.path.lent.Add(-1)
		return b
	default:
		b = &Probe{path: b.path}
	}
	for range n {
		alone := b.asked == b.words
		b.asked++
		if b.n < maxTimed {
			b.timed[(b.first+b.n)%maxTimed] = question{b.asked, at, alone}
			b.n++
		}
	}
	b.path.add(func(k *sketch) { k.asked += n })
	return b
}

// unanswered notes that what waits will not be answered.
func (b *Probe) unanswered() {
	b.path.add(func(k *sketch) { k.unanswered += int(b.asked - b.words) })
	b.asked, b.words, b.n = 0, 0, 0
}

// Said notes that the app said something.
func (b *Probe) Said(at uint32) {
	if b == nil || b == &b.path.none {
		return
	}
	if b.words == b.asked {
		b.path.add(func(k *sketch) { k.words++; k.extra++ })
		return
	}
	b.words++
	if b.n == 0 || b.timed[b.first].number != b.words {
		b.path.add(func(k *sketch) { k.words++ })
		return
	}
	q := b.timed[b.first]
	b.first, b.n = (b.first+1)%maxTimed, b.n-1
	b.path.add(func(k *sketch) { k.answered(at-q.at, q.alone) })
}

// Answered reports whether it is known that all that the app was asked is
// answered.
func (b *Probe) Answered() bool {
	return b != nil && b != &b.path.none && b.asked == b.words && b.path.Expect().Sure
}

// Path returns the path that the probe is of.
func (b *Probe) Path() *Path {
	if b == nil {
		return nil
	}
	return b.path
}

// Release gives the probe back. It returns the one that the session has from now
// on.
func (b *Probe) Release() *Probe {
	if b == nil || b == &b.path.none {
		return b
	}
	b.path.lent.Add(-1)
	return &b.path.none
}

func (p *Path) add(fn func(*sketch)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn(&p.sketch)
	p.sketch.decay()
}

// An Expectation is what may come after a message.
type Expectation struct {
	// Wait is after how long no answer is expected any more.
	Wait time.Duration
	// Known is false while too little was seen of the app: it may take as long as
	// any. Wait then is for a session of which it is known that all is answered.
	Known bool
	// Answers is false if the app has never said anything after a message.
	Answers bool
	// Sure is false if what the app says cannot be told from its answers, so
	// that one may come later all the same.
	Sure bool
}

const (
	// minKnown is of how many messages it must be seen what comes of them
	// before an app is known.
	minKnown = 8

	// unknownWait is what an app gets that is not known yet and has answered, or
	// that says so much by itself that its answers cannot be told from the rest.
	unknownWait = time.Second

	// LongestReply is how long the answer of an app that is not known may take.
	LongestReply = maxReply * time.Millisecond

	// maxCounted is when what was counted loses half of its weight.
	maxCounted = 2000
)

// sketch is a histogram of the times to an answer, and how far they can be
// relied upon.
type sketch struct {
	all, alone        histogram
	asked, unanswered int // messages, and those known to have no answer
	words, extra      int // of the app, and those that answer nothing
}

func (k *sketch) answered(ms uint32, alone bool) {
	k.words++
	if ms > maxReply {
		k.unanswered++
		k.extra++
		return
	}
	k.all.add(ms)
	if alone {
		k.alone.add(ms)
	}
}

func (k *sketch) decay() {
	if k.asked+k.words < maxCounted {
		return
	}
	k.all.halve()
	k.alone.halve()
	k.asked, k.unanswered, k.words, k.extra = k.asked/2, k.unanswered/2, k.words/2, k.extra/2
}

// expect is the 99th percentile with a margin of a half. Where the app does not
// answer each message with one, only messages before which nothing waited tell
// something: what comes next is their answer, or something else that comes
// sooner, so for an app that says little by itself it is right.
func (k *sketch) expect() Expectation {
	rarely := func(n, of int) bool { return n*10 <= of }
	margin := func(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond * 3 / 2 }
	e := Expectation{Known: true, Answers: k.all.n > 0, Sure: true}
	switch {
	case k.words+k.unanswered < minKnown:
		e.Known, e.Answers = false, true
		e.Wait = max(unknownWait, margin(k.all.percentile()))
	case rarely(k.extra, k.words) && rarely(k.unanswered, k.asked):
		e.Wait = margin(k.all.percentile())
	case k.extra*2 <= k.words:
		e.Wait = margin(k.alone.percentile())
	default:
		e.Wait, e.Sure = max(unknownWait, margin(k.alone.percentile())), false
	}
	return e
}
