package main

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
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

func startBalancer(t *testing.T, pods ...string) *balancer {
	t.Helper()
	b, err := newBalancer([]string{"127.0.0.1", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	for _, pod := range pods {
		b.set(pod, true)
	}
	return b
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

func dial(t *testing.T, b *balancer, key int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", b.addr(key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestCuts: each way to die is what the client sees of it.
func TestCuts(t *testing.T) {
	for name, tc := range map[string]struct {
		how  cut
		want func(error) bool
	}{
		"RST":  {cutRST, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) }},
		"FIN":  {cutFIN, func(err error) bool { return errors.Is(err, io.EOF) }},
		"half": {cutHalf, func(err error) bool { return err != nil && !errors.Is(err, io.EOF) }},
		"mute": {cutMute, func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBalancer(t, echo(t))
			c := dial(t, b, 0)
			if err := say(t, c); err != nil {
				t.Fatal(err)
			}
			if n := b.cut(tc.how, 1, ""); n != 1 {
				t.Fatalf("%d were cut, want 1", n)
			}
			c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // a mute connection shows nothing else
			if _, err := c.Read(make([]byte, 1)); !tc.want(err) {
				t.Errorf("the client sees %v", err)
			}
			if n := b.cut(tc.how, 1, ""); n != 0 {
				t.Errorf("%d were cut twice", n)
			}
		})
	}
}

// TestPicks: a connection goes to a ready pod, or where it is pinned, and
// nowhere else.
func TestPicks(t *testing.T) {
	one, two := echo(t), echo(t)
	b := startBalancer(t, one, two)
	b.set(two, false)
	for i := range 8 {
		if err := say(t, dial(t, b, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.cut(cutRST, 1, two); n != 0 {
		t.Errorf("%d connections went to a pod that is not ready", n)
	}
	b.pin(two)
	if err := say(t, dial(t, b, 0)); err != nil {
		t.Fatal(err)
	}
	if n := b.cut(cutRST, 1, two); n != 1 {
		t.Errorf("%d connections went to the pinned pod, want 1", n)
	}
	b.pin("")
	b.remove(one)
	c, err := net.Dial("tcp", b.addr(0)) // the reset may come before connect has returned
	if err != nil {
		return
	}
	defer c.Close()
	if err := say(t, c); err == nil {
		t.Error("no pod is ready, and somebody answers")
	}
}

func TestSpread(t *testing.T) {
	var list []time.Duration
	for i := range 100 {
		list = append(list, time.Duration(100-i)*time.Millisecond)
	}
	if got, want := spreadOf(list), (spread{100, 51, 100, 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Errorf("nothing is %+v", got)
	}
}
