package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// recordSize is what the sink of these tests uses at a time: a part of a record
// is left over, as a part of a frame is.
const recordSize = 1000

// hang is when a test gives up.
const hang = 20 * time.Second

// A rig is a transport, the other end of its connection, and both the owner and
// the sink of the transport.
type rig struct {
	*testing.T
	t    Conn
	peer net.Conn

	busy  atomic.Bool // Bytes or Gone is under way
	over  atomic.Bool // Finish or Abort has returned
	quiet atomic.Bool // Bytes has paused

	changed chan struct{}

	mu       sync.Mutex // the owner's; guards the rest
	onBytes  func()     // called after each Bytes that used some
	got      []byte
	offered  int // calls of Bytes
	writable int // calls of Writable
	gone     []bool
}

func (r *rig) enter(call string) {
	if r.over.Load() {
		r.Errorf("%s after the end", call)
	}
	r.mu.Lock()
}

func (r *rig) leave() {
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *rig) alone(call string) (done func()) {
	if !r.busy.CompareAndSwap(false, true) {
		r.Errorf("%s while Bytes or Gone is under way", call)
	}
	return func() { r.busy.Store(false) }
}

// Bytes implements Sink.
func (r *rig) Bytes(p []byte) int {
	defer r.alone("Bytes")()
	if r.quiet.Load() {
		r.Errorf("Bytes in a pause")
	}
	r.enter("Bytes")
	defer r.leave()
	if len(r.gone) > 0 {
		r.Errorf("Bytes after Gone")
	}
	used := len(p) - len(p)%recordSize
	r.got = append(r.got, p[:used]...)
	r.offered++
	if r.onBytes != nil && used > 0 {
		r.onBytes()
	}
	return used
}

// BytesInRound implements RoundSink.
func (r *rig) BytesInRound(p []byte, _ *Round) (int, bool) {
	if !r.mu.TryLock() {
		return 0, false
	}
	r.mu.Unlock()
	return r.Bytes(p), true
}

// Writable implements Sink.
func (r *rig) Writable() {
	r.enter("Writable")
	defer r.leave()
	r.writable++
}

// Gone implements Sink.
func (r *rig) Gone(broken bool) {
	defer r.alone("Gone")()
	r.enter("Gone")
	defer r.leave()
	r.gone = append(r.gone, broken)
}

// own calls methods of the transport as its owner. A method that called the
// sink would wait for the owner's lock.
func (r *rig) own(methods func()) {
	r.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.mu.Lock()
		defer r.mu.Unlock()
		methods()
	}()
	select {
	case <-done:
	case <-time.After(hang):
		r.Fatal("a method waits: does it call its sink?")
	}
}

// end is Finish or Abort.
func (r *rig) end(method func()) {
	r.Helper()
	r.own(func() {
		method()
		r.over.Store(true)
	})
}

// until waits for what the sink is to see.
func (r *rig) until(what string, seen func() bool) {
	r.Helper()
	for timeout := time.After(hang); ; {
		var ok bool
		r.own(func() { ok = seen() })
		if ok {
			return
		}
		select {
		case <-r.changed:
		case <-timeout:
			r.Fatalf("waited in vain for %s: %d bytes in %d calls, %d of Writable, gone %v", what, len(r.got), r.offered, r.writable, r.gone)
		}
	}
}

func (r *rig) wantBytes(want []byte) {
	r.Helper()
	r.until("all bytes", func() bool { return len(r.got) >= len(want) })
	r.own(func() {
		if !bytes.Equal(r.got, want) {
			r.Errorf("%d bytes came that are not the %d that were sent", len(r.got), len(want))
		}
	})
}

func (r *rig) wantGone(broken bool) {
	r.Helper()
	r.until("Gone", func() bool { return len(r.gone) > 0 })
	r.own(func() {
		if len(r.gone) != 1 || r.gone[0] != broken {
			r.Errorf("Gone: %v, want %v once", r.gone, broken)
		}
	})
}

