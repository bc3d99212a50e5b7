package heartbeat

import (
	"testing"
	"time"
)

// model is the monitor written down naively: it remembers every beat ever
// sent and every outcome, and searches them for each answer. Sequence numbers
// are 64-bit and do not wrap.
type model struct {
	cfg      *Config
	state    State
	due      time.Time
	beats    []modelBeat
	outcomes []bool
	samples  []time.Duration
	silent   int // missed beats since the peer was heard
}

type modelBeat struct {
	seq      uint64
	wall     uint64
	sent     time.Time
	gone     bool // answered, overtaken by an answer, or forgotten
	settled  bool // has an outcome, or will never have one
	heardNow bool // something was heard after it
}

func (d *model) latest() *modelBeat {
	if len(d.beats) == 0 {
		return &modelBeat{settled: true, gone: true}
	}
	return &d.beats[len(d.beats)-1]
}

func (d *model) mean() time.Duration {
	var mean time.Duration
	for i, s := range d.samples {
		if i == 0 {
			mean = s
		} else {
			mean += (s - mean) / 8
		}
	}
	return mean
}

func (d *model) interval() time.Duration {
	return d.cfg.Interval(d.mean(), naiveLoss(d.outcomes))
}

func (d *model) connected(now time.Time) {
	d.disconnected()
	d.state, d.due = StateConnected, now.Add(d.interval())
}

func (d *model) disconnected() {
	d.state, d.silent = StateDisconnected, 0
	for i := range d.beats {
		d.beats[i].gone, d.beats[i].settled = true, true
	}
}

func (d *model) heard() {
	d.latest().heardNow = true
	for range d.silent {
		d.outcomes = append(d.outcomes, true)
	}
	d.silent = 0
}

func (d *model) tick(now time.Time) Verdict {
	over := d.state == StateDisconnected || d.state == StateDisconnecting
	if over || now.Before(d.due) {
		return VerdictNone
	}
	late := now.Sub(d.due) > 500*time.Millisecond
	b := d.latest()
	if d.state == StateHandshaking {
		if late {
			d.due = now.Add(10 * time.Second)
			return VerdictNone
		}
		d.disconnected()
		return VerdictDead
	}
	if late {
		b.settled, d.silent = true, 0
		return VerdictSend
	}
	if !b.settled {
		b.settled = true
		if b.heardNow {
			d.outcomes = append(d.outcomes, true)
		} else {
			d.silent++
		}
	}
	if d.silent >= 3 || d.silent >= 1 && d.state == StateDegraded {
		d.disconnected()
		d.state = StateDisconnecting
		return VerdictDead
	}
	return VerdictSend
}

func (d *model) next(now time.Time, seq, wall uint64) {
	live := d.state == StateConnected || d.state == StateDegraded
	d.beats = append(d.beats, modelBeat{seq: seq, wall: wall, sent: now, gone: !live, settled: !live})
	for i := range d.beats[:max(0, len(d.beats)-4)] {
		d.beats[i].gone = true
	}
	if live {
		d.due = now.Add(d.interval())
	}
}

func (d *model) answer(now time.Time, seq, wall uint64) bool {
	for i := range d.beats {
		b := &d.beats[i]
		if b.seq != seq || b.wall != wall || b.gone {
			continue
		}
		d.heard()
		for j := range i + 1 {
			d.beats[j].gone = true
		}
		if i == len(d.beats)-1 && !b.settled {
			b.settled = true
			d.outcomes = append(d.outcomes, false)
		}
		if now.Sub(d.due) > 500*time.Millisecond {
			return true
		}
		took := now.Sub(b.sent)
		d.state = StateConnected
		if len(d.samples) > 0 && took > max(3*d.mean(), 10*time.Millisecond) {
			d.state = StateDegraded
		}
		d.samples = append(d.samples, took)
		return true
	}
	return false
}

// maxScript keeps the fuzzer at many short scripts rather than few long ones:
// the model's searches are quadratic.
const maxScript = 400

