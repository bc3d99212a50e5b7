package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

// shop is an app that answers orders, and counts how often each acted. All its
// sockets are one program.
type shop struct {
	mu    sync.Mutex
	acted map[string]int
	log   []string
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
		s.log = append(s.log, o.ID+" "+o.Ask)
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
	away   bool // nobody reaches it
	killed chan struct{}
	buried chan struct{} // closed when the pods are stopped
}

func newShared() *shared {
	return &shared{memory: idempotency.NewMemory(1 << 20), dead: map[string]bool{}, killed: make(chan struct{}), buried: make(chan struct{})}
}

// kill has the pod die at a moment.
func (s *shared) kill(pod string, at moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pod, s.stop = pod, at
}

// Put implements proxy.KeyStore. A pod that is dead gets no answer.
func (s *shared) Put(_ context.Context, c *idempotency.Call) (idempotency.Result, error) {
	if c.Entry.By.Owner != "" && s.dies(c, false) {
		<-s.buried
		return idempotency.Result{}, store.ErrUnavailable
	}
	s.mu.Lock()
	if s.away {
		s.mu.Unlock()
		return idempotency.Result{}, store.ErrUnavailable
	}
	r := s.memory.Put(time.Now(), c)
	s.mu.Unlock()
	if c.Entry.By.Owner != "" && s.dies(c, true) {
		<-s.buried
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
	if c.Looks() || owner != s.pod || at[i] == never || at[i] != s.stop {
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
	f.store = &forgetful{Store: f.store}
	policy := keyRules(t, rules)
	for range 3 {
		f.add(func(c *proxy.Config) {
			c.Adopt, c.Keys, c.KeyStore, c.AppRetry = adoptions["always"], policy, keys, 30*time.Second
		})
	}
	t.Cleanup(func() { close(keys.buried) })
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

const clientKeyRules = `{"rules":[{"path":"/keyed","key":"client","scope":"path","inDoubt":"refuse"}]}`

func (v *podClient) writeKeyed(key, p string) client.Fate {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	fate, err := v.WriteKeyed(ctx, client.MessageText, []byte(p), key)
	if err != nil {
		v.t.Fatal(err)
	}
	return fate
}

// TestClientsSayKeys: the payload knows nothing of the key. Each client hears what
// became of its message, in order, also while it does not read.
func TestClientsSayKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newShop()
		f := keyFleet(t, app, newShared(), clientKeyRules)
		opts := &client.Options{Keys: true}
		a, b := f.connect(0, "/keyed", opts), f.connect(1, "/keyed", opts)
		if fate := a.writeKeyed("k1", orderOf("one", "a")); fate != client.FateFirst {
			t.Errorf("the first: %v", fate)
		}
		for _, c := range []*podClient{a, b} {
			if fate := c.writeKeyed("k1", orderOf("one", "b")); fate != client.FateRepeated {
				t.Errorf("a repetition: %v", fate)
			}
		}
		if fate := b.writeKeyed("k2", orderOf("two", "b")); fate != client.FateFirst {
			t.Errorf("another key: %v", fate)
		}
		a.sayAcked(orderOf("one", "unkeyed"))
		if one, two := app.count("one"), app.count("two"); one != 2 || two != 1 {
			t.Errorf("they acted %d and %d times", one, two)
		}
		a.hear(`{"re":"a","n":1}`, `{"re":"unkeyed","n":2}`)
		b.hear(`{"re":"b","n":1}`)

		old := f.connect(2, "/keyed", nil)
		if _, err := old.WriteKeyed(t.Context(), client.MessageText, []byte("x"), "k"); !errors.Is(err, client.ErrNoKeys) {
			t.Errorf("without Options.Keys: %v", err)
		}
		elsewhere := f.connect(2, "/", opts)
		if _, err := elsewhere.WriteKeyed(t.Context(), client.MessageText, []byte("x"), "k"); !errors.Is(err, client.ErrNoKeys) {
			t.Errorf("on a path without keys: %v", err)
		}
	})
}

