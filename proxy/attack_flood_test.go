package proxy

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/session"
)

func floodAttacks() []attack {
	return []attack{
		{"W11", fragmentBomb},
		{"W12", tooBigInFragments},
		{"W19", pingFlood},
		{"W20", pongFlood},
		{"W21", halfFrame},
		{"W22", emptyMessages},
		{"W23", deflateBombs},
		{"W26", zeroWindow},
		{"W27", windowsForAll},
	}
}

// most is how much the process may hold more after an attack.
const most = 2 << 20

// wantHeap fails when much more is held than before. What is allocated while
// the collector marks counts as in use until its next round, however short its
// life: the app's own frames, as long as a flood is still in the kernel's
// buffers. So it is looked at until that has passed; what is held stays.
func wantHeap(t *testing.T, before int64, slack int64) {
	t.Helper()
	var held int64
	for end := time.Now().Add(attackPatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if held = heapInUse() - before; held <= slack {
			return
		}
	}
	t.Errorf("%d KiB more are held, at most %d", held>>10, slack>>10)
}

// fragmentBomb: fragments without an end cost their payload. The message
// that they are at last is whole.
func fragmentBomb(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.MaxMessage = 64 << 10 })
	p := sc.resilient("/fragments")
	p.hex("01 80 00000000")
	before := heapInUse()
	for range 100 {
		p.write(bytes.Repeat(unspaced(t, "00 80 00000000"), 5000))
	}
	wantHeap(t, before, most)
	p.write(bytes.Repeat(unspaced(t, "00 81 00000000 41"), 64<<10))
	wantHeap(t, before, 64<<10+most)
	p.hex("80 80 00000000")
	p.sent++
	if got := p.hear(); len(got) != 64<<10 || strings.Trim(got, "A") != "" {
		t.Errorf("%d bytes came back", len(got))
	}
	p.hex("01 80 00000000")
	p.write(bytes.Repeat(unspaced(t, "00 81 00000000 41"), 64<<10+1))
	p.wantClose(1009)
}

func tooBigInFragments(t *testing.T) {
	sc := newScene(t, nil)
	p := sc.resilient("/fragments")
	part := bytes.Repeat([]byte{'a'}, 1024)
	first := frame.Append(nil, ws.Header{OpCode: ws.OpText, Masked: true}, part)
	next := frame.Append(nil, ws.Header{Masked: true, Mask: [4]byte{5, 6, 7, 8}}, part)
	p.write(first)
	for range 1023 {
		p.write(next)
	}
	p.write(masked(ws.OpPing, []byte("exactly the limit")))
	if h, payload, err := p.frame(); err != nil || h.OpCode != ws.OpPong {
		t.Fatalf("no pong: %v, %x", err, payload)
	}
	p.write(next)
	p.wantClose(1009)
	if messages, _, _ := sc.app.call("/fragments").heardSoFar(); len(messages) != 0 {
		t.Errorf("the app got %d messages", len(messages))
	}
	if _, how := p.back(); how != "resumed" {
		t.Errorf("the session is %s", how)
	}
}

// pingFlood: the client reads nothing. Pongs do not gather without bound, and
// when it reads again the connection is good.
func pingFlood(t *testing.T) {
	sc := newScene(t, nil)
	ping := masked(ws.OpPing, bytes.Repeat([]byte{'p'}, 125))
	p := sc.resilient("/pings")
	before := heapInUse()
	for range 1000 {
		p.write(bytes.Repeat(ping, 100))
	}
	wantHeap(t, before, most)
	p.echo("after the flood")

	q := sc.plain("/pings-plain")
	before = heapInUse()
	_ = q.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	flood := bytes.Repeat(ping, 100)
	for range 1000 {
		if _, err := q.conn.Write(flood); err != nil {
			break // the app's pongs are not read, so it does not read either
		}
	}
	wantHeap(t, before, 2*most) // the app of the test holds some of it
}

