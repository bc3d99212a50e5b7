package losslink

import (
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// device is one end of a path: packets that it has, and those that it got.
type device struct {
	in  chan []byte
	mu  sync.Mutex
	got []byte // the first byte of each
	at  []time.Duration
	t0  time.Time
}

func (d *device) Read(p []byte) (int, error) {
	b, ok := <-d.in
	if !ok {
		return 0, io.EOF
	}
	return copy(p, b), nil
}

func (d *device) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got, d.at = append(d.got, p[0]), append(d.at, time.Since(d.t0))
	return len(p), nil
}

// arrived returns what came so far, and when.
func (d *device) arrived() ([]byte, []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got), slices.Clone(d.at)
}

// Packets take their time, keep their order whatever the jitter is, and some of
// them do not arrive.
func TestPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &path{random: rand.New(rand.NewPCG(1, 2)).Float64}
		from, to := &device{in: make(chan []byte)}, &device{t0: time.Now()}
		go p.carry(from, to)
		p.set(Weather{Latency: 100 * time.Millisecond})
		from.in <- []byte{1}
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if got, _ := to.arrived(); len(got) != 0 {
			t.Fatal("it came too early")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got, at := to.arrived(); len(got) != 1 || at[0] != 100*time.Millisecond {
			t.Fatalf("%d came, at %v", len(got), at)
		}
		p.set(Weather{Loss: 0.2, Latency: 50 * time.Millisecond, Jitter: 50 * time.Millisecond})
		for i := range 200 {
			from.in <- []byte{byte(i)}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		got, _ := to.arrived()
		carried, lost := p.carried.Load(), p.lost.Load()
		if carried+lost != 201 || lost < 20 || lost > 60 || int(carried) != len(got) {
			t.Errorf("%d of 201 carried, %d lost, %d came", carried, lost, len(got))
		}
		if !slices.IsSorted(got[1:]) {
			t.Errorf("out of order: %v", got)
		}
		close(from.in)
		synctest.Wait()
	})
}
