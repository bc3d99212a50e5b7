package endtoend

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// pipes is a network without sockets, for virtual time: every dial makes a
// net.Pipe.
type pipes struct {
	accept chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.accept <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dialApp is dial in the form of net.Dialer.
func (p *pipes) dialApp(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// cutAfter cuts a client's connection after so many bytes in one direction.
// The bytes before the cut arrive, those after it do not.
type cutAfter struct {
	net.Conn
	in, out *atomic.Int64 // bytes that may still pass, from and to the client; nil: all
}

// budget is how many bytes may pass.
func budget(n int) *atomic.Int64 {
	b := new(atomic.Int64)
	b.Store(int64(n))
	return b
}

func (s *cutAfter) Write(b []byte) (int, error) {
	n, cut, err := s.pass(b, s.in, s.Conn.Write)
	if err == nil && cut {
		err = net.ErrClosed
	}
	return n, err
}

func (s *cutAfter) Read(b []byte) (int, error) {
	if s.out != nil && s.out.Load() == 0 {
		s.Conn.Close()
		return 0, net.ErrClosed
	}
	n, _, err := s.pass(b, s.out, s.Conn.Read)
	return n, err
}

func (s *cutAfter) pass(b []byte, left *atomic.Int64, fn func([]byte) (int, error)) (n int, cut bool, err error) {
	if left == nil {
		n, err = fn(b)
		return n, false, err
	}
	may := int(left.Load())
	n, err = fn(b[:min(len(b), may)])
	if left.Add(-int64(n)) == 0 && len(b) > may {
		s.Conn.Close()
		cut = true
	}
	return n, cut, err
}
