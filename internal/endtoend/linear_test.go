package endtoend

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/idempotency"
	"github.com/wsresilience/wsresilience/proxy"
	"github.com/wsresilience/wsresilience/store"
)

var histories = flag.Int("histories", 4, "histories of each of the tests of linearizability")

// TestKeysAreLinearizable: clients of several pods send messages under a few keys,
// while the store of keys is late, loses answers and is away, and owners die at any
// step. What they hear of each key could have come, one after the other, from one
// register that is taken once.
func TestKeysAreLinearizable(t *testing.T) {
	eachHistory(t, outlivingKeys, keyModel(), func(r *rand.Rand, n int) asked {
		return asked{about: fmt.Sprint("key-", r.IntN(6)), what: fmt.Sprint(n)}
	}, func(a asked) (key, message string) { return a.about, orderOf(a.about, "") })
}

// TestStatesAreLinearizable is the same for messages that change what they are about:
// each was allowed by the state that those before it had made.
func TestStatesAreLinearizable(t *testing.T) {
	rules := `{"rules":[{"path":"/keyed","select":{"pointer":"/type","equals":"order"},"entity":"/id","state":"/to","inDoubt":"refuse",
		"transitions":{"":["new"],"new":["paid","cancelled"],"paid":["shipped","cancelled"],"shipped":["new"]}},{"path":"/keyed","key":"client"}]}`
	states := []string{"new", "paid", "cancelled", "shipped"}
	eachHistory(t, rules, stateModel(), func(r *rand.Rand, n int) asked {
		return asked{about: fmt.Sprint("order-", r.IntN(4)), what: states[r.IntN(len(states))], unique: n}
	}, func(a asked) (key, message string) {
		return fmt.Sprint("k", a.unique), fmt.Sprintf(`{"type":"order","id":%q,"to":%q,"unique":%d}`, a.about, a.what, a.unique)
	})
}

// asked is what a client sends.
type asked struct {
	about  string // the key or the entity
	what   string
	unique int
}

// heard is what it hears; a fate that it does not hear is unknown.
type heard struct {
	fate    client.Fate
	unknown bool
	deaths  bool // an owner had died by then
}

// eachHistory plays histories, and judges each.
func eachHistory(t *testing.T, rules string, model porcupine.Model, next func(*rand.Rand, int) asked, send func(asked) (key, message string)) {
	fates := map[client.Fate]int{}
	var unknown, deaths int
	for run := range *histories {
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			var h *history
			synctest.Test(t, func(t *testing.T) { h = playHistory(t, uint64(run), rules, next, send) })
			for _, o := range h.all {
				if out := o.Output.(heard); out.unknown {
					unknown++
				} else {
					fates[out.fate]++
				}
			}
			deaths += int(h.deaths.Load())
			result, info := porcupine.CheckOperationsVerbose(model, h.all, time.Minute)
			if result == porcupine.Ok {
				return
			}
			t.Errorf("history %d: %v", run, result)
			file := fmt.Sprintf("%s/history.html", t.ArtifactDir())
			if err := porcupine.VisualizePath(model, info, file); err == nil {
				t.Logf("it is drawn in %s (kept with -artifacts)", file)
			}
			for _, part := range partition(h.all) {
				if porcupine.CheckOperations(model, part) {
					continue
				}
				slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
				for _, o := range part {
					t.Logf("%d to %d, client %d: %s", o.Call, o.Return, o.ClientId, model.DescribeOperation(o.Input, o.Output))
				}
			}
		})
	}
	t.Logf("%d histories, %d deaths, fates %v, %d unknown", *histories, deaths, fates, unknown)
	if fates[client.FateFirst] == 0 || deaths == 0 {
		t.Error("nothing happened")
	}
}

// history is what clients have seen. Times are those of one counter.
type history struct {
	clock  atomic.Int64
	deaths atomic.Int64
	mu     sync.Mutex
	all    []porcupine.Operation
}

