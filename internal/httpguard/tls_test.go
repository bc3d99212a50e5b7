package httpguard_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/budget"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// A secured server echoes by TLS.
type secured struct {
	memory  *budget.Budget
	addr    string
	client  *tls.Config
	refused atomic.Int64
	conns   sync.WaitGroup
}

func newSecured(t *testing.T, limit int64) *secured {
	authority := certs.NewAuthority()
	s := &secured{memory: budget.New(limit), client: &tls.Config{RootCAs: authority.Pool(), ServerName: "app"}}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	s.addr = raw.Addr().String()
	l := httpguard.TLS(raw, &tls.Config{Certificates: []tls.Certificate{authority.Issue("app").TLS()}}, httpguard.Handshakes{Memory: s.memory, Refused: func() { s.refused.Add(1) }})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	}()
	return s
}

func (s *secured) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// keyed is a client that has shaken hands, and whom the server knows.
func (s *secured) keyed(t *testing.T) *certs.Keyed {
	t.Helper()
	k, err := certs.KeyedClient(s.dial(t), s.client)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20 s: ", what)
		}
	}
}

// gone reports whether the server has ended the connection.
func gone(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := io.Copy(io.Discard, c)
	timeout, ok := err.(net.Error)
	return err == nil || !ok || !timeout.Timeout()
}

