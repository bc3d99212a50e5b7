package transport

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A relay forwards between two sockets, as a session does.
type relay struct {
	at    Affinity
	mu    sync.Mutex
	ends  [2]*relayEnd
	ended bool
}

type relayEnd struct {
	j     *relay
	t     Conn
	other *relayEnd
	gone  bool
	last  []byte // what waits for the end of a round
	kept  []byte // what the other socket has not taken
}

func newRelay(t *testing.T, ls *loops, a, b net.Conn) *relay {
	j := new(relay)
	j.mu.Lock()
	defer j.mu.Unlock()
	pool := new(bufferPool)
	for i, c := range []net.Conn{a, b} {
		e := &relayEnd{j: j}
		if e.t = newEpollConn(c, e, pool, ls, &j.at, new(epollConn)); e.t == nil {
			t.Fatal("no transport")
		}
		j.ends[i] = e
	}
	j.ends[0].other, j.ends[1].other = j.ends[1], j.ends[0]
	for _, e := range j.ends {
		e.t.Start(nil)
	}
	return j
}

func (e *relayEnd) Bytes(p []byte) int {
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	if !e.j.ended {
		e.wrote(p, e.other.t.Write([][]byte{p}))
	}
	return len(p)
}

func (e *relayEnd) BytesInRound(p []byte, r *Round) (int, bool) {
	if !e.j.mu.TryLock() {
		return 0, false
	}
	switch {
	case e.j.ended:
	case r.Write(e.other.t, [][]byte{p[:len(p)/2], p[len(p)/2:]}, e):
		e.last = p
		return len(p), true
	default:
		e.wrote(p, e.other.t.Write([][]byte{p}))
	}
	e.j.mu.Unlock()
	return len(p), true
}

// Wrote implements Waiter.
func (e *relayEnd) Wrote(n int) {
	defer e.j.mu.Unlock()
	e.wrote(e.last, n)
	e.last = nil
}

// wrote keeps what was not taken. What is for a socket that is broken is lost, as in
// a pipe: who waited with it would not read that the other side is gone too.
func (e *relayEnd) wrote(p []byte, n int) {
	if n < len(p) && !e.other.t.Broken() {
		e.kept = append(e.kept, p[n:]...)
		e.t.Pause(true)
	}
}

func (e *relayEnd) Writable() {
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	if e.j.ended {
		return
	}
	from := e.other
	from.kept = from.kept[e.t.Write([][]byte{from.kept}):]
	if len(from.kept) == 0 || e.t.Broken() {
		from.kept = nil
		from.t.Pause(false)
	}
}

func (e *relayEnd) Gone(broken bool) {
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	e.gone = true
	switch {
	case e.j.ended:
	case broken:
		e.j.ended = true
		e.t.Abort()
		e.other.t.Abort()
	case e.other.gone:
		e.j.ended = true
		e.t.Finish()
		e.other.t.Finish()
	default:
		e.other.t.Shut()
	}
}

// moveAround sends relays from loop to loop until stop is closed.
func moveAround(all []*loop, relays []*relay, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Microsecond):
			relays[rand.IntN(len(relays))].at.loop.Store(all[rand.IntN(len(all))])
		}
	}
}

// Sessions move between loops while bytes flow, and no byte is lost, doubled or
// out of order. Every other is cut in the middle.
func TestMovesKeepTheStreams(t *testing.T) {
	for name, enter := range map[string]func(*aio, []*iocb) (int, unix.Errno){
		"epoll": nil, "aio": (*aio).ioSubmit, "aio that is refused": refusing,
	} {
		t.Run(name, func(t *testing.T) { movesKeepTheStreams(t, enter) })
	}
}

// refusing is a kernel that now and then has no room, for all or for some, or is
// interrupted.
func refusing(a *aio, list []*iocb) (int, unix.Errno) {
	switch rand.IntN(4) {
	case 0:
		return 0, unix.EAGAIN
	case 1:
		return 0, unix.EINTR
	case 2:
		list = list[:1+rand.IntN(len(list))]
	}
	return a.ioSubmit(list)
}

