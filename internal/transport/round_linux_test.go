package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// answerer is a sink that answers what comes with something of its own, through the
// round if it can. Sinks that share a lock are one session.
type answerer struct {
	*sync.Mutex
	t      *epollConn
	answer []byte
	also   func() // called with the bytes

	got          []byte
	early        int // calls of BytesInRound that took bytes
	late         int // calls of Bytes
	waits        bool
	wrote        []int // what came of each write
	room         int   // calls of Writable
	gone, broken bool
}

func (a *answerer) Bytes(p []byte) int {
	a.Lock()
	defer a.Unlock()
	a.late++
	a.take(p)
	if len(a.answer) > 0 {
		a.wrote = append(a.wrote, a.t.Write([][]byte{a.answer}))
	}
	return len(p)
}

func (a *answerer) BytesInRound(p []byte, r *Round) (int, bool) {
	if !a.TryLock() {
		return 0, false
	}
	a.early++
	a.take(p)
	if len(a.answer) > 0 && r.Write(a.t, [][]byte{a.answer[:1], a.answer[1:]}, a) {
		a.waits = true
		return len(p), true
	}
	if len(a.answer) > 0 {
		a.wrote = append(a.wrote, a.t.Write([][]byte{a.answer}))
	}
	a.Unlock()
	return len(p), true
}

func (a *answerer) take(p []byte) {
	a.got = append(a.got, p...)
	if a.also != nil {
		a.also()
	}
}

func (a *answerer) Wrote(n int) {
	defer a.Unlock()
	a.waits = false
	a.wrote = append(a.wrote, n)
}

func (a *answerer) Writable() { a.room++ }

func (a *answerer) Gone(broken bool) { a.gone, a.broken = true, broken }

// handLoop is an event loop whose rounds a test makes one by one.
type handLoop struct {
	*testing.T
	l  *loop
	at *Affinity
}

func newHandLoop(t *testing.T, enter func(*aio, []*iocb) (int, unix.Errno)) *handLoop {
	t.Helper()
	a, err := newAIO(roundConns)
	if err != nil {
		t.Fatal(err)
	}
	if enter != nil {
		a.enter = enter
	}
	all := &loops{closed: true} // nobody moves
	l, err := newLoop(all)
	if err != nil {
		t.Fatal(err)
	}
	l.round = newRound(l, a, 1)
	h := &handLoop{T: t, l: l, at: new(Affinity)}
	h.at.loop.Store(l)
	t.Cleanup(l.end)
	return h
}

// open makes a connection that the loop reads, of a session with that lock.
func (h *handLoop) open(name string, lock *sync.Mutex, answer string) (*answerer, net.Conn) {
	h.Helper()
	near, far := network(h.T, name)
	h.Cleanup(func() { far.Close() })
	_ = far.SetDeadline(time.Now().Add(hang))
	a := &answerer{Mutex: lock, t: new(epollConn), answer: []byte(answer)}
	if newEpollConn(near, a, new(bufferPool), nil, h.at, a.t) == nil {
		h.Fatal("no transport")
	}
	a.t.Start(nil)
	h.l.runPosted()
	return a, far
}

// round makes rounds until nothing is left to do at once. The events of what peers
// have written are there, since both ends are on this machine.
func (h *handLoop) round() {
	h.Helper()
	for range 20 {
		h.l.runPosted()
		if !h.l.pollOnce(0) && len(h.l.again) == 0 {
			return
		}
		waited := len(h.l.again)
		h.l.dispatch(h.l.events[:h.l.got])
		h.l.serve(waited)
	}
}

func (h *handLoop) say(c net.Conn, text string) {
	h.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		h.Fatal(err)
	}
}

func (h *handLoop) hear(c net.Conn, text string) {
	h.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		h.Errorf("peer: read %q, %v, want %q", got, err, text)
	}
}

// kernels are ways in which a submission does not do all that is in it.
var kernels = map[string]func(a *aio, list []*iocb) (int, unix.Errno){
	"does it all": (*aio).ioSubmit,
	"refuses all": func(*aio, []*iocb) (int, unix.Errno) { return 0, unix.EAGAIN },
	"forbids it":  func(*aio, []*iocb) (int, unix.Errno) { return 0, unix.EPERM },
	"refuses reads": func(a *aio, list []*iocb) (int, unix.Errno) {
		if list[0].opcode == aioRead {
			return 0, unix.EAGAIN
		}
		return a.ioSubmit(list)
	},
	"refuses writes": func(a *aio, list []*iocb) (int, unix.Errno) {
		if list[0].opcode != aioRead {
			return 0, unix.EAGAIN
		}
		return a.ioSubmit(list)
	},
	"has room for three": func(a *aio, list []*iocb) (int, unix.Errno) {
		if list[0].data >= 3 {
			return 0, unix.EAGAIN
		}
		return a.ioSubmit(list[:min(len(list), 3-int(list[0].data))])
	},
	"takes one at a time": func(a *aio, list []*iocb) (int, unix.Errno) { return a.ioSubmit(list[:1]) },
}

