package lab

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
)

// echo answers every connection with what it gets.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func startBalancer(t *testing.T, pods ...string) (*Balancer, *Endpoints) {
	t.Helper()
	e := new(Endpoints)
	b, err := NewBalancer(e.Random, "127.0.0.1", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for _, pod := range pods {
		e.Set(pod, true)
	}
	return b, e
}

// say sends a byte and returns the error of waiting for its echo.
func say(t *testing.T, c net.Conn) error {
	t.Helper()
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func dial(t *testing.T, b *Balancer, key int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.Addr(key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestCuts: each way to die is what the client sees of it.
func TestCuts(t *testing.T) {
	silent := func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
	for _, tt := range []struct {
		how  faultlink.Kind
		want func(error) bool
	}{
		{faultlink.RST, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) && !silent(err) }},
		{faultlink.FIN, func(err error) bool { return errors.Is(err, io.EOF) }},
		{faultlink.DropClient, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) && !silent(err) }},
		{faultlink.DropTarget, silent},
		{faultlink.Mute, silent},
	} {
		t.Run(tt.how.String(), func(t *testing.T) {
			b, _ := startBalancer(t, echo(t))
			c := dial(t, b, 0)
			if err := say(t, c); err != nil {
				t.Fatal(err)
			}
			if n := b.Cut(tt.how, 1, ""); n != 1 {
				t.Fatalf("%d were cut, want 1", n)
			}
			c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // a mute connection shows nothing else
			if _, err := c.Read(make([]byte, 1)); !tt.want(err) {
				t.Errorf("the client sees %v", err)
			}
			if n := b.Cut(tt.how, 1, ""); n != 0 {
				t.Errorf("%d were cut twice", n)
			}
		})
	}
}

// TestPicks: a connection goes to a ready pod, or where it is pinned, and
// nowhere else.
func TestPicks(t *testing.T) {
	one, two := echo(t), echo(t)
	b, e := startBalancer(t, one, two)
	e.Set(two, false)
	for i := range 8 {
		if err := say(t, dial(t, b, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Cut(faultlink.RST, 1, two); n != 0 {
		t.Errorf("%d connections went to a pod that is not ready", n)
	}
	e.Pin(two)
	if err := say(t, dial(t, b, 0)); err != nil {
		t.Fatal(err)
	}
	if n := b.Cut(faultlink.RST, 1, two); n != 1 {
		t.Errorf("%d connections went to the pinned pod, want 1", n)
	}
	e.Pin("")
	e.Remove(one)
	c, err := net.Dial("tcp", b.Addr(0)) // the reset may come before connect has returned
	if err != nil {
		return
	}
	defer c.Close()
	if err := say(t, c); err == nil {
		t.Error("no pod is ready, and somebody answers")
	}
}

// TestTriesInOrder: of several addresses the first that answers is taken.
func TestTriesInOrder(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	one, two := echo(t), echo(t)
	b, err := NewBalancer(func() []string { return []string{gone.Addr().String(), two, one} }, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := say(t, dial(t, b, 0)); err != nil {
		t.Fatal(err)
	}
	if n := b.Cut(faultlink.RST, 1, two); n != 1 {
		t.Errorf("%d connections went to the second, want 1", n)
	}
}