// write writes all of p, in parts of random sizes, waiting for room as often as
// need be. It returns how often that was.
func (r *rig) write(p []byte) (waits int) {
	r.Helper()
	for len(p) > 0 {
		var n, owed, room int
		r.own(func() {
			parts := split(p)
			room = r.writable
			n, owed = r.t.Write(parts), size(parts)
		})
		p = p[n:]
		if n < owed {
			waits++
			r.until("room", func() bool { return r.writable > room })
		}
	}
	return waits
}

// split cuts some of p into parts, more than one system call takes.
func split(p []byte) (parts [][]byte) {
	for len(p) > 0 && len(parts) < 3*8 {
		n := min(len(p), rand.IntN(8000))
		parts = append(parts, p[:n])
		p = p[n:]
	}
	return parts
}

// send writes p at the peer, in pieces of random sizes.
func (r *rig) send(p []byte) {
	for len(p) > 0 {
		n, err := r.peer.Write(p[:min(len(p), 1+rand.IntN(3*loopPiece))])
		if err != nil {
			r.Errorf("peer: write: %v", err)
			return
		}
		p = p[n:]
	}
}

// loopPiece is about what a transport reads at once.
const loopPiece = 32 << 10

// receive wants exactly p at the peer.
func (r *rig) receive(p []byte) {
	r.Helper()
	got := make([]byte, len(p))
	if _, err := io.ReadFull(r.peer, got); err != nil || !bytes.Equal(got, p) {
		r.Errorf("peer: read: %v, or other bytes than were written", err)
	}
}

// wantEOF wants the end of the stream at the peer.
func (r *rig) wantEOF() {
	r.Helper()
	if n, err := r.peer.Read(make([]byte, 1)); err != io.EOF {
		r.Errorf("peer: read: %d bytes, %v, want EOF", n, err)
	}
}

