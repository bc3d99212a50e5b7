package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// shop is an app that answers orders, and counts how often each acted. All its
// sockets are one program.
type shop struct {
	mu    sync.Mutex
	acted map[string]int
}

type order struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Ask  string `json:"ask,omitempty"`
}

func newShop() *shop { return &shop{acted: map[string]int{}} }

func (s *shop) count(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acted[id]
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		var o order
		if json.Unmarshal(p, &o) != nil {
			continue
		}
		s.mu.Lock()
		s.acted[o.ID]++
		n := s.acted[o.ID]
		s.mu.Unlock()
		if c.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"re":%q,"n":%d}`, o.Ask, n)) != nil {
			return
		}
	}
}

// A moment is where in the life of a key a pod is killed.
type moment int

const (
	never       moment = iota
	beforeClaim        // it was about to claim the key
	afterClaim         // the key is claimed, and the app has not got the message
	beforeDone         // the app has it, and the store does not know
	afterDone          // the store knows
)

var moments = [...]string{"never", "before the claim", "between claim and hand-over", "between hand-over and outcome", "after the outcome"}

// shared is the store of keys of a fleet, in which a pod can be killed.
type shared struct {
	mu     sync.Mutex
	memory *idempotency.Memory
	stop   moment
	pod    string
	dead   map[string]bool
	killed chan struct{}
}

func newShared() *shared {
	return &shared{memory: idempotency.NewMemory(1 << 20), dead: map[string]bool{}, killed: make(chan struct{})}
}

// kill has the pod die at a moment.
func (s *shared) kill(pod string, at moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pod, s.stop = pod, at
}

// Put implements proxy.KeyStore. A pod that is dead gets no answer.
func (s *shared) Put(ctx context.Context, c *idempotency.Call) (idempotency.Result, error) {
	if c.Entry.By.Owner != "" && s.dies(c, false) {
		<-ctx.Done()
		return idempotency.Result{}, store.ErrUnavailable
	}
	s.mu.Lock()
	r := s.memory.Put(time.Now(), c)
	s.mu.Unlock()
	if c.Entry.By.Owner != "" && s.dies(c, true) {
		<-ctx.Done()
		return idempotency.Result{}, store.ErrUnavailable
	}
	return r, nil
}

func (s *shared) dies(c *idempotency.Call, written bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := c.Entry.By.Owner
	if s.dead[owner] {
		return true
	}
	at := map[idempotency.State][2]moment{idempotency.Claimed: {beforeClaim, afterClaim}, idempotency.Done: {beforeDone, afterDone}}[c.Entry.State]
	i := 0
	if written {
		i = 1
	}
	if owner != s.pod || at[i] == never || at[i] != s.stop {
		return false
	}
	s.dead[owner] = true
	close(s.killed)
	return true
}

func keyRules(t *testing.T, rules string) *idempotency.Policy {
	t.Helper()
	p, err := idempotency.New([]byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keyFleet is three pods in virtual time that share keys.
func keyFleet(t *testing.T, app http.Handler, keys *shared, rules string) *fleet {
	f := newFleet(t, app, true)
	policy := keyRules(t, rules)
	for range 3 {
		f.add(func(c *proxy.Config) {
			c.Adopt, c.Keys, c.KeyStore, c.AppRetry = adoptions["always"], policy, keys, 30*time.Second
		})
	}
	return f
}

const orderRules = `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"order"},"key":"/id","scope":"path"}]}`

func orderOf(id, ask string) string { return fmt.Sprintf(`{"type":"order","id":%q,"ask":%q}`, id, ask) }

// TestActsOnce: one message, sent a hundred times by five clients over three
// pods, acts once; another one, and one that no rule selects, act as often as they
// are sent.
func TestActsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newShop()
		f := keyFleet(t, app, newShared(), orderRules)
		var clients []*podClient
		for i := range 5 {
			clients = append(clients, f.connect(i%3, "/", nil))
		}
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Go(func() {
				for n := range 20 {
					c.sayAcked(orderOf("one", ""))
					c.sayAcked(fmt.Sprintf(`{"type":"note","id":"note-%d"}`, i))
					c.sayAcked(orderOf(fmt.Sprintf("own-%d-%d", i, n), ""))
				}
			})
		}
		wg.Wait()
		if n := app.count("one"); n != 1 {
			t.Errorf("it acted %d times", n)
		}
		for i := range clients {
			if n := app.count(fmt.Sprint("note-", i)); n != 20 {
				t.Errorf("a note acted %d times, was sent 20 times", n)
			}
			for n := range 20 {
				if n := app.count(fmt.Sprintf("own-%d-%d", i, n)); n != 1 {
					t.Errorf("another order acted %d times", n)
				}
			}
		}
	})
}

// TestOwnerDiesWithKey: the owner is killed at each step of a key's life. Its
// client sends the message again to another pod, by itself, and other devices do
// too. It acts once, or the rule's word for doubt is kept.
func TestOwnerDiesWithKey(t *testing.T) {
	for at := beforeClaim; at <= afterDone; at++ {
		for _, inDoubt := range []string{"refuse", "repeat"} {
			t.Run(moments[at]+", "+inDoubt, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app, keys := newShop(), newShared()
					f := keyFleet(t, app, keys, `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"order"},"key":"/id","scope":"path","inDoubt":"`+inDoubt+`"}]}`)
					owner := f.connect(0, "/", nil)
					others := []*podClient{f.connect(1, "/", nil), f.connect(2, "/", nil)}
					keys.kill(f.pods[0].name, at)
					owner.say(orderOf("one", ""))
					<-keys.killed
					f.leases.set(f.pods[0].name, store.LeaseGone)
					owner.move(1)
					owner.sayAcked(orderOf("behind", ""))
					for _, c := range others {
						c.sayAcked(orderOf("one", ""))
						c.sayAcked(orderOf("one", ""))
					}
					owner.sayAcked(orderOf("one", ""))
					want := 1
					switch {
					case at == afterClaim && inDoubt == "refuse":
						want = 0
					case at == beforeDone && inDoubt == "repeat":
						want = 2
					}
					if n := app.count("one"); n != want {
						t.Errorf("it acted %d times, want %d", n, want)
					}
					if n := app.count("behind"); n != 1 {
						t.Errorf("what came behind it acted %d times", n)
					}
					doubted := f.pods[1].watch.count("keyed doubt") + f.pods[2].watch.count("keyed doubt") + f.pods[1].watch.count("keyed again") + f.pods[2].watch.count("keyed again")
					if (at == afterClaim || at == beforeDone) != (doubted > 0) {
						t.Errorf("%d times in doubt", doubted)
					}
				})
			})
		}
	}
}
