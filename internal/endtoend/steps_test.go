package endtoend

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/proxy"
)

// conversation plays a whole session in virtual time: client, proxy and app
// are the real ones, the network is made of pipes. cut wraps each of the
// client's connections, and opened is called when the first one is there.
func conversation(t *testing.T, total int, cut func(n int, c net.Conn) net.Conn, opened func()) int {
	var count atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		app := &counterApp{total: total, pause: 3 * time.Millisecond}
		appNet, clientNet := newPipes(), newPipes()
		ring, err := keyring.New([][]byte{keyring.Generate()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := proxy.New(proxy.Config{Upstream: "http://127.0.0.1:1", DialApp: appNet.dialApp, Tokens: ring})
		if err != nil {
			t.Fatal(err)
		}
		backend := &http.Server{Handler: app}
		go backend.Serve(appNet)
		served := make(chan error, 1)
		go func() { served <- p.Serve(clientNet) }()
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := errors.Join(p.Shutdown(ctx), <-served, backend.Close()); err != nil {
				t.Error(err)
			}
		}()
		c, _, err := client.Dial(t.Context(), "ws://app/", &client.Options{
			Backoff: client.Backoff{Max: time.Second},
			NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := clientNet.dial(ctx)
				if err != nil {
					return nil, err
				}
				return cut(int(count.Add(1)), conn), nil
			},
		})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		opened()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := (&stage{app: app, proxy: p}).both(ctx, c); err != nil {
			t.Error(err)
			return
		}
		if err := c.Close(1000, "done"); err != nil {
			t.Error("close:", err)
		}
	})
	return int(count.Load())
}

// The connection is cut behind every single byte of a conversation, in either
// direction: nothing is lost, doubled or reordered, on the same app socket
// (I1, I2), and time is virtual.
func TestCutAtEveryByte(t *testing.T) {
	const messages = 6
	for _, direction := range []string{"inbound", "outbound"} {
		t.Run(direction, func(t *testing.T) {
			// A first dial is not retried, so the cuts begin behind it.
			left, from := budget(1<<30), 0
			conversation(t, messages,
				func(_ int, c net.Conn) net.Conn { return measured(direction, c, left) },
				func() { from = 1<<30 - int(left.Load()) })
			size := 1<<30 - int(left.Load())
			if size < from+messages*6 {
				t.Fatalf("a conversation of %d bytes is too short", size-from)
			}
			for at := from; at < size; at++ {
				left = budget(at)
				dials := conversation(t, messages, func(n int, c net.Conn) net.Conn {
					if n > 1 {
						return c
					}
					return measured(direction, c, left)
				}, func() {})
				if t.Failed() {
					t.Fatalf("cut behind byte %d of %d, %d dials", at, size, dials)
				}
			}
			t.Logf("cut behind each of %d bytes", size-from)
		})
	}
}

func measured(direction string, c net.Conn, left *atomic.Int64) net.Conn {
	if direction == "inbound" {
		return &cutAfter{Conn: c, in: left}
	}
	return &cutAfter{Conn: c, out: left}
}

// Every connection of a session is cut after a few bytes more than the one
// before, so that resumes are cut too, WELCOME and replay included.
func TestCutEveryResume(t *testing.T) {
	dials := conversation(t, 100, func(n int, c net.Conn) net.Conn {
		if n == 1 {
			return &cutAfter{Conn: c, out: budget(450)}
		}
		return &cutAfter{Conn: c, in: budget(500 + n*5), out: budget(300 + n*5)}
	}, func() {})
	if dials < 20 {
		t.Fatalf("only %d dials: the cuts did not hit", dials)
	}
	t.Logf("%d connections", dials)
}