func movesKeepTheStreams(t *testing.T, enter func(*aio, []*iocb) (int, unix.Errno)) {
	before := descriptors(t)
	t.Run("moving", func(t *testing.T) {
		var ls loops
		defer ls.close()
		if enter != nil {
			if err := ls.tryRounds(1); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			l := ls.grow()
			if l == nil || (l.round == nil) != (enter == nil) {
				t.Fatal("no loop, or no rounds")
			}
			if l.round != nil {
				l.round.aio.enter = enter
			}
		}
		var relays []*relay
		var clients []net.Conn
		var work sync.WaitGroup
		for i := range 8 {
			name := []string{"tcp", "unix"}[i/2%2]
			near, client := network(t, name)
			far, app := network(t, name)
			relays, clients = append(relays, newRelay(t, &ls, near, far)), append(clients, client)
			work.Go(func() { echo(app) })
		}
		stop := make(chan struct{})
		var mover sync.WaitGroup
		mover.Go(func() { moveAround(ls.all, relays, stop) })
		for i, c := range clients {
			work.Go(func() { converse(t, c, random(8<<20), i%2 == 1) })
		}
		work.Wait()
		close(stop)
		mover.Wait()
		for _, j := range relays {
			j.mu.Lock()
			if !j.ended {
				t.Error("a session did not hear of its end")
			}
			j.mu.Unlock()
		}
	})
	wantDescriptors(t, before)
}

// echo returns what comes, and then ends its side.
func echo(c net.Conn) {
	defer c.Close()
	_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
}

// converse wants p back. With cut it goes away in the middle, as a crash does.
func converse(t *testing.T, c net.Conn, p []byte, cut bool) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(hang))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for rest := p; len(rest) > 0; {
			n, err := c.Write(rest[:min(len(rest), 1+rand.IntN(100_000))])
			if rest = rest[n:]; err != nil {
				if !cut {
					t.Errorf("write: %v", err)
				}
				return
			}
		}
		_ = CloseWrite(c)
	}()
	want := p
	if cut {
		want = p[:len(p)/4]
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes came back, %v; or others than were sent", n, len(want), err)
	}
	if tc, ok := c.(*net.TCPConn); ok && cut {
		_ = tc.SetLinger(0)
	}
	if cut {
		c.Close()
	}
	<-sent
	if !cut {
		if n, err := c.Read(got[:1]); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d bytes, %v, want EOF", n, err)
		}
	}
}

// flooded counts the turns of a socket that always has more.
type flooded struct {
	Discard
	turn func(n int)
}

func (f flooded) Bytes(p []byte) int {
	f.turn(len(p))
	return len(p)
}

// fairTurns is what each flood may have while a message waits: one in the round
// in which it came, and one in the next, whose order is the kernel's. fairBytes is
// what all of them may have together, on the average: what is left of a turn, and
// what those have that had little to say before.
const (
	fairTurns = 2
	fairBytes = 2 * turnBytes
)

// keep makes sessions stay where they are, however busy a loop is.
func (s *loops) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// While some sockets flood a loop, another's message waits for a few turns and
// no more, and a turn is loopBuffer at most.
func TestLoopIsFair(t *testing.T) {
	for _, floods := range []int{3, 60} {
		loopIsFair(t, floods)
	}
}

