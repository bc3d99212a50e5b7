package load

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// A Foreign is a client of another kind, such as one of a library with a recovery
// of its own, that takes the place of a plain one. The program around the
// rehearsal runs it, and tells here what happens to it. Its methods are safe for
// concurrent use.
type Foreign struct {
	Number int
	Addr   string // "host:port" that it connects to, with its own share of the faults
	pilot  *pilot
	ctx    context.Context
}

// Up notes that it is connected; with Reconnect it knows nothing of what was.
func (f *Foreign) Up(by tally.Return) { f.pilot.account.Back(f.pilot.all.Now(), by) }

// Down notes that its connection is lost.
func (f *Foreign) Down() {
	if f.ctx.Err() == nil {
		f.pilot.account.Down(f.pilot.all.Now())
	}
}

// Lost notes that what its server knew of it is gone.
func (f *Foreign) Lost() {
	if f.ctx.Err() == nil {
		f.pilot.account.Lost(f.pilot.all.Now(), "")
	}
}

// Answered notes the answer to message n.
func (f *Foreign) Answered(n int) { f.pilot.account.Answered(f.pilot.all.Now(), n) }

// flyForeign runs a client of another kind until ctx ends.
func (p *pilot) flyForeign(ctx, loading context.Context) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.all.failed(ctx, p.account.Side, err)
		return
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer ln.Close()
	tasks.Go(func() { p.forward(ctx, ln) })
	f := &Foreign{Number: p.account.Number, Addr: ln.Addr().String(), pilot: p, ctx: ctx}
	send, err := p.all.Foreign(ctx, f)
	if err != nil {
		p.all.failed(ctx, p.account.Side, err)
		return
	}
	p.all.loaders.Go(func() {
		p.load(loading, func(n int, payload []byte) {
			p.account.Sent(n)
			send(n, payload)
		})
	})
	<-ctx.Done()
}

// forward passes the client's connections on into its network, with all that
// happens there.
func (p *pilot) forward(ctx context.Context, ln net.Listener) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		tasks.Go(func() {
			near := c.(*net.TCPConn)
			far, err := p.dialCounted(ctx)
			if err != nil {
				reset(near)
				return
			}
			join(ctx, near, far)
		})
	}
}

// join passes bytes in both directions until both have ended, or ctx has. A reset
// is passed on as one.
func join(ctx context.Context, near *net.TCPConn, far net.Conn) {
	stop := context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if _, err := io.Copy(far, near); err != nil {
			_ = far.Close()
			return
		}
		if half, ok := far.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	})
	if _, err := io.Copy(near, far); err != nil {
		reset(near)
	} else {
		_ = near.CloseWrite()
	}
	tasks.Wait()
	_ = near.Close()
	_ = far.Close()
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