func (h *history) call(id int, a asked, send func() (client.Fate, error)) {
	begun, before := h.clock.Add(1), h.deaths.Load()
	fate, err := send()
	out := heard{fate: fate, unknown: err != nil, deaths: h.deaths.Load() > 0 || before > 0}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: id, Input: a, Call: begun, Output: out, Return: h.clock.Add(1)})
}

// close gives what nobody heard the end of no end: it may take effect at any time.
func (h *history) close() {
	end := h.clock.Add(1)
	for i := range h.all {
		if h.all[i].Output.(heard).unknown {
			h.all[i].Return = end
		}
	}
}

const (
	linearClients  = 5
	linearMessages = 12
	linearDeaths   = 3
)

// playHistory plays one history in virtual time.
func playHistory(t *testing.T, seed uint64, rules string, next func(*rand.Rand, int) asked, send func(asked) (key, message string)) *history {
	h, app := &history{}, newShop()
	f := newFleet(t, app, true)
	keys := &lateKeys{memory: idempotency.NewMemory(1 << 20), random: rand.New(rand.NewPCG(seed, 1)), dead: map[string]bool{}, buried: make(chan struct{}), died: make(chan string, linearDeaths)}
	policy := keyRules(t, rules)
	for range 3 + linearDeaths {
		f.add(func(c *proxy.Config) {
			c.Adopt, c.Keys, c.KeyStore, c.StrictStore, c.AppRetry = adoptions["always"], policy, keys, true, 30*time.Second
		})
	}
	defer close(keys.buried)
	var work sync.WaitGroup
	var clients []*podClient
	var number atomic.Int64
	for id := range linearClients {
		v := f.connect(id%3, "/keyed", &client.Options{Keys: true, Renew: true, Adopt: true})
		clients = append(clients, v)
		random := rand.New(rand.NewPCG(seed, uint64(10+id)))
		work.Go(func() {
			for range linearMessages {
				a := next(random, int(number.Add(1)))
				key, message := send(a)
				h.call(id, a, func() (client.Fate, error) {
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					return v.WriteKeyed(ctx, client.MessageText, []byte(message), key)
				})
				time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
			}
		})
	}
	finished := make(chan struct{})
	go func() { work.Wait(); close(finished) }()
	for alive := 0; ; {
		select {
		case name := <-keys.died:
			h.deaths.Add(1)
			at := slices.IndexFunc(f.pods, func(p *pod) bool { return p.name == name })
			time.Sleep(time.Duration(keys.below(500)) * time.Millisecond) // until others know it
			f.leases.set(name, store.LeaseGone)
			for id, v := range clients {
				if int(v.to.Load()) == at {
					alive = (alive + id) % len(f.pods)
					for keys.isDead(f.pods[alive].name) {
						alive = (alive + 1) % len(f.pods)
					}
					v.move(alive)
				}
			}
		case <-finished:
			h.close()
			counts := map[string]int{}
			app.mu.Lock()
			maps.Copy(counts, app.acted)
			app.mu.Unlock()
			if rules == outlivingKeys {
				for key, n := range counts {
					if n > 1 {
						t.Errorf("%s acted %d times", key, n)
					}
				}
			}
			return h
		}
	}
}

// lateKeys is a store of keys that takes its time, whose answers may be lost, that is
// away now and then, and at which owners die.
type lateKeys struct {
	mu     sync.Mutex
	memory *idempotency.Memory
	random *rand.Rand
	dead   map[string]bool
	away   time.Time // until then
	died   chan string
	buried chan struct{} // closed when the pods are stopped
}

func (s *lateKeys) below(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n)
}

func (s *lateKeys) isDead(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead[owner]
}

// dies reports whether the owner of a call is dead, or dies now.
func (s *lateKeys) dies(owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner != "" && !s.dead[owner] && len(s.dead) < linearDeaths && s.random.IntN(40) == 0 {
		s.dead[owner] = true
		s.died <- owner
	}
	return s.dead[owner]
}

