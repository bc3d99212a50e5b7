package endtoend

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store/natsstore"
)

// echoing is an app that says again what it hears.
func echoing(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		kind, p, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, p) != nil {
			return
		}
	}
}

// Many clients far away echo several times of what the embedded journal has
// room for, so that all of it is journaled, and it takes the records of all
// others all the while. When they are quiet, or gone, their room is free again.
func TestGreedySessions(t *testing.T) {
	t.Parallel()
	const greedy, size, room, total = 40, 128 << 10, 64 << 20, 120 << 20
	f := newFleet(t, http.HandlerFunc(echoing), false)
	dir := t.TempDir()
	journal, err := natsstore.Open(t.Context(), natsstore.Config{
		Keys: f.ring, SessionTTL: 5 * time.Minute, Embedded: natsstore.Embedded{Dir: dir, MaxStore: room},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() })
	f.store = journal
	p := f.add(func(c *proxy.Config) { c.Share = journal.Share })
	watching, unwatch := context.WithCancel(t.Context())
	defer unwatch()
	go journal.Watch(watching, p.SetStoreAvailable)
	p.link.SetLatency(60*time.Millisecond, 0)

	modest := f.connect(0, "/", nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var echoed, most atomic.Int64
	var wg sync.WaitGroup
	for range greedy {
		c, _, err := client.Dial(ctx, "ws://app/", &client.Options{NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", p.link.Addr())
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		message := bytes.Repeat([]byte("x"), size)
		wg.Go(func() {
			for ctx.Err() == nil && echoed.Load() < total && c.Write(ctx, client.MessageBinary, message) == nil {
			}
			c.Close(1000, "")
		})
		go func() {
			for {
				_, p, err := c.Read(ctx)
				if err != nil {
					return
				}
				echoed.Add(int64(len(p)))
			}
		}()
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for n := 1; ; n++ {
		modest.say(fmt.Sprint(n))
		modest.hear(fmt.Sprint(n))
		modest.cut() // the next record is written at once
		modest.event(client.EventResumed, "")
		most.Store(max(most.Load(), diskUsed(t, dir)))
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond):
			continue
		}
		break
	}
	t.Logf("%d MiB echoed, at most %d MiB on disk; records: %d ok, %d full", echoed.Load()>>20, most.Load()>>20, p.watch.count("journaled ok"), p.watch.count("journaled full"))
	if n := p.watch.count("journaled full"); n > 0 {
		t.Errorf("%d records found no room", n)
	}
	if most.Load() > room*5/4 {
		t.Errorf("%d MiB on disk, want %d", most.Load()>>20, room>>20)
	}
	soon(t, "the room is free again", func() bool { return journal.Share() > room/16 })
}

func diskUsed(t *testing.T, dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
