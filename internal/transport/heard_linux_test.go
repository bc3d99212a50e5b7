package transport

import (
	"net"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/monotime"
)

// TestHeard plays rounds of a loop with 600 descriptors that takes 256 events at a
// time.
func TestHeard(t *testing.T) {
	var h heard
	for i, round := range []struct{ at, n, want int }{
		{at: 10, n: 3, want: 10},
		{at: 20, n: 256, want: 10}, // more may be ready
		{at: 30, n: 256, want: 10},
		{at: 40, n: 256, want: 20}, // all that were ready at 20 are among 768
		{at: 50, n: 256, want: 20},
		{at: 60, n: 255, want: 60},
		{at: 70, n: 0, want: 70},
	} {
		if h.polled = monotime.Time(round.at); round.n == 0 {
			h.nothing()
		} else {
			h.read(round.n, 256, 600)
		}
		if got := h.until.Load(); got != int64(round.want) {
			t.Fatalf("round %d: heard until %d, want %d", i+1, got, round.want)
		}
	}
}

// A slowSink is busy until it is let go.
type slowSink struct {
	Discard
	got, let chan struct{}
}

func (s *slowSink) Bytes(p []byte) int {
	s.got <- struct{}{}
	<-s.let
	return len(p)
}

// What lies in sockets while the loop is busy with another is not heard, and a loop
// that has nothing to do has heard all.
func TestHeardWhileBusy(t *testing.T) {
	sockets := &Sockets{Driver: DriverEpoll}
	defer sockets.Close()
	var at Affinity
	if now := monotime.Now(); at.Heard(now) != now {
		t.Error("without a loop nothing is read late")
	}
	sink := &slowSink{got: make(chan struct{}), let: make(chan struct{})}
	near, far := tcpPair(t)
	c := sockets.Open(near, sink, &at, nil)
	c.Start(nil)
	idle := func() bool { now := monotime.Now(); return at.Heard(now) == now }
	for began := time.Now(); !idle(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("a loop with nothing to do has not heard all")
		}
	}
	busy := func(say string) {
		t.Helper()
		if _, err := far.Write([]byte(say)); err != nil {
			t.Fatal(err)
		}
		<-sink.got
	}
	busy("a")
	from := monotime.Now()
	time.Sleep(5 * time.Millisecond)
	if got := at.Heard(monotime.Now()); got > from {
		t.Errorf("heard %v after the loop began to be busy", got.Sub(from))
	}
	if now := monotime.Now().Add(time.Hour); at.Heard(now) != now.Add(-maxUnheard) {
		t.Error("a loop is believed to be behind for longer than it may")
	}
	sink.let <- struct{}{}
	for began := time.Now(); at.Heard(monotime.Now()) <= from; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it has not heard more since")
		}
	}
	c.Abort()
}

// tcpPair is both ends of a connection.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}
