package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/bench/load"
	"github.com/wsresilience/wsresilience/internal/bench/rig"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// A whole run with real processes and sockets, in which this binary is the
// echo server, the forwarders and a sidecar.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not nginx: what is installed here must not change what is tested.
	r := &rig.Rig{Starter: proc.Starter{Dir: t.TempDir()}, Ctx: t.Context(), Sidecar: self, Patience: 50 * time.Millisecond}
	var out strings.Builder
	rep := &report{w: &out}
	o := &options{connections: 4, messages: 200, rounds: 2, size: 64, sessions: 20, resumes: 5, quick: true,
		only: "cpu,memory,startup,resume"}
	rep.header([]string{"-quick"})
	if err := measureAll(r, rep, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"command    bench -quick", "sidecar, resilient clients", "1.35", "KB per session",
		"ready, journal used", "idle, NATS external", "WSR_UPSTREAM_RETRY=0s", "tunnels to another one",
		"resume on the owner", "through a tunnel",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// What a fake cannot do: the real sidecar writes a journal and adopts.
func TestRunOfTheSidecar(t *testing.T) {
	r := &rig.Rig{Starter: proc.Starter{Dir: t.TempDir()}, Ctx: t.Context(), Patience: 100 * time.Millisecond}
	if err := r.BuildSidecar(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rep := &report{w: &out}
	if err := measureAll(r, rep, &options{logged: 40, resumes: 5, cluster: 1, rounds: 1, watched: 20, quick: true, only: "adoption,durability,console"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 nats-server, 1 ", "1 nats-server, 32 ", "opened ", "flood, 16 in flight ", "closed ", "some do", "lists were answered"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	for _, failed := range rep.failed {
		if strings.HasPrefix(failed, "journal") { // times are not for a busy machine to judge
			t.Errorf("%s:\n%s", failed, out.String())
		}
	}
}

func TestSidecarThatFails(t *testing.T) {
	r := &rig.Rig{Starter: proc.Starter{Dir: t.TempDir()}, Ctx: t.Context(), Sidecar: "/bin/false"}
	if _, err := r.StartSidecar("127.0.0.1:1", r.Dir, rig.TokenKey()); err == nil || !strings.Contains(err.Error(), "ended at its start") {
		t.Errorf("got %v", err)
	}
}

// Each copier moves bytes and ends of stream.
func TestForwarders(t *testing.T) {
	r := &rig.Rig{Starter: proc.Starter{Dir: t.TempDir()}, Ctx: t.Context()}
	echo, upstream, err := r.StartRole("echo")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Kill()
	for kind := range load.Copiers {
		c, addr, err := r.StartRole("forward", kind, upstream)
		if err != nil {
			t.Fatal(err)
		}
		f, err := load.DialAll(addr, 3, wire.Offer{})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 64, 3000, 200_000} {
			if err := f.Trips(30, make([]byte, size)); err != nil {
				t.Errorf("%s, %d bytes: %v", kind, size, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		c.Kill()
	}
}