// TestKeyOfClientOutlivesOwner: the owner is killed at each step, and the client
// hears what became of its message all the same.
func TestKeyOfClientOutlivesOwner(t *testing.T) {
	for at := beforeClaim; at <= afterDone; at++ {
		t.Run(moments[at], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, keys := newShop(), newShared()
				f := keyFleet(t, app, keys, clientKeyRules)
				owner := f.connect(0, "/keyed", &client.Options{Keys: true})
				keys.kill(f.pods[0].name, at)
				fates := make(chan client.Fate, 1)
				go func() { fates <- owner.writeKeyed("k", orderOf("one", "")) }()
				<-keys.killed
				f.leases.set(f.pods[0].name, store.LeaseGone)
				owner.move(1)
				want, times := client.FateFirst, 1
				switch at {
				case afterClaim:
					want, times = client.FateDoubt, 0
				case beforeDone:
					// The app has it, and so had the client its outcome, if the owner's
					// last words came through.
					want = client.FateDoubt
				}
				if fate := <-fates; fate != want && !(at == beforeDone && fate == client.FateFirst) {
					t.Errorf("its fate is %v, want %v", fate, want)
				}
				owner.sayAcked(orderOf("behind", ""))
				time.Sleep(time.Second)
				if n := app.count("one"); n != times {
					t.Errorf("it acted %d times, want %d", n, times)
				}
			})
		})
	}
}

// TestKeysTakenAway: the session goes on at a pod whose rules take no keys: what is
// left is delivered without them, and said so.
func TestKeysTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, keys := newShop(), newShared()
		f := newFleet(t, app, true)
		policy := keyRules(t, clientKeyRules)
		f.add(func(c *proxy.Config) { c.Adopt, c.Keys, c.KeyStore = adoptions["always"], policy, keys })
		f.add(func(c *proxy.Config) { c.Adopt = adoptions["always"] })
		t.Cleanup(func() { close(keys.buried) })
		v := f.connect(0, "/keyed", &client.Options{Keys: true})
		keys.kill(f.pods[0].name, beforeClaim)
		failed := make(chan error, 1)
		go func() {
			_, err := v.WriteKeyed(t.Context(), client.MessageText, []byte(orderOf("one", "")), "k")
			failed <- err
		}()
		<-keys.killed
		f.leases.set(f.pods[0].name, store.LeaseGone)
		v.move(1)
		if err := <-failed; !errors.Is(err, client.ErrNoKeys) || !strings.Contains(err.Error(), "delivered without") {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Second)
		if n := app.count("one"); n != 1 {
			t.Errorf("it acted %d times", n)
		}
	})
}