// FuzzMonitor drives the monitor and the model with the same script, two
// bytes a step: what happens, and a detail of it.
func FuzzMonitor(f *testing.F) {
	// Three beats missed; a late answer and then a missed beat; data between
	// the beats of a degraded link; a stall, then a resume and an old answer.
	f.Add(uint32(0), []byte("\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(^uint32(0), []byte("\x05\x00\x00\x00\x02\x0a\x03\x01\x00\x00\x02\x20\x03\x01\x00\x00\x00\x00"))
	f.Add(^uint32(1), []byte("\x05\x00\x00\x00\x02\x0a\x03\x01\x00\x00\x02\x20\x03\x01\x04\x00\x00\x00\x04\x00\x00\x00\x03\x01"))
	f.Add(uint32(7), []byte("\x05\x00\x00\x00\x00\x00\x02\xff\x03\x01\x01\x00\x07\x00\x06\x00\x05\x00\x03\x01\x03\x82"))
	// Asked three times for a beat that comes only then; a stall whose beat
	// is sent late; an answer after the judgement.
	f.Add(uint32(9), []byte("\x05\x00\x00\x00\x00\x40\x00\x40\x00\x40\x00\x00\x00\x43\x03\x01\x00\x00\x00\x40\x03\x01\x00\x00\x00\x00"))
	// An answer to the beat before the latest; a resume over a connection that
	// still looks alive, then an answer to its beat.
	f.Add(uint32(9), []byte("\x05\x00\x00\x00\x07\x00\x03\x02\x00\x00\x05\x00\x03\x01\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, first uint32, script []byte) {
		p := newPair(t, first)
		script = script[:min(len(script), maxScript)]
		for len(script) >= 2 {
			p.step(script[0]%8, script[1])
			p.compare()
			script = script[2:]
		}
	})
}

// pair is a monitor and its model, kept in step.
type pair struct {
	t     *testing.T
	m     Monitor
	d     model
	seq   uint64
	start time.Time
	now   time.Time
	// heardAt is the invariant's own record, apart from the model's.
	heardAt time.Time
}

func newPair(t *testing.T, first uint32) *pair {
	start := time.Now()
	p := &pair{t: t, start: start, now: start, seq: uint64(first) + 1<<32}
	p.m.Init(nil, start)
	p.m.seq, p.m.answered = first, first
	p.d.due = start.Add(10 * time.Second)
	return p
}

func (p *pair) step(action, detail byte) {
	switch action {
	case 0, 1: // time passes to the deadline or a little beyond, and a tick
		if deadline := p.m.Deadline(); deadline.After(p.now) {
			p.now = deadline
		}
		p.now = p.now.Add(time.Duration(detail%4) * 200 * time.Millisecond)
		p.tick(detail&0x40 == 0)
	case 2: // time passes
		p.now = p.now.Add(time.Duration(detail) * time.Duration(detail) * time.Millisecond)
	case 3: // an answer: to which beat, and whether it is forged
		p.answer(uint64(detail&7), uint64(detail>>7))
	case 4:
		p.heardAt = p.now
		p.m.Heard()
		p.d.heard()
	case 5:
		p.m.Connected(p.now)
		p.d.connected(p.now)
	case 6:
		if detail%4 == 0 { // rarely, or hardly any script would stay connected
			p.m.Disconnected()
			p.d.disconnected()
		}
	case 7:
		p.next()
	}
}

// tick compares the verdicts, and obeys one that asks for a beat if told so.
func (p *pair) tick(obey bool) {
	deadline := p.m.Deadline()
	handshaking := p.m.State() == StateHandshaking
	lastBeat := p.d.latest().sent
	got, want := p.m.Tick(p.now), p.d.tick(p.now)
	if got != want {
		p.t.Fatalf("%v: verdict %v, want %v", p.now.Sub(p.start), got, want)
	}
	switch got {
	case VerdictDead:
		if p.now.Sub(deadline) > StallSlack {
			p.t.Fatalf("death although the tick itself was %v late", p.now.Sub(deadline))
		}
		if !handshaking && p.heardAt.After(lastBeat) {
			p.t.Fatalf("death although the peer was heard %v after the last beat", p.heardAt.Sub(lastBeat))
		}
		if !p.m.Deadline().IsZero() {
			p.t.Fatal("a dead link has a deadline")
		}
	case VerdictSend:
		if !obey {
			return
		}
		p.next()
	}
	if d := p.m.Deadline(); !d.IsZero() && !d.After(p.now) {
		p.t.Fatalf("deadline %v is not after the tick at %v", d.Sub(p.start), p.now.Sub(p.start))
	}
}

func (p *pair) next() {
	p.seq++
	wall := uint64(p.now.UnixMilli())
	got := p.m.Next(p.now, wall)
	if want := (Payload{Seq: uint32(p.seq), TimeMillis: wall}); got != want {
		p.t.Fatalf("beat %+v, want %+v", got, want)
	}
	p.d.next(p.now, p.seq, wall)
}

func (p *pair) answer(back, forged uint64) {
	seq := p.seq + 1 - back // from one that was never sent to an old one
	wall := uint64(12345)
	for _, b := range p.d.beats {
		if b.seq == seq {
			wall = b.wall + forged
		}
	}
	err := p.m.Answer(p.now, Payload{Seq: uint32(seq), TimeMillis: wall})
	known := p.d.answer(p.now, seq, wall)
	if known != (err == nil) {
		p.t.Fatalf("answer to beat %d back: %v, known to the model: %v", back, err, known)
	}
	if known {
		p.heardAt = p.now
	}
}

func (p *pair) compare() {
	if p.m.State() != p.d.state {
		p.t.Fatalf("state %v, want %v", p.m.State(), p.d.state)
	}
	if got, want := p.m.Loss(), naiveLoss(p.d.outcomes); got != want {
		p.t.Fatalf("loss %v, want %v", got, want)
	}
	if got, _ := p.m.RTT(); got != p.d.mean() {
		p.t.Fatalf("mean %v, want %v", got, p.d.mean())
	}
	if p.m.state.watched() && !p.m.Deadline().Equal(p.d.due) {
		p.t.Fatalf("deadline %v, want %v", p.m.Deadline().Sub(p.start), p.d.due.Sub(p.start))
	}
}