// wantClosed wants that the socket does not take the peer's bytes for ever.
func (r *rig) wantClosed() {
	r.Helper()
	for began := time.Now(); time.Since(began) < hang; {
		if _, err := r.peer.Write(make([]byte, 1)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.Error("the socket is still there")
}

func random(n int) []byte {
	p := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = source.Read(p)
	return p
}

// network makes both ends of a connection, with little room in between.
func network(t *testing.T, name string) (near, far net.Conn) {
	address := "127.0.0.1:0"
	switch name {
	case "pipe":
		return net.Pipe()
	case "unix":
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(name, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial(name, l.Addr().String()); err == nil {
		near, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{near, far} {
		c := c.(interface {
			SetReadBuffer(n int) error
			SetWriteBuffer(n int) error
		})
		if err := errors.Join(c.SetReadBuffer(32<<10), c.SetWriteBuffer(32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	return near, far
}

// contract is what every transport keeps. A network without half of a close is
// left out where it has to have one.
var contract = []struct {
	name  string
	pipes bool
	run   func(r *rig)
}{
	{"bytes come in order", true, bytesInOrder},
	{"a full socket takes less, and tells of room", true, fullSocket},
	{"a pause holds what is there", true, pauseHolds},
	{"a pause in Bytes", true, pauseWithin},
	{"Shut leaves reading alone", false, shutAlone},
	{"the peer shuts first", false, peerShuts},
	{"Finish waits for the peer", false, finishWaits},
	{"Finish does not wait for ever", true, finishEnds},
	{"Finish waits for a peer that is slow", false, finishIsPatient},
	{"Finish within Bytes", true, func(r *rig) { endWithin(r, r.t.Finish) }},
	{"Abort within Bytes", true, func(r *rig) { endWithin(r, r.t.Abort) }},
	{"Abort resets", true, abortResets},
	{"Abort before Start, twice", true, abortBeforeStart},
	{"Finish before Start", true, finishBeforeStart},
	{"Shut before Start", false, shutBeforeStart},
	{"a short write before Start", true, shortBeforeStart},
	{"a failing write before Start", false, failBeforeStart},
	{"a failing write in a pause", true, failInPause},
	{"the peer resets", false, peerResets},
	{"Finish after Gone", true, finishAfterGone},
}

func TestTransportContract(t *testing.T) {
	kinds := map[string]func(net.Conn, Sink, *Sockets) Conn{
		"conn": func(c net.Conn, s Sink, all *Sockets) Conn { return newBufferedConn(c, s, &all.buffers) },
	}
	if runtime.GOOS == "linux" {
		kinds["netpoll"] = func(c net.Conn, s Sink, all *Sockets) Conn { return newNetpollConn(c, s, &all.buffers) }
		kinds["epoll"] = func(c net.Conn, s Sink, all *Sockets) Conn {
			return openEpoll(c, s, all, nil, nil)
		}
		kinds["aio"] = func(c net.Conn, s Sink, all *Sockets) Conn {
			if d, err := all.Choose(); d != DriverAIO {
				r := s.(*rig)
				r.Fatalf("Linux AIO does not work: %v", err)
			}
			return openEpoll(c, s, all, nil, nil)
		}
	}
	for kind, open := range kinds {
		for _, net := range []string{"tcp", "unix", "pipe"} {
			if net == "pipe" && kind != "conn" {
				continue // it has no descriptor
			}
			t.Run(kind+" "+net, func(t *testing.T) {
				before := descriptors(t)
				t.Run("all", func(t *testing.T) { runContract(t, Driver(kind), net, open) })
				wantDescriptors(t, before)
			})
		}
	}
}

func runContract(t *testing.T, driver Driver, name string, open func(net.Conn, Sink, *Sockets) Conn) {
	all := Sockets{Driver: driver}
	t.Cleanup(all.Close)
	for _, c := range contract {
		if name == "pipe" && !c.pipes {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			near, far := network(t, name)
			r := &rig{T: t, peer: far, changed: make(chan struct{}, 1)}
			if r.t = open(near, r, &all); r.t == nil {
				t.Fatal("no transport")
			}
			t.Cleanup(func() {
				far.Close()
				if !r.over.Load() { // else it closes the socket by itself
					r.own(r.t.Abort)
				}
			})
			_ = far.SetDeadline(time.Now().Add(hang))
			c.run(r)
		})
	}
}

func bytesInOrder(r *rig) {
	p := random(1000 * recordSize)
	early := 7*recordSize + 1
	r.own(func() { r.t.Start(p[:early]) })
	go r.send(p[early:])
	r.wantBytes(p)
	r.peer.Close()
	r.wantGone(false)
}

func fullSocket(r *rig) {
	p := random(1 << 20)
	r.own(func() { r.t.Start(nil) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.receive(p)
	}()
	if r.write(p) == 0 {
		r.Error("the socket was never full")
	}
	<-done
}

// stuff writes records at the peer until no more fit, and returns them.
func (r *rig) stuff() (sent []byte) {
	p := random(64 << 20)
	for len(sent) < len(p) {
		_ = r.peer.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := r.peer.Write(p[len(sent):])
		sent = p[:len(sent)+n]
		if err != nil {
			break
		}
	}
	if len(sent) == len(p) {
		r.Error("reading was not paused")
	}
	_ = r.peer.SetWriteDeadline(time.Now().Add(hang))
	return sent
}

func pauseHolds(r *rig) {
	r.own(func() {
		r.t.Start(nil)
		r.t.Pause(true)
		r.t.Pause(true)
	})
	sent := r.stuff()
	whole := random(len(sent) + recordSize - len(sent)%recordSize)
	copy(whole, sent)
	for range 3 { // the last word counts
		r.own(func() {
			r.t.Pause(false)
			r.t.Pause(true)
			r.t.Pause(false)
		})
	}
	go r.send(whole[len(sent):])
	r.wantBytes(whole)
}

// pauseWithin: after a pause within Bytes nothing comes, and then the same
// bytes, also when nothing follows them.
func pauseWithin(r *rig) {
	p := random(100 * recordSize)
	paused := make(chan struct{}, len(p))
	r.own(func() {
		r.onBytes = func() {
			r.t.Pause(true)
			r.quiet.Store(true)
			paused <- struct{}{}
		}
		r.t.Start(p[:recordSize/2])
	})
	go r.send(p[recordSize/2:])
	for {
		<-paused
		var all bool
		r.own(func() {
			all = len(r.got) == len(p)
			r.quiet.Store(false)
			r.t.Pause(false)
		})
		if all {
			break
		}
	}
	r.wantBytes(p)
}

func shutAlone(r *rig) {
	p := random(100 * recordSize)
	r.own(func() { r.t.Start(nil) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.receive(p)
		r.wantEOF()
	}()
	r.write(p)
	r.own(func() {
		r.t.Shut()
		r.t.Shut()
	})
	<-done
	go func() {
		r.send(p)
		_ = CloseWrite(r.peer)
	}()
	r.wantBytes(p)
	r.wantGone(false)
}

func peerShuts(r *rig) {
	p := random(100 * recordSize)
	r.own(func() { r.t.Start(nil) })
	go func() {
		r.send(p)
		_ = CloseWrite(r.peer)
	}()
	r.wantBytes(p)
	r.wantGone(false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.receive(p)
		r.wantEOF()
	}()
	r.write(p)
	r.end(r.t.Finish)
	<-done
}

// finishWaits: what the peer sends before it has read the farewell resets
// nothing.
func finishWaits(r *rig) {
	r.own(func() { r.t.Start(nil) })
	r.write([]byte("farewell"))
	r.end(r.t.Finish)
	r.send(random(100 * recordSize))
	r.receive([]byte("farewell"))
	r.wantEOF()
}

func finishEnds(r *rig) {
	r.own(func() { r.t.Start(nil) })
	r.end(r.t.Finish)
	r.wantClosed()
}

// finishIsPatient: a peer that does not read for longer than lingerClose, and has
// not got all, gets it.
func finishIsPatient(r *rig) {
	if _, tcp := r.peer.(*net.TCPConn); !tcp {
		return // what was written to a Unix socket is the peer's
	}
	sent := random(500 * recordSize)
	var n int
	r.own(func() { r.t.Start(nil) })
	for full := false; !full; {
		if n == len(sent) {
			r.Fatalf("%d bytes that nobody reads are not too many", n)
		}
		r.own(func() {
			part := sent[n : n+recordSize]
			k := r.t.Write([][]byte{part})
			n += k
			full = k < len(part)
		})
	}
	r.own(func() {
		if p, ok := r.t.Progress(); runtime.GOOS == "linux" && (!ok || !p.Lacking) {
			r.Errorf("progress %+v, %v, of %d bytes that nobody reads", p, ok, n)
		}
	})
	r.end(r.t.Finish)
	time.Sleep(lingerClose + lingerClose/4)
	r.receive(sent[:n])
	r.wantEOF()
}

// endWithin: the sink's call is the last.
func endWithin(r *rig, end func()) {
	r.own(func() {
		r.onBytes = func() {
			end()
			r.over.Store(true)
		}
		r.t.Start(nil)
	})
	r.send(make([]byte, recordSize))
	r.until("the first bytes", func() bool { return r.offered > 0 })
	_, _ = r.peer.Write(make([]byte, recordSize)) // to which Abort does not listen
}

func abortResets(r *rig) {
	r.own(func() { r.t.Start(nil) })
	r.end(func() {
		r.t.Abort()
		r.t.Abort()
	})
	_, err := r.peer.Read(make([]byte, 1))
	if _, tcp := r.peer.(*net.TCPConn); tcp && !errors.Is(err, syscall.ECONNRESET) || err == nil {
		r.Errorf("peer: read: %v, want a reset", err)
	}
}

func abortBeforeStart(r *rig) {
	r.end(func() {
		r.t.Abort()
		r.t.Abort()
	})
	if _, err := r.peer.Read(make([]byte, 1)); err == nil {
		r.Error("the socket is still there")
	}
}

func finishBeforeStart(r *rig) {
	r.end(func() {
		if n := r.t.Write([][]byte{[]byte("farewell")}); n != len("farewell") {
			r.Errorf("took %d bytes", n)
		}
		r.t.Finish()
	})
	r.receive([]byte("farewell"))
	if _, tcp := r.peer.(*net.TCPConn); tcp {
		r.send(random(10 * recordSize)) // which does not reset
	}
	r.wantEOF()
}

func shutBeforeStart(r *rig) {
	p := random(10 * recordSize)
	r.own(func() {
		r.t.Shut()
		r.t.Start(nil)
	})
	r.wantEOF()
	go r.send(p)
	r.wantBytes(p)
}

// shortBeforeStart: room is told of once there is somebody to tell.
func shortBeforeStart(r *rig) {
	p := random(8 << 20)
	var n int
	r.own(func() { n = r.t.Write([][]byte{p}) })
	if n == len(p) {
		r.Fatal("the socket was never full")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.receive(p)
	}()
	r.own(func() { r.t.Start(nil) })
	r.until("room", func() bool { return r.writable > 0 })
	r.write(p[n:])
	<-done
}

// reset ends the peer's side with RST where there is one.
func (r *rig) reset() {
	if c, ok := r.peer.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	r.peer.Close()
}

// writeUntilBroken writes until the socket takes no more, for the peer is not
// there.
func (r *rig) writeUntilBroken() {
	r.Helper()
	for range 100 {
		var n int
		r.own(func() { n = r.t.Write([][]byte{make([]byte, 64<<10)}) })
		if n == 0 {
			return
		}
	}
	r.Error("a socket without a peer takes everything")
}

func failBeforeStart(r *rig) {
	r.reset()
	r.writeUntilBroken()
	r.own(func() { r.t.Start(nil) })
	if _, late := r.t.(*bufferedConn); late {
		r.until("Gone", func() bool { return len(r.gone) == 1 }) // it has not written yet, so that a FIN may come first
		return
	}
	r.wantGone(true)
}

// failInPause: what the peer had said is still there when the pause ends.
func failInPause(r *rig) {
	said := random(20 * recordSize)
	if _, piped := r.t.(*bufferedConn); piped && r.peer.LocalAddr().Network() == "pipe" {
		said = nil // a pipe holds nothing
	}
	r.own(func() {
		r.t.Start(nil)
		r.t.Pause(true)
	})
	r.send(said)
	r.reset()
	r.writeUntilBroken()
	r.until("a failed write", func() bool { return r.t.Broken() })
	r.own(func() {
		if len(r.gone) > 0 {
			r.Error("Gone in a pause")
		}
		r.onBytes = func() { // and another pause, behind which more has to be read
			r.t.Pause(true)
			r.onBytes = nil
		}
		r.t.Pause(false)
	})
	if len(said) > 0 {
		r.until("some bytes", func() bool { return r.offered > 0 })
		r.own(func() { r.t.Pause(false) })
	}
	r.wantBytes(said)
	r.wantGone(true)
}

func peerResets(r *rig) {
	_, tcp := r.peer.(*net.TCPConn)
	r.own(func() { r.t.Start(nil) })
	r.send(random(recordSize))
	r.wantBytes(random(recordSize))
	if !tcp {
		r.write([]byte("half read")) // which makes a close of a Unix socket a reset
		r.receive([]byte("half"))
	}
	r.reset()
	r.wantGone(true)
}

func finishAfterGone(r *rig) {
	r.own(func() { r.t.Start(nil) })
	r.peer.Close()
	r.wantGone(false)
	r.end(r.t.Finish)
}

// descriptors counts those of this process, where it can.
func descriptors(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// wantDescriptors waits until no more are open than before.
func wantDescriptors(t *testing.T, before int) {
	t.Helper()
	for began := time.Now(); descriptors(t) > before; time.Sleep(time.Millisecond) {
		if time.Since(began) > hang {
			t.Fatalf("%d descriptors are open, %d were before", descriptors(t), before)
		}
	}
}
