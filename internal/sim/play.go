package sim

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A Count is what many histories come to.
type Count struct {
	Histories, Sessions, Messages, Faults int
	Records, Resumes, Resets              int
	Time                                  time.Duration // that passed in them
	Reached                               map[string]int
	Broken                                []Failure
}

// A Failure is a history that broke a promise.
type Failure struct {
	Seed   uint64
	Broken *Broken
}

// add adds a history.
func (c *Count) add(seed uint64, r *Result) {
	c.Histories++
	c.Sessions += r.Sessions
	c.Messages += r.Messages
	c.Faults += r.Faults
	c.Records += r.Records
	c.Resumes += r.Resumes
	c.Resets += r.Resets
	c.Time += r.Time
	for what, n := range r.Reached {
		c.Reached[what] += n
	}
	if r.Broken != nil {
		c.Broken = append(c.Broken, Failure{seed, r.Broken})
	}
}

// Play plays histories from a seed on, each with the next one, until they have had so
// many sessions together, or most of them have broken a promise. tell is told of the
// count so far after each history, by one goroutine at a time; nil: nobody is. It
// reports false to end it.
func Play(seed uint64, sessions, most int, tell func(*Count) bool) *Count {
	count := &Count{Reached: map[string]int{}}
	var mu sync.Mutex
	over := false
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for {
				mu.Lock()
				if over {
					mu.Unlock()
					return
				}
				mine := seed
				seed++
				mu.Unlock()
				r := Run(NewPlan(mine))
				mu.Lock()
				count.add(mine, &r)
				over = over || count.Sessions >= sessions || len(count.Broken) >= most || tell != nil && !tell(count)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	slices.SortFunc(count.Broken, func(a, b Failure) int { return int(a.Seed) - int(b.Seed) })
	return count
}

// Unreached returns the rare paths that none of many histories has taken: such a run
// proves less than it says.
func (c *Count) Unreached() (list []string) {
	want := Sometimes
	if c.Sessions >= 10_000 {
		want = slices.Concat(Sometimes, Seldom)
	}
	for _, what := range want {
		if c.Sessions >= 1000 && c.Reached[what] == 0 {
			list = append(list, what)
		}
	}
	return list
}

func (c *Count) String() string {
	return fmt.Sprintf("%d sessions in %d histories of %v: %d messages, %d faults, %d resumes, %d records, %d resets that the faults justify",
		c.Sessions, c.Histories, c.Time.Round(time.Second), c.Messages, c.Faults, c.Resumes, c.Records, c.Resets)
}