func loopIsFair(t *testing.T, floods int) {
	const rounds = 500
	var ls loops
	at := new(Affinity)
	pool := new(bufferPool)
	open := func(c net.Conn, turn func(n int)) Conn {
		tr := newEpollConn(c, flooded{turn: turn}, pool, &ls, at, new(epollConn))
		if tr == nil {
			t.Fatal("no transport")
		}
		return tr
	}

	// The loop's goroutine's, until it has ended.
	turns := make([]int, floods) // since the message was sent
	var full, sent, heard, waited int
	done := make(chan struct{})

	near, small := network(t, "unix") // whose bytes are there when Write returns
	defer small.Close()
	quiet := open(near, func(n int) {
		if heard += n; heard == rounds {
			close(done)
		}
	})
	quiet.Start(nil)

	ls.keep()
	var over atomic.Bool
	var writers sync.WaitGroup
	for i := range floods {
		near, far := network(t, "unix")
		defer far.Close()
		if err := far.(*net.UnixConn).SetWriteBuffer(8 * loopBuffer); err != nil {
			t.Fatal(err)
		}
		tr := open(near, func(n int) {
			turns[i]++
			if sent > heard {
				waited += n
			}
			switch {
			case n > loopBuffer:
				t.Errorf("a turn of %d bytes", n)
			case n == loopBuffer:
				full++
			}
			switch {
			case sent > heard && turns[i] > fairTurns:
				t.Errorf("flood %d had %d turns while a message waited", i, turns[i])
			case sent == heard && sent < rounds:
				clear(turns)
				sent++
				if _, err := small.Write([]byte{1}); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
		writers.Go(func() {
			p := make([]byte, 1<<20)
			_ = far.SetWriteDeadline(time.Now().Add(hang))
			for !over.Load() {
				if _, err := far.Write(p); err != nil {
					t.Errorf("write: %v", err)
					return
				}
			}
		})
		tr.Start(nil)
	}
	select {
	case <-done:
	case <-time.After(hang):
		t.Error("the messages are not heard")
	}
	over.Store(true)
	writers.Wait()
	ls.close()
	if full == 0 {
		t.Error("no socket ever had more than a turn takes")
	}
	if waited /= rounds; waited > fairBytes {
		t.Errorf("%d floods had %d KiB while a message waited, want %d at most", floods, waited>>10, fairBytes>>10)
	}
}

// whole is a sink that takes nothing but whole messages of a size.
type whole struct {
	Discard
	size  int
	heard func(offered, used []byte)
}

func (w whole) Bytes(p []byte) int {
	used := len(p) / w.size * w.size
	w.heard(p, p[:used])
	return used
}

// The start of a message that has not come as a whole does not make the next
// read a small one.
func TestReadsStayLarge(t *testing.T) {
	var ls loops
	defer ls.close()
	near, far := network(t, "unix")
	defer far.Close()
	if err := far.(*net.UnixConn).SetWriteBuffer(8 * loopBuffer); err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 2*loopBuffer+loopBuffer/2)
	for i := range sent {
		sent[i] = byte(i / 7)
	}
	_ = far.SetWriteDeadline(time.Now().Add(hang))
	if _, err := far.Write(sent); err != nil {
		t.Fatal(err) // all of it is there before anything is read
	}
	sent = sent[:len(sent)/1000*1000]
	var got []byte
	var offers []int
	done := make(chan struct{})
	tr := newEpollConn(near, whole{size: 1000, heard: func(offered, used []byte) {
		offers = append(offers, len(offered))
		if got = append(got, used...); len(got) == len(sent) {
			close(done)
		}
	}}, new(bufferPool), &ls, new(Affinity), new(epollConn))
	tr.Start(nil)
	select {
	case <-done:
	case <-time.After(hang):
		t.Fatal("not all messages are heard")
	}
	if !bytes.Equal(got, sent) {
		t.Error("the messages are not those that were sent")
	}
	if offers[0] != loopBuffer || offers[1] != loopBuffer {
		t.Errorf("%d bytes were offered in turns of %d", len(sent), offers)
	}
}

// A server that stops leaves no socket behind, whatever state it was in, and
// what comes too late finds no loop.
func TestLoopsClose(t *testing.T) {
	const each = 300
	before := descriptors(t)
	t.Run("closing", func(t *testing.T) {
		var ls loops
		at := new(Affinity)
		pool := new(bufferPool)
		var all []Conn
		var peers []net.Conn
		for range each {
			near, far := network(t, "unix")
			all, peers = append(all, newEpollConn(near, Discard{}, pool, &ls, at, new(epollConn))), append(peers, far)
		}
		for i, tr := range all {
			switch i % 4 {
			case 0: // not begun
			case 1:
				tr.Start(nil)
			case 2:
				tr.Start(nil)
				tr.Finish()
			case 3:
				tr.Start(nil)
				tr.Abort()
			}
		}
		ls.close()
		ls.close()
		for i, tr := range all {
			if i%4 < 2 {
				tr.Abort()
			}
		}
		for i, c := range peers {
			_ = c.SetReadDeadline(time.Now().Add(hang))
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Fatalf("peer %d: %v, want EOF", i, err)
			}
			c.Close()
		}
		near, far := network(t, "unix")
		defer near.Close()
		defer far.Close()
		if newEpollConn(near, Discard{}, pool, &ls, new(Affinity), new(epollConn)) != nil {
			t.Error("loops that were closed take a socket")
		}
	})
	wantDescriptors(t, before)
}