// pongFlood: pongs that answer nothing are no answers, and cost nothing.
func pongFlood(t *testing.T) {
	sc := newScene(t, nil)
	forged := heartbeat.AppendPayload(nil, heartbeat.Payload{Seq: 7, TimeMillis: 1})
	p := sc.resilient("/pongs")
	before := heapInUse()
	for _, payload := range [][]byte{nil, []byte("wrong"), forged} {
		flood := bytes.Repeat(masked(ws.OpPong, payload), 1000)
		for range 50 {
			p.write(flood)
		}
	}
	p.echo("after the flood")
	wantHeap(t, before, most)
	if _, raw, _ := sc.app.call("/pongs").heardSoFar(); bytes.Contains(raw, []byte("wrong")) || len(raw) > 100 {
		t.Errorf("the app got %d bytes", len(raw))
	}
	q := sc.plain("/pongs-plain")
	q.write(masked(ws.OpPong, forged)) // of a heartbeat that was never sent: the app's affair
	q.write(masked(ws.OpPong, []byte("mine")))
	q.echo("after the pongs")
	if n := sc.srv.Stats(); n.Traffic.BeatsHeard+n.PlainTraffic.BeatsHeard != 0 {
		t.Errorf("%d pongs passed for answers", n.Traffic.BeatsHeard+n.PlainTraffic.BeatsHeard)
	}
}

// quick makes heartbeats come several times a second, and judge everybody.
func quick(c *Config) {
	c.PlainHeartbeat = session.PlainEnforce
	beat := 300 * time.Millisecond
	c.Heartbeat = heartbeat.Config{Base: beat, Min: beat, Max: beat}
}

// halfFrame: a frame that never becomes whole does not keep its connection.
// What there is of it reaches no app, and is not counted.
func halfFrame(t *testing.T) {
	sc := newScene(t, quick)
	p := sc.resilient("/half")
	p.hex("81")
	time.Sleep(400 * time.Millisecond) // more than a heartbeat, by the clock of the sidecar
	p.hex("85 00000000 4865")
	p.wantClose(4408)
	if _, raw, _ := sc.app.call("/half").heardSoFar(); len(raw) != 0 {
		t.Errorf("the app got % x", raw)
	}
	q, how := p.back()
	if how != "resumed" {
		t.Fatalf("the session is %s", how)
	}
	q.echo("whole")
	q.conn.Close()

	r := sc.plain("/half-plain")
	r.hex("81")
	r.wantClose(1006)
	eventually(t, "the app's connection ends", func() bool {
		c := sc.app.call("/half-plain")
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ended
	})
}

// emptyMessages: an app that takes nothing makes the client wait, be its
// messages ever so small. Nothing is lost, and the session goes on.
func emptyMessages(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.WindowBytes, c.MaxMessage = 64<<10, 16<<10 })
	empty := bytes.Repeat(unspaced(t, "81 80 00000000"), 1000)
	for _, path := range []string{"/deaf", "/deaf-plain"} {
		p := sc.open(path, map[bool]string{true: "wsr, wsr.v1"}[path == "/deaf"])
		before := heapInUse()
		for sent := 0; sent < 100<<20; sent += len(empty) {
			_ = p.conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := p.conn.Write(empty); err != nil {
				break
			}
		}
		if _, err := p.conn.Write(empty); err == nil {
			t.Errorf("%s: 100 MiB were taken", path)
		}
		wantHeap(t, before, most)
		p.conn.Close()
	}
	if n := sc.watch.count("ended resilient memory"); n != 0 {
		t.Error("the session ended although it could have waited")
	}
	if st := sc.srv.Stats(); st.WindowBytes > 64<<10+16<<10+64<<10 {
		t.Errorf("windows hold %d KiB", st.WindowBytes>>10)
	}
}

