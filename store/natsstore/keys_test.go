package natsstore

import (
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wsresilience/wsresilience/internal/idempotency"
)

func claim(key byte, by string, at uint64) *idempotency.Call {
	return &idempotency.Call{
		Key: idempotency.Key{key}, Revision: at, TTL: time.Hour,
		Entry: idempotency.Entry{State: idempotency.Claimed, By: idempotency.Claimant{Owner: by}},
	}
}

// TestKeys: a key is claimed once, whoever asks; who claimed it has it done with its
// outcome; what is over is as if it had not been.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, embeddedConfig(t))
	k := s.Keys()
	put := func(c *idempotency.Call) idempotency.Result {
		t.Helper()
		r, err := k.Put(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []idempotency.Result
	for range 20 {
		wg.Go(func() {
			r, err := k.Put(t.Context(), claim(1, "a", 0))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if r.Written {
				won = append(won, r)
			} else if r.Found == nil || r.Found.State != idempotency.Claimed {
				t.Errorf("found %+v", r.Found)
			}
		})
	}
	if wg.Wait(); len(won) != 1 {
		t.Fatalf("%d claims were accepted", len(won))
	}
	done := claim(1, "a", won[0].Revision)
	done.Entry.State, done.Entry.Outcome = idempotency.Done, []byte("outcome")
	if r := put(done); !r.Written {
		t.Fatalf("%+v", r)
	}
	if r := put(done); r.Written || string(r.Found.Outcome) != "outcome" || r.Found.By.Owner != "a" {
		t.Errorf("a second time: %+v", r)
	}
	if r := put(claim(1, "b", 0)); r.Written || r.Found.State != idempotency.Done {
		t.Errorf("claimed again: %+v", r)
	}

	short := claim(2, "a", 0)
	short.TTL = time.Second
	if r := put(short); !r.Written {
		t.Fatalf("%+v", r)
	}
	time.Sleep(1500 * time.Millisecond)
	if r := put(claim(2, "b", 0)); !r.Written {
		t.Errorf("what is over: %+v", r.Found)
	}

	if _, err := s.backend.js.PublishMsg(t.Context(), &nats.Msg{Subject: keyPrefix + (idempotency.Key{3}).String(), Data: []byte("forged")}); err != nil {
		t.Fatal(err)
	}
	r := put(claim(3, "b", 0))
	if r.Written || r.Found != nil || r.Revision == 0 {
		t.Fatalf("what nobody of us wrote: %+v", r)
	}
	if r := put(claim(3, "b", r.Revision)); !r.Written {
		t.Errorf("it does not give way: %+v", r)
	}
	look := &idempotency.Call{Key: idempotency.Key{1}, Revision: ^uint64(0), TTL: time.Hour}
	if r := put(look); r.Found == nil || r.Found.State != idempotency.Done {
		t.Errorf("a look: %+v", r)
	}
}
