package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// A Relay is a process that passes bytes on and does nothing else: what those who go
// through it wait is the machine's doing.
type Relay struct {
	*proc.Process
	Addr string
}

// StartRelay starts one to an address, and returns when it listens.
func StartRelay(ctx context.Context, s *proc.Starter, target string) (*Relay, error) {
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	cmd, err := proc.InRole("relay", free[0], target)
	if err != nil {
		return nil, err
	}
	p, err := s.Start("relay", cmd)
	if err != nil {
		return nil, err
	}
	r := &Relay{Process: p, Addr: free[0]}
	err = proc.Until(ctx, natsWait, natsLook, func() bool { return p.Ended() || proc.Listens(r.Addr) })
	if err != nil || p.Ended() {
		p.Kill()
		return nil, p.Failure("does not listen")
	}
	return r, nil
}

// relayRole serves until standard input ends.
func relayRole(args []string) error {
	if len(args) != 2 {
		return errors.New("lab: a relay has two addresses")
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				failed <- err
				return
			}
			go relay(c, args[1])
		}
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		failed <- nil
	}()
	return <-failed
}

// relay passes on until one end closes.
func relay(near net.Conn, target string) {
	defer near.Close()
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}
