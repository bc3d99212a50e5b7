package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/formats"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
	"github.com/wsresilience/wsresilience/wire"
)

// One stall is counted once, however many find it, and no stall is none.
func TestStallDetectorCounts(t *testing.T) {
	var v stallDetector
	began := time.Now()
	v.start(began, 10*time.Second)
	if n := v.stalls(began.Add(10 * time.Second)); n != 0 {
		t.Errorf("%d stalls at the limit", n)
	}
	var finders sync.WaitGroup
	for range 100 {
		finders.Go(func() { v.stalls(began.Add(11 * time.Second)) })
	}
	finders.Wait()
	if n := v.stalls(began.Add(12 * time.Second)); n != 1 {
		t.Errorf("%d stalls, want one", n)
	}
	if n := v.stalls(began.Add(22 * time.Second)); n != 2 {
		t.Errorf("%d stalls, want a second one", n)
	}
	var off stallDetector
	if n := off.stalls(began.Add(time.Hour)); n != 0 {
		t.Errorf("%d stalls where nobody adopts", n)
	}
}

// A process that runs sees no stall.
func TestStallDetectorWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var v stallDetector
		v.start(time.Now(), 10*time.Second)
		stop := make(chan struct{})
		go v.watch(stop)
		time.Sleep(time.Hour)
		if n := v.stalls(time.Now()); n != 0 {
			t.Errorf("%d stalls", n)
		}
		close(stop)
	})
}

// A zombie is a sidecar whose process was stopped for longer than its lease
// is safe. Its store can be away, and the other sidecar shares it.
type zombie struct {
	*scene
	other *scene
	store *awayStore
	p     *testClient // a client of /says or /echo
}

type awayStore struct {
	store.Store
	mu   sync.Mutex
	away bool
}

func (s *awayStore) Append(ctx context.Context, id store.ID, after store.Revision, rec *store.Record) (store.Revision, error) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		return 0, fmt.Errorf("test: %w", store.ErrUnavailable)
	}
	return s.Store.Append(ctx, id, after, rec)
}

func (s *awayStore) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// nobody is what all sidecars believe of each other.
type nobody struct{}

func (nobody) Lease(string) store.LeaseState { return store.LeaseGone }

func (nobody) Write(_ string, own formats.Range) uint8 { return own.Newest }

func (nobody) NoneNewer(string) time.Duration { return 0 }

func (nobody) At(netip.Addr) bool { return false }

func newZombie(t *testing.T, path string) *zombie {
	t.Helper()
	ring := mustRing(t, [][]byte{keyring.Generate()})
	z := &zombie{store: &awayStore{Store: store.NewSealedStore(storetest.NewMemory(storetest.MemoryConfig{}), ring)}}
	// Nobody listens at the owner's address, so that it can be adopted from.
	share := func(name string) func(*Config) {
		return func(c *Config) {
			c.Tokens, c.Proofs, c.Store, c.Peers, c.Advertise = ring, ring, z.store, nobody{}, name
		}
	}
	z.other = newScene(t, share("127.0.0.1:2"))
	z.scene = newScene(t, share("127.0.0.1:1"))
	z.p = z.resilient(path, "Sec-WebSocket-Protocol: wsr.adopt")
	z.p.control(wire.AppendAck(nil, 0))
	return z
}

// wakes is the moment at which the process runs again.
func (z *zombie) wakes() { z.srv.stallDetector.count.Add(1) }

