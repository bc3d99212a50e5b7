package proxy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// ticked is a machine that notes when it was called.
type ticked struct {
	deadMachine
	at []time.Time
}

func (m *ticked) Tick(now time.Time) { m.at = append(m.at, now) }

func timed(s *Server) (*sessionDriver, *ticked) {
	m := new(ticked)
	return &sessionDriver{srv: s, plain: true, m: m}, m
}

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := new(Server)
		want := func(what string, m *ticked, at ...time.Duration) {
			t.Helper()
			if len(m.at) != len(at) {
				t.Fatalf("%s: called at %v, want %v", what, m.at, at)
			}
			for i := range at {
				if got := m.at[i].Sub(start); got != at[i] {
					t.Errorf("%s: called after %v, want %v", what, got, at[i])
				}
			}
		}
		a, am := timed(s)
		b, bm := timed(s)
		c, cm := timed(s)
		d, dm := timed(s)
		set := func(c *sessionDriver, millis int) {
			s.timers.set(c, monotime.At(start.Add(time.Duration(millis)*time.Millisecond)))
		}
		set(a, 30)
		set(b, 10)
		set(c, 20)
		set(d, 5)
		set(c, 40) // later
		set(a, 7)  // sooner
		s.timers.stop(d)
		s.timers.stop(d)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		want("sooner", am, 7*time.Millisecond)
		want("once", bm, 10*time.Millisecond)
		want("later", cm, 40*time.Millisecond)
		want("stopped", dm)

		set(d, 1) // long past
		set(a, 60)
		synctest.Wait()
		want("overdue", dm, 50*time.Millisecond)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		want("again", am, 7*time.Millisecond, 60*time.Millisecond)
		if s.timers.queue.Len() != 0 {
			t.Errorf("%d wait yet", s.timers.queue.Len())
		}
	})
}

// Whatever the order in which timers are set, moved and stopped, each is called
// when it was last set for.
func TestManyAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := new(Server)
		all := make([]*sessionDriver, 500)
		machines := make([]*ticked, len(all))
		due := make([]time.Duration, len(all))
		for i := range all {
			all[i], machines[i] = timed(s)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 20 * len(all) {
			i := r.IntN(len(all))
			if r.IntN(4) == 0 {
				s.timers.stop(all[i])
				due[i] = 0
				continue
			}
			due[i] = time.Duration(1+r.IntN(1000)) * time.Millisecond
			s.timers.set(all[i], monotime.At(start.Add(due[i])))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for i, m := range machines {
			var want []time.Duration
			if due[i] != 0 {
				want = []time.Duration{due[i]}
			}
			var got []time.Duration
			for _, at := range m.at {
				got = append(got, at.Sub(start))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("timer %d: called after %v, want %v", i, got, want)
			}
		}
	})
}

// Far ones are called on a grid, and so together.
func TestTimersOnAGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := new(Server)
		for i := range 40 {
			c, _ := timed(s)
			c.mu.Lock()
			c.armLocked(start, start.Add(15*time.Second+time.Duration(i)*time.Millisecond/2))
			c.mu.Unlock()
		}
		last, called := monotime.Time(0), 0
		first := func() monotime.Time {
			s.timers.mu.Lock()
			defer s.timers.mu.Unlock()
			return s.timers.queue.first()
		}
		for due := first(); due != 0; due = first() {
			if due == last {
				t.Fatal("not taken")
			}
			after := due.Time().Sub(start)
			if last = due; time.Duration(due)%grid != 0 || after < 15*time.Second || after > 15*time.Second+2*grid {
				t.Errorf("due after %v", after)
			}
			called++
			time.Sleep(time.Until(due.Time()))
			synctest.Wait()
		}
		if called > 2 {
			t.Errorf("%d awakenings", called)
		}
	})
}
