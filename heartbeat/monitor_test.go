package heartbeat

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Each scene is a screenplay: when, who does what, what comes of it, and the
// state and the deadline ("-" is never) that the monitor shows then. A tick
// that says send is followed by Next at the same instant; ask is a tick whose
// verdict is not obeyed. Interval and RTT
// are the defaults: 5 s, three misses, 10 s for the handshake.
var scenes = []struct{ name, script string }{
	{"a calm link", `
		0s      init           ok      HANDSHAKING    10s
		50ms    connected      ok      CONNECTED      5.05s
		5s      tick           none    CONNECTED      5.05s
		5.05s   tick           send    CONNECTED      10.05s
		5.13s   answer:1       ok      CONNECTED      10.05s
		10.05s  tick           send    CONNECTED      15.05s
		10.1s   answer:2       ok      CONNECTED      15.05s
		15.05s  disconnected   ok      DISCONNECTED   -
		20s     tick           none    DISCONNECTED   -`},
	{"a slow link is asked less often", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.2s    answer:1       ok      CONNECTED      10s
		10s     tick           send    CONNECTED      20s`},
	{"the handshake takes too long", `
		0s      init           ok      HANDSHAKING    10s
		9.999s  tick           none    HANDSHAKING    10s
		10s     tick           dead    DISCONNECTED   -
		11s     tick           none    DISCONNECTED   -`},
	{"three missed beats are death, and the silence does not stretch the interval", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		15s     tick           send    CONNECTED      20s
		20s     tick           dead    DISCONNECTING  -
		20s     tick           none    DISCONNECTING  -
		20.1s   answer:3       unknown DISCONNECTING  -
		20.1s   heard          ok      DISCONNECTING  -
		20.2s   disconnected   ok      DISCONNECTED   -`},
	{"an answer after two missed beats starts the count anew, and the misses become loss", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		15s     tick           send    CONNECTED      20s
		15.1s   answer:3       ok      CONNECTED      20s
		20s     tick           send    CONNECTED      31.667s
		31.667s tick           send    CONNECTED      43.334s
		43.334s tick           send    CONNECTED      55.001s
		55.001s tick           dead    DISCONNECTING  -`},
	{"a late answer degrades, one in time recovers", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.1s    answer:1       ok      CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		10.3s   answer:2       ok      CONNECTED      15s
		15s     tick           send    CONNECTED      21.25s
		15.4s   answer:3       ok      DEGRADED       21.25s
		21.25s  tick           send    DEGRADED       29.219s
		21.35s  answer:4       ok      CONNECTED      29.219s`},
	{"in a degraded link one missed beat is death", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.08s   answer:1       ok      CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		10.241s answer:2       ok      DEGRADED       15s
		15s     tick           send    DEGRADED       20.006s
		20.006s tick           dead    DISCONNECTING  -`},
	{"F23: a beat queued behind slow data is lost time, not death, and data is not health", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.08s   answer:1       ok      CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		10.241s answer:2       ok      DEGRADED       15s
		15s     tick           send    DEGRADED       20.006s
		16s     heard          ok      DEGRADED       20.006s
		20.006s tick           send    DEGRADED       28.35s
		28.3s   heard          ok      DEGRADED       28.35s
		28.35s  tick           send    DEGRADED       38.363s
		38.363s tick           dead    DISCONNECTING  -`},
	{"what was heard before the beat does not vouch for it", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		4.999s  heard          ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		15s     tick           send    CONNECTED      20s
		20s     tick           dead    DISCONNECTING  -`},
	{"a stalled process gives no verdict of death", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		15s     tick           send    CONNECTED      20s
		20.501s tick           send    CONNECTED      25.501s
		25.501s tick           send    CONNECTED      30.501s
		30.501s tick           send    CONNECTED      35.501s
		36.001s tick           dead    DISCONNECTING  -`},
	{"after a stall a degraded link starts afresh too: the delay is the process's own", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.08s   answer:1       ok      CONNECTED      10s
		10s     tick           send    CONNECTED      15s
		75s     answer:2       ok      CONNECTED      15s
		75s     tick           send    CONNECTED      80s
		80s     tick           send    CONNECTED      85s
		80.3s   answer:4       ok      DEGRADED       85s
		95s     tick           send    DEGRADED       103.063s`},
	{"a stalled handshake gets its time again", `
		0s      init           ok      HANDSHAKING    10s
		10.501s tick           none    HANDSHAKING    20.501s
		20.501s tick           dead    DISCONNECTED   -`},
	{"a resume forgets the old beats and keeps the round-trip time", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.2s    answer:1       ok      CONNECTED      10s
		10s     tick           send    CONNECTED      20s
		11s     disconnected   ok      DISCONNECTED   -
		12s     answer:2       unknown DISCONNECTED   -
		60s     connected      ok      CONNECTED      70s
		60s     answer:2       unknown CONNECTED      70s
		70s     tick           send    CONNECTED      80s
		70.2s   answer:3       ok      CONNECTED      80s`},
	{"a resume leads out of every other state", `
		0s      init           ok      HANDSHAKING    10s
		10s     tick           dead    DISCONNECTED   -
		11s     connected      ok      CONNECTED      16s
		16s     tick           send    CONNECTED      21s
		16.01s  answer:1       ok      CONNECTED      21s
		21s     tick           send    CONNECTED      26s
		21.5s   answer:2       ok      DEGRADED       26s
		22s     connected      ok      CONNECTED      27s
		27s     tick           send    CONNECTED      32s
		32s     tick           send    CONNECTED      37s
		37s     tick           send    CONNECTED      42s
		42s     tick           dead    DISCONNECTING  -
		43s     connected      ok      CONNECTED      48s`},
	{"an answer is taken once, unchanged, in order, and only while it is remembered", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		0s      answer:0       unknown CONNECTED      5s
		0s      answer:1       unknown CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.01s   forged:1       unknown CONNECTED      10s
		5.02s   answer:1       ok      CONNECTED      10s
		5.03s   answer:1       unknown CONNECTED      10s
		5.03s   answer:2       unknown CONNECTED      10s
		6s      probe          ok      CONNECTED      11s
		6s      probe          ok      CONNECTED      11s
		6.02s   answer:3       ok      CONNECTED      11s
		6.02s   answer:2       unknown CONNECTED      11s
		7s      probe          ok      CONNECTED      12s
		7s      probe          ok      CONNECTED      12s
		7s      probe          ok      CONNECTED      12s
		7s      probe          ok      CONNECTED      12s
		7s      probe          ok      CONNECTED      12s
		7.02s   answer:4       unknown CONNECTED      12s
		7.02s   answer:5       ok      CONNECTED      12s
		7.02s   answer:8       ok      CONNECTED      12s`},
	{"a resume while the old connection still looks alive forgets its beats too", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		6s      connected      ok      CONNECTED      11s
		6.1s    answer:1       unknown CONNECTED      11s
		11s     tick           send    CONNECTED      16s`},
	{"an answer settles its own beat only", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		5.01s   probe          ok      CONNECTED      10.01s
		5.05s   answer:1       ok      CONNECTED      10.01s
		10.01s  tick           send    CONNECTED      24.91s`},
	{"a beat is judged once, however often the next is asked for", `
		0s      init           ok      HANDSHAKING    10s
		0s      connected      ok      CONNECTED      5s
		5s      tick           send    CONNECTED      10s
		10s     ask            send    CONNECTED      10s
		10.1s   ask            send    CONNECTED      10s
		10.2s   ask            send    CONNECTED      10s
		10.3s   tick           send    CONNECTED      15.3s
		15.3s   tick           send    CONNECTED      20.3s
		20.3s   tick           dead    DISCONNECTING  -`},
	{"a probe without a link is not waited for", `
		0s      init           ok      HANDSHAKING    10s
		1s      probe          ok      HANDSHAKING    10s
		1.1s    answer:1       unknown HANDSHAKING    10s
		2s      connected      ok      CONNECTED      7s
		7s      tick           send    CONNECTED      12s
		7.1s    answer:2       ok      CONNECTED      12s`},
}

// The counter starts at different places so that every scene also plays
// across the wrap of uint32.
func TestScenes(t *testing.T) {
	for _, before := range []uint32{0, 1<<32 - 1, 1<<32 - 2, 1<<31 - 1} {
		for _, scene := range scenes {
			t.Run(fmt.Sprintf("%s, after seq %d", scene.name, before), func(t *testing.T) {
				s := stage{first: before, start: time.Now(), sent: map[uint32]Payload{}}
				for line := range strings.Lines(scene.script) {
					if f := strings.Fields(line); len(f) == 5 {
						s.play(t, f)
					} else if len(f) != 0 {
						t.Fatalf("line %q: want five columns", line)
					}
				}
			})
		}
	}
}

// stage is what a scene plays on.
type stage struct {
	m     Monitor
	first uint32
	start time.Time
	now   time.Time
	sent  map[uint32]Payload
}

// play acts one line out and compares what comes of it.
func (s *stage) play(t *testing.T, f []string) {
	t.Helper()
	at, err := time.ParseDuration(f[0])
	if err != nil {
		t.Fatal(err)
	}
	s.now = s.start.Add(at)
	outcome := s.act(t, f[1])
	deadline := "-"
	if d := s.m.Deadline(); !d.IsZero() {
		deadline = strconv.FormatFloat(d.Sub(s.start).Seconds(), 'f', -1, 64) + "s"
	}
	got := []string{f[0], f[1], outcome, s.m.State().String(), deadline}
	if g, w := strings.Join(got, " "), strings.Join(f, " "); g != w {
		t.Fatalf("got  %s\nwant %s", g, w)
	}
}

// act does what one verb says and returns its outcome.
func (s *stage) act(t *testing.T, action string) string {
	t.Helper()
	verb, arg, _ := strings.Cut(action, ":")
	switch verb {
	case "init":
		s.m.Init(nil, s.now)
		s.m.seq, s.m.answered = s.first, s.first
	case "connected":
		s.m.Connected(s.now)
	case "disconnected":
		s.m.Disconnected()
	case "heard":
		s.m.Heard()
	case "probe":
		s.next()
	case "tick", "ask":
		verdict := s.m.Tick(s.now)
		if verdict == VerdictSend && verb == "tick" {
			s.next()
		}
		return [...]string{"none", "send", "dead"}[verdict]
	case "answer", "forged":
		n, err := strconv.ParseUint(arg, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		p := Payload{Seq: s.first + uint32(n), TimeMillis: s.sent[s.first+uint32(n)].TimeMillis}
		if verb == "forged" {
			p.TimeMillis++
		}
		switch err := s.m.Answer(s.now, p); {
		case errors.Is(err, ErrUnknown):
			return "unknown"
		case err != nil:
			return err.Error()
		}
	default:
		t.Fatalf("unknown verb %q", verb)
	}
	return "ok"
}

func (s *stage) next() {
	p := s.m.Next(s.now, uint64(s.now.UnixMilli()))
	s.sent[p.Seq] = p
}

func TestMonitorMeasures(t *testing.T) {
	now := time.Now()
	var m Monitor
	m.Init(&Config{Base: 2 * time.Second, HandshakeTimeout: time.Minute}, now)
	if want := now.Add(time.Minute); !m.Deadline().Equal(want) {
		t.Errorf("handshake deadline %v, want %v", m.Deadline(), want)
	}
	m.Connected(now)
	for _, rtt := range []time.Duration{20 * ms, 60 * ms} {
		now = m.Deadline()
		if v := m.Tick(now); v != VerdictSend {
			t.Fatalf("verdict %v at the deadline, want send", v)
		}
		if err := m.Answer(now.Add(rtt), m.Next(now, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if mean, deviation := m.RTT(); mean != 25*ms || deviation != 20*ms {
		t.Errorf("mean %v deviation %v, want 25ms and 20ms", mean, deviation)
	}
	if m.Loss() != 0 || m.Interval() != 2*time.Second {
		t.Errorf("loss %v interval %v, want 0 and 2s", m.Loss(), m.Interval())
	}
	due := m.Deadline()
	m.Configure(now, &Config{Base: 3 * time.Second})
	if m.Interval() != 3*time.Second || m.Deadline() != due {
		t.Errorf("interval %v after the reload, the beat moved by %v; want 3s, and the beat where it was", m.Interval(), m.Deadline().Sub(due))
	}
	now = now.Add(500 * ms)
	m.Configure(now, &Config{Base: time.Second})
	if want := now.Add(time.Second); m.Deadline() != want {
		t.Errorf("with a shorter interval the beat is due %v after it, want then", m.Deadline().Sub(want))
	}
}

// A link without a beat to send has none after a change of its settings either.
func TestConfigureWithoutLink(t *testing.T) {
	now := time.Now()
	var m Monitor
	m.Init(nil, now)
	due := m.Deadline()
	m.Configure(now, &Config{Base: time.Second})
	if m.Deadline() != due {
		t.Errorf("the handshake's deadline moved by %v", m.Deadline().Sub(due))
	}
	m.Disconnected()
	m.Configure(now, &Config{Base: time.Second})
	if !m.Deadline().IsZero() {
		t.Errorf("a beat is due at %v without a link", m.Deadline())
	}
}

// Slots that were never filled must not pass for beats: a peer can guess their
// timestamp.
func TestNoLinkNoAnswer(t *testing.T) {
	now := time.Now()
	var m Monitor
	m.Init(nil, now)
	p := m.Next(now, 0)
	if err := m.Answer(now, p); !errors.Is(err, ErrUnknown) {
		t.Errorf("an answer while handshaking: %v, want ErrUnknown", err)
	}
	if m.State() != StateHandshaking {
		t.Errorf("state %v, want HANDSHAKING", m.State())
	}
}

// It lives in every session, so its size is part of the memory goal.
func TestMonitorIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Monitor{}); size > 192 {
		t.Errorf("a Monitor takes %d bytes, at most 192 are allowed", size)
	}
}

func TestMonitorAllocatesNothing(t *testing.T) {
	var m Monitor
	var seen Newest
	now := time.Now()
	cfg := &Config{Base: 4 * time.Second}
	m.Init(cfg, now)
	m.Connected(now)
	allocs := testing.AllocsPerRun(1000, func() {
		now = m.Deadline()
		if m.Tick(now) != VerdictSend {
			t.Fatal("no beat at the deadline")
		}
		p := m.Next(now, 1)
		if seen.Accept(p) != nil || seen.Accept(p) == nil {
			t.Fatal("the receiver's check is wrong")
		}
		m.Heard()
		now = now.Add(10 * ms)
		if m.Answer(now, p) != nil || m.Answer(now, p) == nil {
			t.Fatal("the sender's check is wrong")
		}
		_, _ = m.RTT()
	})
	if allocs != 0 {
		t.Errorf("%v allocations a beat, want 0", allocs)
	}
}

func TestStateNames(t *testing.T) {
	names := []string{"HANDSHAKING", "CONNECTED", "DEGRADED", "DISCONNECTING", "DISCONNECTED", "State(5)"}
	for i, want := range names {
		if got := State(i).String(); got != want {
			t.Errorf("state %d is called %s, want %s", i, got, want)
		}
	}
}