// Put implements proxy.KeyStore.
func (s *lateKeys) Put(ctx context.Context, c *idempotency.Call) (idempotency.Result, error) {
	owner := c.Entry.By.Owner
	gone := func() (idempotency.Result, error) {
		<-s.buried
		return idempotency.Result{}, store.ErrUnavailable
	}
	if s.dies(owner) {
		return gone()
	}
	time.Sleep(time.Duration(s.below(30)) * time.Millisecond)
	if s.isDead(owner) {
		return gone()
	}
	s.mu.Lock()
	if s.random.IntN(50) == 0 {
		s.away = time.Now().Add(time.Duration(s.random.IntN(800)) * time.Millisecond)
	}
	if time.Now().Before(s.away) {
		s.mu.Unlock()
		return idempotency.Result{}, store.ErrUnavailable
	}
	r := s.memory.Put(time.Now(), c)
	lost := s.random.IntN(15) == 0
	s.mu.Unlock()
	if s.dies(owner) {
		return gone()
	}
	time.Sleep(time.Duration(s.below(30)) * time.Millisecond)
	switch {
	case s.isDead(owner):
		return gone()
	case lost, ctx.Err() != nil:
		return idempotency.Result{}, store.ErrUnavailable
	}
	return r, nil
}

func partition(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, o := range history {
		about := o.Input.(asked).about
		parts[about] = append(parts[about], o)
	}
	return slices.SortedFunc(maps.Values(parts), func(a, b []porcupine.Operation) int {
		return cmp.Compare(a[0].Call, b[0].Call)
	})
}

func describe(input, output any) string {
	a, o := input.(asked), output.(heard)
	if o.unknown {
		return fmt.Sprintf("%s %s: unknown", a.about, a.what)
	}
	return fmt.Sprintf("%s %s: %v", a.about, a.what, o.fate)
}

// What is known of a key.
const (
	keyNew   = iota
	keyTaken // by a message that acts, or whose owner has died
	keyDone
)

// keyModel is a key: the first message takes it, and none after that.
func keyModel() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Partition: partition,
		Init:      func() []any { return []any{keyNew} },
		Step: func(state, input, output any) []any {
			o := output.(heard)
			switch at := state.(int); {
			case o.unknown && at == keyNew:
				return []any{keyNew, keyTaken}
			case o.unknown:
				return []any{at}
			case o.fate == client.FateFirst && at == keyNew:
				return []any{keyTaken}
			case o.fate == client.FateRepeated && at != keyNew:
				return []any{keyDone}
			case o.fate == client.FateUnderway && at == keyTaken:
				return []any{keyTaken}
			case o.fate == client.FateDoubt && at != keyDone && o.deaths: // its own, or another one
				return []any{keyTaken}
			}
			return nil
		},
		DescribeOperation: describe,
	}).ToModel()
}

// stateModel is an entity: a message that its state allows changes that, and no other.
func stateModel() porcupine.Model {
	after := map[string][]string{"": {"new"}, "new": {"paid", "cancelled"}, "paid": {"shipped", "cancelled"}, "shipped": {"new"}}
	return (&porcupine.NondeterministicModel{
		Partition: partition,
		Init:      func() []any { return []any{""} },
		Step: func(state, input, output any) []any {
			at, to, o := state.(string), input.(asked).what, output.(heard)
			allowed := slices.Contains(after[at], to)
			switch {
			case (o.unknown || o.fate == client.FateDoubt && o.deaths) && allowed:
				return []any{at, to}
			case o.unknown || o.fate == client.FateDoubt && o.deaths:
				return []any{at}
			case (o.fate == client.FateFirst || o.fate == client.FateRepeated) && allowed:
				return []any{to} // repeated: it was this one, sent again by its client
			case o.fate == client.FateForbidden && !allowed:
				return []any{at}
			}
			return nil
		},
		DescribeOperation: describe,
	}).ToModel()
}