// zeroWindow: a client that reads nothing stops the app and no one else, and
// the heartbeats end its connection.
func zeroWindow(t *testing.T) {
	const window = 256 << 10
	sc := newScene(t, func(c *Config) { quick(c); c.WindowBytes = window })
	before := heapInUse()
	p := sc.open("/flood", "wsr, wsr.v1")
	_ = p.conn.(*net.TCPConn).SetReadBuffer(4096)
	var high int64
	eventually(t, "the connection ends for its silence", func() bool {
		high = max(high, sc.srv.Stats().WindowBytes)
		return sc.watch.count("detached heartbeat") == 1
	})
	if slack := int64(64 << 10); high > window+slack {
		t.Errorf("windows held %d KiB", high>>10)
	}
	wantHeap(t, before, window+2*most)
	c := sc.app.call("/flood")
	wrote := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.wrote
	}
	paused := wrote()
	if time.Sleep(200 * time.Millisecond); wrote() != paused { // that nothing comes can only be waited for
		t.Errorf("the app could write %d bytes more", wrote()-paused)
	}
	p.resp.StatusCode = http.StatusSwitchingProtocols
	p.readWelcome()
	q, how := sc.resume("/flood", p.welcome.Token, 0, 1)
	if how != "resumed" {
		t.Fatalf("the session is %s", how)
	}
	if got := q.hear(); len(got) != 16<<10 {
		t.Errorf("a message of %d bytes", len(got))
	}
	q.conn.Close()

	r := sc.open("/flood-plain", "")
	_ = r.conn.(*net.TCPConn).SetReadBuffer(4096)
	c = sc.app.call("/flood-plain")
	eventually(t, "the app has to wait", func() bool {
		before := wrote()
		time.Sleep(200 * time.Millisecond)
		return before > 0 && wrote() == before
	})
	wantHeap(t, before, window+2*most)
}

// windowsForAll: windows that clients fill and leave take the budget. New
// sessions then wait outside, and those that live go on, whether the windows
// were filled one after the other or all at once.
func windowsForAll(t *testing.T) {
	t.Run("one by one", windowsOneByOne)
	t.Run("at once", windowsAtOnce)
}

const (
	smallBudget = 4 << 20
	itsWindows  = 256 << 10
)

func shortOfMemory(c *Config) {
	c.MemoryBudget, c.WindowBytes, c.MaxMessage = smallBudget, itsWindows, 64<<10
}

func windowsOneByOne(t *testing.T) {
	sc := newScene(t, shortOfMemory)
	for i := range 2 * smallBudget / itsWindows {
		full := sc.srv.Stats().Traffic.WindowFull
		p := sc.open(fmt.Sprintf("/flood%d", i), "wsr, wsr.v1")
		if p.resp.StatusCode == http.StatusServiceUnavailable {
			if p.resp.Header.Get("Retry-After") == "" || p.resp.Header.Get("Wsr-Refused") != "memory" || sc.watch.count("refused memory") != 1 {
				t.Error("the refusal has no Retry-After, or is not counted")
			}
			return
		}
		eventually(t, "the window fills, or memory is short", func() bool {
			return sc.srv.Stats().Traffic.WindowFull > full || sc.srv.scarce()
		})
		p.conn.Close()
	}
	t.Errorf("nobody was refused with %d bytes in use", sc.srv.Stats().WindowBytes)
}

func windowsAtOnce(t *testing.T) {
	sc := newScene(t, shortOfMemory)
	const n = 3 * smallBudget / itsWindows / 2
	for i := range n {
		sc.resilient(fmt.Sprintf("/says%d", i)).conn.Close()
	}
	msg := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 16<<10))
	for i := range n {
		go sc.app.call(fmt.Sprintf("/says%d", i)).speak(bytes.Repeat(msg, 64))
	}
	eventually(t, "the budget is nearly used up", func() bool { return sc.srv.Stats().WindowBytes >= smallBudget-smallBudget/8 })
	refused := false
	for range 50 {
		for _, p := range sc.others {
			p.echo("still here")
		}
		if !refused && sc.srv.scarce() {
			// By the time that it comes, detached sessions may have made room for it.
			late := sc.open("/late", "wsr, wsr.v1")
			refused = late.resp.StatusCode == http.StatusServiceUnavailable
			late.conn.Close()
		}
		time.Sleep(10 * time.Millisecond) // so that the windows fill between
	}
	if !refused {
		t.Error("no new session was refused while memory was short")
	}
	// What has come already is kept in any case: a message for some of them, and
	// what the app of the one that is handed to the journal says before its close.
	if st := sc.srv.Stats(); st.WindowBytes > smallBudget+smallBudget/8+1<<20 {
		t.Errorf("%d bytes in use", st.WindowBytes)
	}
	if n := sc.watch.count("ended resilient memory"); n != 0 {
		t.Errorf("%d sessions were ended that could have waited", n)
	}
}
