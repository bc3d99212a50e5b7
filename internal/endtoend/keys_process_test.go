package endtoend

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/keyring"
)

// TestKeysAcrossKills: five clients send the same orders through three pods of
// which one after the other is killed and comes back, and NATS knows the keys. Each
// order acts once; one that acts never was reported to be in doubt.
func TestKeysAcrossKills(t *testing.T) {
	t.Parallel()
	const orders, clients = 15, 5
	f := newProcesses(t, "WSR_ADOPT=always", "WSR_TOKEN_KEYS="+base64.StdEncoding.EncodeToString(keyring.Generate()),
		`WSR_IDEMPOTENCY_RULES={"rules":[{"path":"*","key":"client","scope":"path"}]}`)
	app := newShop()
	f.app.Close()
	f.app = httptest.NewServer(app)
	t.Cleanup(f.app.Close)
	for range 3 {
		f.add(&binary, nil)
	}
	var mu sync.Mutex
	fates := map[string][]client.Fate{}
	var work sync.WaitGroup
	for i := range clients {
		conn, _, err := client.Dial(t.Context(), "ws://"+f.balancer.Addr(i)+"/", &client.Options{Adopt: true, Keys: true, Renew: true, Backoff: client.Backoff{Max: 200 * time.Millisecond}}) //nolint:bodyclose // need not be closed
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.CloseNow() })
		work.Go(func() {
			for n := range orders {
				id := fmt.Sprint("order-", n)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				fate, err := conn.WriteKeyed(ctx, client.MessageText, []byte(orderOf(id, "")), id)
				cancel()
				if err != nil {
					t.Errorf("client %d, %s: %v", i, id, err)
					return
				}
				mu.Lock()
				fates[id] = append(fates[id], fate)
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for kills := 0; ; kills++ {
		select {
		case <-done:
			t.Logf("%d kills", kills)
			doubted := 0
			for n := range orders {
				id := fmt.Sprint("order-", n)
				doubt := 0
				for _, fate := range fates[id] {
					if !fate.Certain() {
						doubt++
					}
				}
				if doubt > 0 {
					doubted++
				}
				if acted := app.count(id); acted > 1 || acted == 0 && doubt == 0 || len(fates[id]) != clients {
					t.Errorf("%s acted %d times; fates %v", id, acted, fates[id])
				}
			}
			t.Logf("%d of %d orders were in doubt", doubted, orders)
			return
		case <-time.After(200 * time.Millisecond):
			f.mu.Lock()
			s := f.ready[kills%len(f.ready)]
			f.mu.Unlock()
			s.Kill()
			if err := s.Start(t.Context(), &f.starter); err != nil {
				t.Fatal(err)
			}
		}
	}
}
