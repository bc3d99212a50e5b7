// Package lab is what experiments with the whole system are made of: sidecars,
// apps and NATS servers as processes that can be killed, stopped and cut off
// from each other, and a balancer that breaks connections. Clients are of package
// rehearse/load. What was lost is judged by package ledger; chaos, the demo and the
// other instruments only say what happens when.
//
// A program that uses the lab calls proc.RunRole(lab.Roles) before anything
// else, since apps and NATS servers are processes of that same program.
package lab

import (
	"fmt"
	"os"
	"sync"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// Roles are what this program can be as a process of its own.
var Roles = map[string]proc.Role{"app": appRole, "nats": natsRole, "relay": relayRole}

// Hosts gives out loopback addresses that nothing of this run has used, as a
// new pod's is. Only Linux has them all. The zero value is ready.
type Hosts struct {
	mu sync.Mutex
	n  int
}

// Next returns another address. Its second number keeps runs side by side
// apart.
func (h *Hosts) Next() string {
	const perNet = 250
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%perNet, h.n/perNet, 1+h.n%perNet)
}
