package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A whole run with real processes and sockets, in which this binary is the
// echo server, the forwarders and a sidecar.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not nginx: what is installed here must not change what is tested.
	r := &rig{ctx: t.Context(), dir: t.TempDir(), self: self, sidecar: self, patience: 50 * time.Millisecond}
	var out strings.Builder
	rep := &report{w: &out}
	o := &options{connections: 4, messages: 200, rounds: 2, size: 64, sessions: 20, quick: true}
	rep.header([]string{"-quick"})
	if err := r.measure(rep, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"command    bench -quick", "sidecar, resilient clients", "1.35", "KB per session",
		"ready, journal used", "idle, NATS external",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestSidecarThatFails(t *testing.T) {
	r := &rig{ctx: t.Context(), dir: t.TempDir(), sidecar: "/bin/false"}
	if _, err := r.startSidecar("127.0.0.1:1", r.dir, tokenKey()); err == nil || !strings.Contains(err.Error(), "ended at its start") {
		t.Errorf("got %v", err)
	}
}

// Each copier moves bytes and ends of stream.
func TestForwarders(t *testing.T) {
	r := &rig{ctx: t.Context(), dir: t.TempDir()}
	var err error
	if r.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	echo, upstream, err := r.startRole("echo")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.stop()
	for kind := range copiers {
		c, addr, err := r.startRole("forward", kind, upstream)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dialFleet(addr, 3, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 64, 3000, 200_000} {
			if err := f.trips(30, make([]byte, size)); err != nil {
				t.Errorf("%s, %d bytes: %v", kind, size, err)
			}
		}
		if err := f.close(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		c.stop()
	}
}
