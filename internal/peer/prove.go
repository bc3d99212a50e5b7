package peer

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/wsresilience/wsresilience/internal/instance"
)

// Prove asks whether owner is at its address and proves to be that (PROTOCOL
// §8.7), and sends nothing else. The error says why not, for people.
func (f *Forwarder) Prove(ctx context.Context, owner string) (Result, error) {
	address := instance.Address(owner)
	if !validAddress(address) || f.cfg.Proofs == nil {
		return NotOwner, fmt.Errorf("peer: %q is no address of a sidecar", address)
	}
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	conn, err := f.dial(ctx, address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, err
	case err != nil:
		return Unreachable, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	switch _, err = f.challenge(conn, owner); {
	case err == nil:
		return Served, nil
	case errors.Is(err, errNotOwner):
		return NotOwner, err
	}
	return Unreachable, err
}
