// Package redirect turns connections to the app's port to the sidecar, by rules
// of nftables in the pod's network namespace.
//
// The rules hook into prerouting alone: they see what comes into the pod. What
// is sent inside it (the sidecar to the app, the app to the pod's own address)
// goes over the loopback device and never comes by. So the sidecar reaches the
// app at its own port without an exception for it; and a client inside the pod
// reaches the app past the sidecar.
package redirect

import (
	"errors"
	"fmt"
)

// Rules say which port leads where. All three are in 1 to 65535, and different.
type Rules struct {
	// From is the port that the app listens on. Connections from outside the
	// pod come out at To, where the sidecar listens.
	From, To uint16

	// Probe is a port on which nothing listens: connections to it come out at
	// From. The kubelet's probes come from outside, and have to hear the app.
	Probe uint16
}

// Check says what cannot be meant.
func (r Rules) Check() error {
	if r.From == 0 || r.To == 0 || r.Probe == 0 {
		return errors.New("redirect: port 0: the ports are from 1 to 65535")
	}
	if r.From == r.To || r.From == r.Probe || r.To == r.Probe {
		return fmt.Errorf("redirect: from %d to %d with probe %d: the three ports have to differ", r.From, r.To, r.Probe)
	}
	return nil
}

// A hop sends connections to port on to another port of the same address.
type hop struct{ port, to uint16 }

// hops are the rules in the order in which they are asked. Netfilter asks once
// per connection, so the second cannot send on what the first sent there.
func (r Rules) hops() []hop {
	return []hop{{r.From, r.To}, {r.Probe, r.From}}
}
