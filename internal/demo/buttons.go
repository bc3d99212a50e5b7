package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// The faults of a visitor's network.
const (
	shortCut = 2 * time.Second
	longCut  = 30 * time.Second

	// inTunnel is enough for both clients to find out, and short enough to wait for.
	inTunnel = 5 * time.Second

	// slowFor is how long the network is slow, by a latency at which one can
	// still talk, and at which all that is measured by round trips is put to the
	// test.
	slowFor     = 10 * time.Second
	slowLatency = 300 * time.Millisecond
	slowJitter  = 100 * time.Millisecond

	// halfOpenShown is for how long a half-open connection is shown as a
	// fault: the network itself is whole again at once.
	halfOpenShown = time.Second
)

// With auto, something is broken after each pause of a length between these.
const (
	leastPause = 3 * time.Second
	mostPause  = 6 * time.Second
)

// errNotNow is what a button does when it cannot.
var errNotNow = errors.New("not now: the last fault is not over")

// buttons are the page's, by the names in its requests.
var buttons = map[string]func(*visitor) bool{
	"cut":      func(v *visitor) bool { return v.cut(shortCut) },
	"long-cut": func(v *visitor) bool { return v.cut(longCut) },
	"tunnel":   (*visitor).tunnel,
	"half":     (*visitor).halfOpen,
	"slow":     (*visitor).slow,
	"kill":     func(v *visitor) bool { return v.fleet.kill(v.tally) },
	"drain":    func(v *visitor) bool { return v.fleet.drain(v.tally) },
	"restart":  func(v *visitor) bool { return v.fleet.restart(v.tally) },
}

// autoButtons are those that auto presses. A long cut would be a bore.
var autoButtons = []string{"tunnel", "cut", "half", "slow", "kill", "drain", "restart"}

// press does what a button says, and returns before that is over.
func (v *visitor) press(name string) error {
	press, ok := buttons[name]
	switch {
	case !ok:
		return errors.New("no such button")
	case v.life.Err() != nil || !press(v):
		return errNotNow
	}
	return nil
}

// cut takes the network away: connections break, and there are no new ones.
func (v *visitor) cut(d time.Duration) bool {
	return v.during(cutFault, d, func() {
		v.tally.fault(cutFault, "network: cut for %s", d)
		_ = v.link.Down(true) // a listener closes
		v.link.Cut(faultlink.RST)
	}, v.up)
}

// tunnel takes the network away as a tunnel does from a train: what is under way
// is swallowed, neither end is told that its connection is dead, and there is no
// new one until the train is out.
func (v *visitor) tunnel() bool {
	return v.during(tunnelFault, inTunnel, func() {
		v.tally.fault(tunnelFault, "network: a tunnel of %s, what is under way is swallowed", inTunnel)
		_ = v.link.Down(true)
		v.link.Cut(faultlink.Mute)
	}, v.up)
}

// up makes the network whole.
func (v *visitor) up() {
	// The port may have been given to a connection of another program,
	// which will not have it for long.
	await(v.life, func() bool { return v.link.Down(false) == nil })
	v.tally.say("network: whole again")
}

// halfOpen lets the connections die without a word to the browser.
func (v *visitor) halfOpen() bool {
	return v.during(halfFault, halfOpenShown, func() {
		v.tally.fault(halfFault, "network: half open, the browser is not told")
		v.link.Cut(faultlink.DropTarget)
	}, func() {})
}

func (v *visitor) slow() bool {
	return v.during(slowFault, slowFor, func() {
		v.tally.fault(slowFault, "network: slow for %s, %s each way", slowFor, slowLatency)
		v.link.SetLatency(slowLatency, slowJitter)
	}, func() {
		v.link.SetLatency(linkLatency, linkJitter)
		v.tally.say("network: quick again")
	})
}

// during breaks the network and mends it after d, in the background. It
// returns false while it is broken already.
func (v *visitor) during(kind faultKind, d time.Duration, fail, mend func()) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault != "" {
		return false
	}
	v.fault, v.faulty = kind, time.Now().Add(d)
	fail()
	v.work.Go(func() {
		_ = proc.Sleep(v.life, d)
		mend()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.fault = ""
	})
	return true
}

// trouble returns what is wrong with the network, and for how long yet.
func (v *visitor) trouble() (kind faultKind, left time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fault == "" {
		return "", 0
	}
	return v.fault, max(0, time.Until(v.faulty))
}

// auto presses buttons until it is switched off.
func (v *visitor) auto(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stopAuto != nil {
		v.stopAuto()
		v.stopAuto = nil
	}
	if !on || v.life.Err() != nil {
		return
	}
	var ctx context.Context
	ctx, v.stopAuto = context.WithCancel(v.life)
	v.work.Go(func() {
		for {
			_ = proc.Sleep(ctx, leastPause+rand.N(mostPause-leastPause))
			if ctx.Err() != nil {
				return
			}
			_ = v.press(autoButtons[rand.N(len(autoButtons))]) // or not now
		}
	})
}

func (v *visitor) isAuto() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stopAuto != nil
}