// Whatever a submission does not do is done by itself, and each session hears of its
// bytes and its write once.
func TestRoundDoesWhatIsRefused(t *testing.T) {
	for name, enter := range kernels {
		t.Run(name, func(t *testing.T) {
			h := newHandLoop(t, enter)
			var sinks []*answerer
			var peers []net.Conn
			for i := range 10 {
				a, far := h.open([]string{"tcp", "unix"}[i%2], new(sync.Mutex), "answer")
				sinks, peers = append(sinks, a), append(peers, far)
			}
			for n := 1; n <= 3; n++ {
				for _, c := range peers {
					h.say(c, "question")
				}
				h.round()
				for i, a := range sinks {
					h.hear(peers[i], "answer")
					if want := bytes.Repeat([]byte("question"), n); !bytes.Equal(a.got, want) || len(a.wrote) != n || a.wrote[n-1] != len("answer") || a.waits {
						t.Errorf("socket %d: got %q, wrote %v, waits %v", i, a.got, a.wrote, a.waits)
					}
				}
			}
		})
	}
}

// Two sockets of a session that are ready at once: the second waits until the first
// has written. So does one whose session another goroutine has.
func TestRoundWaitsForNoLock(t *testing.T) {
	h := newHandLoop(t, nil)
	session := new(sync.Mutex)
	a, first := h.open("unix", session, "answer")
	b, second := h.open("unix", session, "answer")
	h.say(first, "question")
	h.say(second, "question")
	h.round()
	h.hear(first, "answer")
	h.hear(second, "answer")
	if a.early+b.early != 1 || a.late+b.late != 1 {
		t.Errorf("in the round %d, later %d, want one of the two each", a.early+b.early, a.late+b.late)
	}
	session.Lock()
	released := make(chan struct{})
	time.AfterFunc(5*time.Millisecond, func() { session.Unlock(); close(released) })
	h.say(first, "question")
	h.round()
	<-released
	h.hear(first, "answer")
}

// A write that finds little room is short, and the sink hears of room later; one that
// is large, or of many parts, is not taken.
func TestRoundShortWrite(t *testing.T) {
	h := newHandLoop(t, nil)
	large := string(random(roundWrite))
	a, far := h.open("tcp", new(sync.Mutex), large)
	sent, written := 0, func() (n int) {
		for _, w := range a.wrote {
			n += w
		}
		return n
	}
	for short := false; !short && sent < 10_000; sent++ {
		h.say(far, "x")
		h.round()
		short = a.wrote[len(a.wrote)-1] < len(large)
	}
	h.say(far, "y") // into a socket that is full
	h.round()
	if last := a.wrote[len(a.wrote)-1]; last != 0 || !a.t.short.Load() {
		t.Errorf("a full socket took %d bytes, short %v", last, a.t.short.Load())
	}
	if a.late > 0 {
		t.Errorf("%d calls were not in a round", a.late)
	}
	if _, err := io.ReadFull(far, make([]byte, written())); err != nil {
		t.Error(err)
	}
	h.round()
	if a.room == 0 {
		t.Error("the sink does not hear of room")
	}
	if h.l.round.Write(a.t, [][]byte{make([]byte, roundWrite+1)}, a) || h.l.round.Write(a.t, make([][]byte, fewParts+1), a) {
		t.Error("a round takes what is too much for it")
	}
}

// A peer that goes away between reading and writing breaks its own connection and no
// other, also where the kernel knows no writes without SIGPIPE.
func TestRoundPeerGone(t *testing.T) {
	for _, flags := range []uint32{0, rwfNoSignal} {
		var leave func()
		h := newHandLoop(t, func(a *aio, list []*iocb) (int, unix.Errno) {
			if list[0].opcode != aioRead && leave != nil {
				leave()
				leave = nil
			}
			return a.ioSubmit(list)
		})
		if flags != 0 && h.l.round.aio.flags == 0 {
			continue // a kernel before 6.18
		}
		h.l.round.aio.flags = flags
		var sinks []*answerer
		var peers []net.Conn
		for i := range 4 {
			a, far := h.open([]string{"tcp", "unix"}[i%2], new(sync.Mutex), "answer")
			sinks, peers = append(sinks, a), append(peers, far)
			h.say(far, "question")
		}
		leave = func() {
			_ = peers[0].(*net.TCPConn).SetLinger(0)
			peers[0].Close()
			peers[1].Close()
		}
		h.round()
		for i, a := range sinks {
			switch gone := i < 2; {
			case string(a.got) != "question" || a.waits:
				t.Errorf("socket %d: got %q, waits %v", i, a.got, a.waits)
			case gone && (a.wrote[0] != 0 || !a.t.Broken() || !a.gone || !a.broken):
				t.Errorf("socket %d, whose peer is gone: wrote %v, broken %v, told %v %v", i, a.wrote, a.t.Broken(), a.gone, a.broken)
			case !gone:
				h.hear(peers[i], "answer")
			}
		}
	}
}