// TestTLSCounts: what honest clients send comes through, as it was cut, and what is
// kept of it counts until they have gone.
func TestTLSCounts(t *testing.T) {
	t.Parallel()
	s := newSecured(t, 64<<20)
	var clients sync.WaitGroup
	for range 8 {
		c := tls.Client(s.dial(t), s.client)
		clients.Go(func() {
			said := make([]byte, 1<<20)
			for i := range said {
				said[i] = byte(rand.Uint32())
			}
			go func() {
				for rest := said; len(rest) > 0; {
					n := min(len(rest), 1+rand.N(40<<10))
					if _, err := c.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			heard := make([]byte, len(said))
			if _, err := io.ReadFull(c, heard); err != nil || !bytes.Equal(said, heard) {
				t.Errorf("heard something else: %v", err)
			}
		})
	}
	clients.Wait()
	// Each has a buffer of one record, at least.
	if used := s.memory.Used(); used < 8*16<<10 || used > 8*80<<10 {
		t.Errorf("eight connections keep %d bytes", used)
	}
}

// TestTLSUndelivered: messages of TLS that do not end are not kept for long, whatever
// their length says, nor a record that does not.
func TestTLSUndelivered(t *testing.T) {
	t.Parallel()
	s := newSecured(t, 64<<20)
	hello := s.dial(t)
	if _, err := hello.Write(certs.PlainRecords(certs.Claimed(certs.ClientHello, 64<<10, 40<<10))); err != nil {
		t.Fatal(err)
	}
	wait(t, "a hello without an end counts", func() bool { return s.memory.Used() > 40<<10 })
	hello.Close()
	wait(t, "and no more when it has gone", func() bool { return s.memory.Used() == 0 })

	// A server of TLS takes 256 KiB of this for one message, for ever.
	k := s.keyed(t)
	_ = k.SendMessage(certs.Claimed(certs.Certificate, 256<<10, 256<<10-1)) // it may have been ended
	if !gone(k.NetConn()) {
		t.Error("a message of 256 KiB without an end is kept")
	}

	k = s.keyed(t)
	if err := k.SendData(make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	before := s.memory.Used()
	if err := k.SendData(make([]byte, 16<<10), 1); err != nil {
		t.Fatal(err)
	}
	wait(t, "a record without an end counts", func() bool { return s.memory.Used() >= before+16<<10-4<<10 })
	_ = k.SendMessage(certs.Claimed(certs.Certificate, 256<<10, 256<<10-1))
	if !gone(k.NetConn()) {
		t.Error("a living connection keeps a message without an end")
	}
	wait(t, "nothing counts any more", func() bool { return s.memory.Used() == 0 })
}

// TestTLSMakesWay: handshakes that take long make way for others, and honest ones get
// through meanwhile, large first messages too.
func TestTLSMakesWay(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	s := newSecured(t, limit)
	half := certs.PlainRecords(certs.Claimed(certs.ClientHello, 64<<10, 40<<10))
	for range 60 {
		if _, err := s.dial(t).Write(half); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		if used := s.memory.Used(); used > limit/8+1<<20 {
			t.Fatalf("%d bytes are kept of handshakes", used)
		}
		c := tls.Client(s.dial(t), s.client)
		said := make([]byte, 16<<10)
		heard := make([]byte, len(said))
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := c.Write(said)
		if err == nil {
			_, err = io.ReadFull(c, heard)
		}
		if err != nil && i > 0 { // the first may come before the others have been there for long
			t.Fatalf("honest client %d: %v", i, err)
		}
		if err != nil {
			time.Sleep(300 * time.Millisecond)
		}
	}
	if s.refused.Load() == 0 {
		t.Error("nobody had to make way")
	}
}

// TestTLSFlood: handshakes of one address do not keep those of another waiting, nor
// do those of who is not known those of who is; and who leaves, leaves no place taken.
func TestTLSFlood(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprint("known ", known), func(t *testing.T) {
			t.Parallel()
			handshakes := httpguard.Handshakes{Memory: budget.New(0)}
			places := max(runtime.GOMAXPROCS(0)-1, 1)
			if known {
				handshakes.Known, handshakes.Rest = func(a netip.Addr) bool { return a.String() == "127.0.0.1" }, 3
				places = 1
			}
			testTLSFlood(t, places, func(l net.Listener, c *tls.Config) net.Listener { return httpguard.TLS(l, c, handshakes) })
		})
	}
	t.Run("below TLS", func(t *testing.T) {
		t.Parallel()
		testTLSFlood(t, max(runtime.GOMAXPROCS(0)-1, 1), func(l net.Listener, c *tls.Config) net.Listener {
			return tls.NewListener(httpguard.Hellos(l), c)
		})
	})
}

func testTLSFlood(t *testing.T, places int, wrap func(net.Listener, *tls.Config) net.Listener) {
	const flood = 60
	authority := certs.NewAuthority()
	pair := authority.Issue("app").TLS()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	// As much as a handshake computes, this takes as long as the test likes.
	computes, goOn := make(chan string, 2*flood), make(chan struct{})
	config := &tls.Config{Certificates: []tls.Certificate{pair}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		host, _, _ := net.SplitHostPort(hello.Conn.RemoteAddr().String())
		computes <- host
		<-goOn
		return nil, nil
	}}
	l := wrap(raw, config)
	served := make(chan net.Conn, 2*flood)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served <- c
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	dial := func(from string) *tls.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		secured := tls.Client(c, &tls.Config{RootCAs: authority.Pool(), ServerName: "app"})
		go func() { _ = secured.Handshake() }()
		return secured
	}
	var hostile []net.Conn
	for range flood {
		hostile = append(hostile, dial("127.66.0.1").NetConn())
		<-served
	}
	for range places {
		<-computes
	}
	time.Sleep(50 * time.Millisecond) // most of the others have come to where they wait
	honest := dial("127.0.0.1")
	<-served
	before, most := 0, places+1
	for at := ""; at != "127.0.0.1" && before <= most; {
		select {
		case at = <-computes:
			before++
		case <-time.After(100 * time.Millisecond):
			goOn <- struct{}{} // one of them has been computed
		}
	}
	if before > most {
		t.Errorf("%d others were computed before the honest client", before)
	}
	for _, c := range hostile {
		c.Close()
	}
	close(goOn)
	_ = honest.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := honest.Write([]byte("a")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(honest, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	// With all places back, as many handshakes as there are places are served at once.
	for range places + 1 {
		c := dial("127.66.0.1")
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if err := c.Handshake(); err != nil {
			t.Fatal("after the flood: ", err)
		}
	}
}