// TestRenew: the session is lost everywhere, and what was not acknowledged acts once
// all the same, in a session that the client begins by itself; one with a message
// that has no key does not.
func TestRenew(t *testing.T) {
	for _, at := range []moment{beforeClaim, beforeDone, afterDone} {
		t.Run(moments[at], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, keys := newShop(), newShared()
				f := keyFleet(t, app, keys, `{"rules":[{"path":"/keyed","key":"client","scope":"path","inDoubt":"refuse"}]}`)
				v := f.connect(0, "/keyed", &client.Options{Keys: true, Renew: true})
				session := v.SessionID()
				v.sayAcked(orderOf("before", "x")) // what it answers is read in the end
				keys.kill(f.pods[0].name, at)
				fates := make(chan client.Fate, 2)
				go func() { fates <- v.writeKeyed("k1", orderOf("one", "1")) }()
				<-keys.killed
				go func() { fates <- v.writeKeyed("k2", orderOf("two", "2")) }()
				f.leases.set(f.pods[0].name, store.LeaseGone)
				f.store.(*forgetful).forget()
				v.move(1)
				for range 2 {
					if fate := <-fates; !fate.Certain() && at != beforeDone {
						t.Errorf("fate %v", fate)
					}
				}
				v.sayAcked(orderOf("behind", "y"))
				time.Sleep(time.Second)
				for _, id := range []string{"before", "one", "two", "behind"} {
					if n := app.count(id); n != 1 {
						t.Errorf("%s acted %d times", id, n)
					}
				}
				if v.SessionID() == session {
					t.Error("the session is the same")
				}
				if log := v.eventLog(); !strings.Contains(log, "renewed unknown") {
					t.Errorf("events: %s", log)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		keys := newShared()
		f := keyFleet(t, newShop(), keys, clientKeyRules)
		v := f.connect(0, "/keyed", &client.Options{Keys: true, Renew: true})
		keys.kill(f.pods[0].name, beforeClaim)
		failed := make(chan error, 1)
		go func() {
			_, err := v.WriteKeyed(t.Context(), client.MessageText, []byte("x"), "k")
			failed <- err
		}()
		<-keys.killed
		v.say("without a key")
		f.leases.set(f.pods[0].name, store.LeaseGone)
		f.store.(*forgetful).forget()
		v.move(1)
		lost, ok := errors.AsType[*client.SessionLostError](<-failed)
		if !ok || len(lost.Messages) != 2 || lost.Messages[0].Key != "k" || lost.Messages[1].Key != "" {
			t.Errorf("%+v", lost)
		}
	})
}

// forgetful is a journal that may forget all sessions.
type forgetful struct {
	store.Store
	mu   sync.Mutex
	gone bool
}

func (s *forgetful) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

func (s *forgetful) Load(ctx context.Context, id store.ID) (*store.State, error) {
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone {
		return nil, store.ErrNotFound
	}
	return s.Store.Load(ctx, id)
}

// TestEntityStates: a message passes only in a state that it follows, whichever
// device sends it, through whichever pod, and whatever dies meanwhile.
func TestEntityStates(t *testing.T) {
	const rules = `{"rules":[{"path":"*","select":{"pointer":"/type","equals":"order"},"entity":"/id","state":"/ask",
		"transitions":{"":["new"],"new":["paid","cancelled"],"paid":["shipped"]},"repeat":{"say":{"not":"$key"}},"inDoubt":"%s"}]}`
	for at := never; at <= afterDone; at++ {
		for _, inDoubt := range []string{"refuse", "repeat"} {
			t.Run(moments[at]+", "+inDoubt, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app, keys := newShop(), newShared()
					f := keyFleet(t, app, keys, fmt.Sprintf(rules, inDoubt))
					a, b := f.connect(0, "/", nil), f.connect(1, "/", nil)
					a.sayAcked(orderOf("1", "paid")) // it is not known yet
					a.hear(`{"not":"1"}`)
					a.sayAcked(orderOf("1", "new"))
					a.hear(`{"re":"new","n":1}`)
					if at != never {
						keys.kill(f.pods[0].name, at)
						a.say(orderOf("1", "paid"))
						<-keys.killed
						f.leases.set(f.pods[0].name, store.LeaseGone)
						a.move(2)
					}
					a.sayAcked(orderOf("1", "paid"))
					b.sayAcked(orderOf("1", "cancelled"))
					a.sayAcked(orderOf("1", "shipped"))
					b.sayAcked(orderOf("1", "new"))
					b.sayAcked(orderOf("2", "new"))
					time.Sleep(time.Second)
					want := 3 // new, paid, shipped
					switch {
					case at == afterClaim && inDoubt == "refuse":
						want = 2 // paid is refused, and what follows it counts from there
					case at == beforeDone && inDoubt == "repeat":
						want = 4
					}
					if n := app.count("1"); n != want {
						t.Errorf("%d messages of the entity acted, want %d: %q", n, want, app.log)
					}
					if n := app.count("2"); n != 1 {
						t.Errorf("%d messages of another entity acted", n)
					}
				})
			})
		}
	}
}

// setAway takes the store away, or gives it back.
func (s *shared) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// TestKeysWhileStoreIsAway: a pod that cannot reach the store knows keys by itself, and
// afterwards still does; a strict one waits.
func TestKeysWhileStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, keys := newShop(), newShared()
		f := keyFleet(t, app, keys, orderRules)
		a, b := f.connect(0, "/", nil), f.connect(0, "/", nil)
		keys.setAway(true)
		began := time.Now()
		for range 3 {
			a.sayAcked(orderOf("one", ""))
			b.sayAcked(orderOf("one", ""))
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("that took %v", d)
		}
		keys.setAway(false)
		a.sayAcked(orderOf("one", ""))
		b.sayAcked(orderOf("two", ""))
		time.Sleep(time.Second)
		if one, two := app.count("one"), app.count("two"); one != 1 || two != 1 {
			t.Errorf("they acted %d and %d times", one, two)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		app, keys := newShop(), newShared()
		f := newFleet(t, app, true)
		f.add(func(c *proxy.Config) { c.Keys, c.KeyStore, c.StrictStore = keyRules(t, orderRules), keys, true })
		v := f.connect(0, "/", nil)
		keys.setAway(true)
		v.say(orderOf("one", ""))
		v.say(`{"type":"note","id":"behind"}`)
		time.Sleep(20 * time.Second)
		if app.count("one")+app.count("behind") != 0 {
			t.Error("it did not wait")
		}
		keys.setAway(false)
		time.Sleep(2 * time.Second)
		if app.count("one") != 1 || app.count("behind") != 1 {
			t.Error("it waits for ever")
		}
	})
}
