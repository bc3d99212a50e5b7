package losslink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TCP of the kernel crosses a path that loses packets, and no byte is missing:
// the retransmissions are seen among the packets. It needs the rights of root,
// and without them the error has to say so.
func TestLink(t *testing.T) {
	l, err := New(rand.New(rand.NewPCG(3, 4)).Float64)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		if !bytes.Contains([]byte(err.Error()), []byte("needs")) {
			t.Fatalf("%v: which rights are missing?", err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ln, err := l.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	l.Set(Weather{Loss: 0.05, Latency: 5 * time.Millisecond})
	began := time.Now()
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if took := time.Since(began); took < 10*time.Millisecond {
		t.Errorf("connected after %v, over a way of 10 ms there and back", took)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB, some 180 packets there and back
	go func() { _, _ = c.Write(sent) }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%v; what came differs: %t", err, !bytes.Equal(got, sent))
	}
	if carried, lost := l.Packets(); lost == 0 || carried < 180 {
		t.Errorf("%d packets carried, %d lost", carried, lost)
	}
	// Where nothing passes, a dial ends with its context.
	l.Set(Weather{Loss: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a dial into nothing: %v", err)
	}
}
