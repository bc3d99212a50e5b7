package rehearse

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// stage is a network of three clients, each connected to an app that echoes bytes.
func stage(t *testing.T) (*run, [3]net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	r := &run{Spec: Spec{Seed: 1}}
	if r.network, err = newNetwork(ln.Addr().String(), 3, false, r.random); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.network.close)
	var conns [3]net.Conn
	for i := range conns {
		if conns[i], err = r.network.dial(t.Context(), i); err != nil {
			t.Fatal(err)
		}
		if !answers(conns[i], 5*time.Second) {
			t.Fatal("no answer")
		}
	}
	return r, conns
}

// answers reports whether a byte comes back in time.
func answers(c net.Conn, within time.Duration) bool {
	_ = c.SetDeadline(time.Now().Add(within))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write([]byte{1}); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

func (r *run) try(t *testing.T, text string) (hit int, heal func()) {
	t.Helper()
	list, err := plan.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	hit, heal, err = r.perform(t.Context(), &list[0], rand.New(rand.NewPCG(1, 1)), new(report.Fault))
	if err != nil {
		t.Fatal(err)
	}
	return hit, heal
}

func count(conns [3]net.Conn, within time.Duration) (n int) {
	for _, c := range conns {
		if answers(c, within) {
			n++
		}
	}
	return n
}

const (
	soon  = 5 * time.Second        // for what must come
	never = 100 * time.Millisecond // for what must not
)

// Each fault hits the clients that it is for, does what it says, and is over when it
// is healed.
func TestCut(t *testing.T) {
	t.Parallel()
	r, conns := stage(t)
	if hit, heal := r.try(t, "0s cut rst share=34%"); hit != 1 || heal != nil {
		t.Errorf("%d of three hit, heals: %t", hit, heal != nil)
	}
	if n := count(conns, soon); n != 2 {
		t.Errorf("%d of three are left", n)
	}
	if hit, _ := r.try(t, "0s storm"); hit != 2 {
		t.Errorf("the storm hit %d of two", hit)
	}
	if n := count(conns, soon); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	for text, left := range map[string]int{"0s silence for=1s share=34%": 2, "0s silence for=1s": 0} {
		r, conns := stage(t)
		hit, heal := r.try(t, text)
		if n := count(conns, never); n != left || hit != 3-left {
			t.Errorf("%s: %d answer, %d hit", text, n, hit)
		}
		heal()
		if left > 0 {
			continue // whose answer came cannot wait for it
		}
		for i, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(soon))
			if _, err := c.Read(make([]byte, 8)); err != nil {
				t.Errorf("%s: %d: %v", text, i, err)
			}
		}
	}
}

func TestOffline(t *testing.T) {
	t.Parallel()
	r, conns := stage(t)
	hit, heal := r.try(t, "0s offline for=1s")
	_, again := r.try(t, "0s offline for=1s")
	if hit != 3 || count(conns, never) != 0 {
		t.Errorf("%d hit", hit)
	}
	heal()
	if _, err := r.network.dial(t.Context(), 0); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("the other fault is over too: %v", err)
	}
	again()
	c, err := r.network.dial(t.Context(), 0)
	if err != nil || !answers(c, soon) {
		t.Errorf("still offline: %v", err)
	}
}

func TestSlowAndDelay(t *testing.T) {
	t.Parallel()
	r, conns := stage(t)
	for _, text := range []string{"0s slow for=1s rate=10", "0s delay for=1s latency=50ms"} {
		_, heal := r.try(t, text)
		began := time.Now()
		if !answers(conns[0], soon) || time.Since(began) < 95*time.Millisecond {
			t.Errorf("%s: an answer after %v", text, time.Since(began))
		}
		heal()
	}
	if !answers(conns[0], soon) {
		t.Error("no answer afterwards")
	}
}