// What becomes of a socket between its reading and its turn counts: one that is
// paused gets its bytes when the pause is over, one that is finished or aborted none.
func TestRoundTurns(t *testing.T) {
	h := newHandLoop(t, nil)
	first, c := h.open("unix", new(sync.Mutex), "")
	var others []*answerer
	for range 3 {
		a, far := h.open("unix", new(sync.Mutex), "")
		others = append(others, a)
		h.say(far, "question")
	}
	h.say(c, "now")
	first.also = func() {
		others[0].t.Pause(true)
		others[1].t.Finish()
		others[2].t.Abort()
	}
	// It is the first in the order of the sockets, whatever the kernel's is.
	h.l.runPosted()
	h.l.pollOnce(0)
	for i := range h.l.events[:h.l.got] {
		if int(h.l.events[i].Fd) == first.t.fd {
			h.l.events[0], h.l.events[i] = h.l.events[i], h.l.events[0]
		}
	}
	h.l.dispatch(h.l.events[:h.l.got])
	h.round()
	for i, a := range others {
		if len(a.got) > 0 {
			t.Errorf("socket %d got %q", i, a.got)
		}
	}
	others[0].t.Pause(false)
	h.round()
	if string(others[0].got) != "question" {
		t.Errorf("after the pause it got %q", others[0].got)
	}
}

// Messages that come in pieces, and some that are larger than a slot, come whole.
func TestRoundPieces(t *testing.T) {
	h := newHandLoop(t, nil)
	near, far := network(t, "tcp")
	defer far.Close()
	sent, tr := random(300_000), new(epollConn)
	var got []byte
	if newEpollConn(near, wholeInRounds{whole{size: 700, heard: func(_, used []byte) { got = append(got, used...) }}}, new(bufferPool), nil, h.at, tr) == nil {
		t.Fatal("no transport")
	}
	tr.Start(nil)
	done := make(chan error, 1)
	go func() {
		var err error
		for p := sent; len(p) > 0 && err == nil; {
			n := min(len(p), 1+len(p)%5000)
			_, err = far.Write(p[:n])
			p = p[n:]
		}
		done <- errors.Join(err, far.Close())
	}()
	want := sent[:len(sent)/700*700]
	for began := time.Now(); len(got) < len(want) && time.Since(began) < hang; {
		h.round()
	}
	if err := <-done; err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes, %v, or others than were sent", len(got), len(want), err)
	}
}

type wholeInRounds struct{ whole }

func (w wholeInRounds) BytesInRound(p []byte, _ *Round) (int, bool) { return w.Bytes(p), true }

// Who asks for rounds where there are none hears why.
func TestChoose(t *testing.T) {
	for d, want := range map[Driver]Driver{"": DriverAIO, DriverAuto: DriverAIO, DriverAIO: DriverAIO, DriverEpoll: DriverEpoll, DriverGoroutine: DriverGoroutine} {
		s := Sockets{Driver: d}
		if got, err := s.Choose(); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", d, got, err, want)
		}
		s.Close()
	}
	for _, errno := range []unix.Errno{unix.EAGAIN, unix.ENOSYS, unix.EPERM} {
		if err := setupError(errno); !errors.Is(err, errno) {
			t.Errorf("%v is told as %v", errno, err)
		}
	}
}

// A node without room for another loop's rounds leaves that loop to epoll, once told.
func TestRoundsRefusedLater(t *testing.T) {
	var told []error
	ls := loops{refused: func(err error) { told = append(told, err) }}
	defer ls.close()
	if err := ls.tryRounds(1); err != nil {
		t.Fatal(err)
	}
	ls.grow()
	ls.make = func(int) (*aio, error) { return nil, setupError(unix.EAGAIN) }
	ls.grow()
	ls.grow()
	if ls.all[0].round == nil || ls.all[1].round != nil || ls.all[2].round != nil || len(told) != 1 {
		t.Errorf("told %v", told)
	}
}