// The session was adopted meanwhile: whatever wakes the old owner up, its app
// and its client hear nothing of it any more but the end.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	for _, wakes := range []string{"app", "client"} {
		t.Run(wakes, func(t *testing.T) {
			z := newZombie(t, "/says")
			z.p.say("in-1")
			old := z.app.call("/says")
			eventually(t, "the app has it", func() bool { m, _, _ := old.heardSoFar(); return len(m) == 1 })
			z.p.wantHeartbeatAnswer(1)
			// Until the other has it, the old owner does not run; and here
			// nothing happens to it.
			q, how := z.other.resume("/says", z.p.welcome.Token, 0, 2, "Sec-WebSocket-Protocol: wsr.adopt")
			if how != "adopted" {
				t.Fatal(how)
			}
			q.control(wire.AppendRestored(nil))
			z.wakes()
			if wakes == "app" {
				old.speak(text("out-old"))
			} else {
				z.p.say("in-old")
			}
			for {
				h, msg, err := z.p.frame()
				if err != nil {
					break
				}
				if _, ours := wire.TypeOf(msg); h.OpCode != ws.OpClose && h.OpCode != ws.OpPing && !ours {
					t.Errorf("the old client was told %q", msg)
				}
			}
			eventually(t, "the old owner lets go of its app", func() bool { _, _, closed := old.heardSoFar(); return closed != nil })
			if m, _, _ := old.heardSoFar(); strings.Join(m, " ") != "in-1" {
				t.Errorf("the old app socket heard %q", m)
			}
			eventually(t, "it is told", func() bool {
				return z.watch.count("ownership fenced") == 1 && z.watch.count("ended resilient fenced") == 1
			})
			// The new owner has not noticed anything.
			q.sent = 1
			q.say("in-2")
			fresh := z.other.app.call("/says")
			fresh.speak(text("out-new"))
			if got := q.hear(); got != "out-new" {
				t.Errorf("the new client was told %q", got)
			}
			eventually(t, "the new app socket has it", func() bool { m, _, _ := fresh.heardSoFar(); return strings.Join(m, " ") == "in-2" })
			q.conn.Close()
		})
	}
}

func text(s string) []byte {
	return frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, []byte(s))
}

// Nobody has adopted it: after each of many stalls the session makes sure, and
// goes on. Nothing is lost, and nothing comes twice.
func TestZombieIsOwner(t *testing.T) {
	t.Parallel()
	z := newZombie(t, "/echo")
	const rounds = 200
	stop := make(chan struct{})
	var stalls sync.WaitGroup
	stalls.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
				z.wakes()
			}
		}
	})
	var want []string
	for i := range rounds {
		want = append(want, fmt.Sprint("message-", i))
		z.p.echo(want[i])
		if i%10 == 0 {
			time.Sleep(4 * time.Millisecond)
		}
	}
	close(stop)
	stalls.Wait()
	if m, _, _ := z.app.call("/echo").heardSoFar(); strings.Join(m, " ") != strings.Join(want, " ") {
		t.Errorf("the app heard %d messages: %q", len(m), m)
	}
	if n := z.watch.count("ownership confirmed"); n == 0 {
		t.Error("no stall was noticed")
	}
	z.p.conn.Close()
}

// Whose the session is cannot be known as long as the journal is away: until
// then nothing passes, nobody resumes it, and nothing is lost.
func TestZombieWithoutJournal(t *testing.T) {
	t.Parallel()
	z := newZombie(t, "/echo")
	z.p.echo("before")
	z.store.set(true)
	z.wakes()
	z.p.say("during")
	time.Sleep(300 * time.Millisecond) // that nothing passes can only be waited for
	call := z.app.call("/echo")
	if m, _, _ := call.heardSoFar(); strings.Join(m, " ") != "before" {
		t.Errorf("the app heard %q", m)
	}
	if _, how := z.resume("/echo", z.p.welcome.Token, 1, 2); how != "reset try_again" {
		t.Errorf("a resume: %s, want to try again", how)
	}
	z.store.set(false)
	if got := z.p.hear(); got != "during" {
		t.Errorf("%q came back", got)
	}
	z.p.echo("after")
	if m, _, _ := call.heardSoFar(); strings.Join(m, " ") != "before during after" {
		t.Errorf("the app heard %q", m)
	}
	z.p.conn.Close()
}

// Nobody is attached when the process wakes up, and nothing happens: the
// session makes sure all the same, so that its client can come back.
func TestZombieWithoutClient(t *testing.T) {
	t.Parallel()
	z := newZombie(t, "/echo")
	z.p.echo("before")
	z.p.conn.Close()
	eventually(t, "the owner notices", func() bool { return z.srv.Stats().Detached == 1 })
	time.Sleep(100 * time.Millisecond) // the journal has that too
	z.wakes()
	eventually(t, "the client has its session back", func() bool {
		q, how := z.resume("/echo", z.p.welcome.Token, 1, 2)
		if how != "resumed" {
			time.Sleep(50 * time.Millisecond)
			return false
		}
		q.sent, q.got = 1, 1
		q.echo("after")
		q.conn.Close()
		return true
	})
}
