package demo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab"
)

// visitor is one who looks at the page: a browser with a plain and a resilient
// client. It has a tally and a network of its own, so that another visitor
// cuts nothing here, and shares the pods with all.
//
// What its clients send and receive is counted where they are. The tally knows
// what the apps wrote for them and read from them.
type visitor struct {
	// Immutable.
	name     string
	tally    *tally
	fleet    *fleet
	link     *faultlink.Link
	balancer *lab.Balancer
	life     context.Context
	end      context.CancelFunc
	work     sync.WaitGroup

	mu       sync.Mutex
	sockets  int       // connections of its clients
	streams  int       // open pages of this visitor: one, or none for now
	absent   time.Time // since when there is none
	fault    faultKind // of the network, "" while there is none
	faulty   time.Time // until when
	stopAuto context.CancelFunc
}

func newVisitor(f *fleet) (*visitor, error) {
	v := &visitor{name: strings.ToLower(rand.Text()), tally: newTally(f.watched.options), fleet: f, absent: time.Now()}
	v.tally.visitor, v.tally.keys = v.name, visitorKeys()
	var err error
	// A balancer that sends a user to the same pod again is nothing unusual, and
	// lets both clients meet the same fate: the pod that is killed has both.
	if v.balancer, err = lab.NewBalancer(func() []string { return f.nearest(v.tally) }, loopback); err != nil {
		return nil, err
	}
	v.link = v.balancer.Link(0)
	v.link.SetLatency(linkLatency, linkJitter)
	v.life, v.end = context.WithCancel(context.Background())
	f.watched.join(v.tally)
	for u := range users {
		v.work.Go(func() { lab.Pace(v.life, v.tally.options.rate, func() { f.send(v.tally, u) }) })
	}
	return v, nil
}

// address is where a client of this visitor connects in the visitor's network.
func (v *visitor) address(u user) string {
	return lab.StreamURL(v.link.Addr(), v.tally.key(u), 0)
}

// visitorKeys draws where the keys of a visitor's users begin: they cannot
// be guessed by another visitor.
func visitorKeys() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return max(binary.BigEndian.Uint32(b[:])&^1, terminalKeys+uint32(users))
}

// attach begins a stream to the visitor's page, and detach ends it.
func (v *visitor) attach() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.streams++
	v.fleet.watched.opened()
}

func (v *visitor) detach() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.streams--
	v.absent = time.Now()
	v.fleet.watched.closed()
}

// away is how long the visitor's page has not been there.
func (v *visitor) away() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.streams > 0 {
		return 0
	}
	return time.Since(v.absent)
}

// close ends the visit, and the visitor's connections.
func (v *visitor) close() {
	v.auto(false)
	v.mu.Lock() // nothing begins after this
	v.end()
	v.mu.Unlock()
	v.fleet.watched.leave(v.tally)
	v.work.Wait()
	v.balancer.Close()
}
