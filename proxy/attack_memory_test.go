package proxy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
)

func memoryAttacks() []attack {
	return []attack{
		{"W28", partialMessages},
		{"W29", slowPipes},
		{"U16", partialByApp},
	}
}

// partialBudget is the memory budget of these attacks, and partialConns times a
// mebibyte what they would have the sidecar keep.
const (
	partialBudget = 8 << 20
	partialConns  = 40
)

func partials(c *Config) { c.MemoryBudget, c.MaxMessage = partialBudget, 1<<20 }

// wantPartials fails when the process holds more than the budget and what each
// connection costs: what was read of it before it had to wait.
func wantPartials(t *testing.T, before int64) {
	t.Helper()
	wantHeap(t, before, partialBudget+partialConns*(8<<10)+2*most)
}

// partialMessages: many connections send all but the last byte of the largest
// message. What has not come counts against the budget, connections for which
// there is none wait, and others notice nothing. When messages come to their
// end, all do.
func partialMessages(t *testing.T) {
	whole := bytes.Repeat([]byte{'a'}, 1<<20)
	oneFrame := masked(ws.OpBinary, whole)
	t.Run("one frame", func(t *testing.T) {
		holdPartials(t, oneFrame[:len(oneFrame)-1], oneFrame[len(oneFrame)-1:])
	})
	fragments := frame.Append(nil, ws.Header{OpCode: ws.OpBinary, Masked: true}, whole[:1000])
	for rest := whole[1000:]; len(rest) > 1000; rest = rest[1000:] {
		fragments = frame.Append(fragments, ws.Header{Masked: true}, rest[:1000])
		if len(rest)%7 == 0 {
			fragments = append(fragments, masked(ws.OpPong, nil)...)
		}
	}
	t.Run("fragments", func(t *testing.T) {
		holdPartials(t, fragments, frame.Append(nil, ws.Header{Fin: true, Masked: true}, nil))
	})
}

func holdPartials(t *testing.T, begin, end []byte) {
	sc := newScene(t, partials)
	var all []*testClient
	for i := range partialConns {
		all = append(all, sc.resilient(fmt.Sprintf("/says%d", i)))
	}
	before := heapInUse()
	wrote := make(chan error, partialConns)
	send := make(chan struct{})
	for _, p := range all {
		go func() {
			_, err := p.conn.Write(begin) // as far as it is read
			wrote <- err
			if <-send; err == nil {
				_, err = p.conn.Write(end)
			}
			wrote <- err
		}()
	}
	time.Sleep(time.Second) // so that all have sent what they can
	wantPartials(t, before)
	for _, p := range sc.others {
		p.echo("small")
	}
	close(send)
	for range 2 * partialConns {
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all messages reach the app", func() bool {
		return sc.srv.Stats().Traffic.InMessages >= partialConns
	})
	eventually(t, "the memory is given back", func() bool { return sc.srv.Stats().WindowBytes == 0 })
	for _, c := range sc.srv.sessions.all() {
		if !c.plain && c.id != sc.others[1].welcome.Session {
			c.kill() // otherwise the end waits for each
		}
	}
}

// slowBudget is less than what a read of each of these connections brings.
const slowBudget = 1 << 20

// slowPipes: what plain clients and their app do not read is kept, and counts.
func slowPipes(t *testing.T) {
	sc := newScene(t, func(c *Config) { c.MemoryBudget = slowBudget })
	flood := bytes.Repeat(masked(ws.OpBinary, make([]byte, 1000)), 64)
	var all []*testClient
	for i := range 4 * partialConns {
		all = append(all, sc.plain(fmt.Sprintf("/deaf%d", i)))
	}
	before := heapInUse()
	for _, p := range all {
		go func() {
			for {
				_ = p.conn.SetWriteDeadline(time.Now().Add(attackPatience))
				if _, err := p.conn.Write(flood); err != nil {
					return
				}
			}
		}()
	}
	eventually(t, "memory is short", func() bool { return sc.srv.Stats().WindowBytes >= slowBudget-slowBudget/8 })
	time.Sleep(200 * time.Millisecond)
	wantHeap(t, before, slowBudget+4*partialConns*(8<<10)+2*most)
	if p := sc.open("/late", ""); p.resp.StatusCode != 503 || p.resp.Header.Get("Wsr-Refused") != "memory" {
		t.Errorf("a new plain client: status %d, Wsr-Refused %q", p.resp.StatusCode, p.resp.Header.Get("Wsr-Refused"))
	}
	for i, p := range all {
		p.conn.Close()
		sc.app.call(fmt.Sprintf("/deaf%d", i)).conn.Close()
	}
	eventually(t, "the memory is given back", func() bool { return sc.srv.Stats().WindowBytes == 0 })
}

// partialByApp: an app that sends all but the end of large messages to many
// clients leaves memory to what clients say.
func partialByApp(t *testing.T) {
	sc := newScene(t, partials)
	for i := range partialConns {
		sc.resilient(fmt.Sprintf("/says%d", i))
	}
	whole := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 1<<20))
	before := heapInUse()
	for i := range partialConns {
		go sc.app.call(fmt.Sprintf("/says%d", i)).speak(whole[:len(whole)-1])
	}
	eventually(t, "apps' messages are held", func() bool { return sc.srv.appBuffers.Memory.Waiting() > 0 })
	time.Sleep(time.Second)
	wantPartials(t, before)
	if used := sc.srv.Stats().WindowBytes; used > partialBudget/2+2<<20+1<<20 {
		t.Errorf("%d KiB are held", used>>10)
	}
	for _, p := range sc.others {
		p.echo(strings.Repeat("b", 1000))
	}
}
