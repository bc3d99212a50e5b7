package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What this test's binary does as a process of its own.
var roles = map[string]Role{
	"echo": func([]string) error {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println(in.Text())
		}
		return nil
	},
	"fail": func(args []string) error { return errors.New(args[0]) },
	"deaf": func([]string) error {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		select {}
	},
	"serve": func(args []string) error {
		return http.ListenAndServe(args[0], http.NotFoundHandler())
	},
}

func TestMain(m *testing.M) {
	RunRole(roles)
	os.Exit(m.Run())
}

func start(t *testing.T, s *Starter, role string, args ...string) *Process {
	t.Helper()
	cmd, err := InRole(role, args...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Start(role, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestLog(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			p := start(t, &Starter{Dir: dir}, "echo")
			p.Tell("hello")
			if err := Until(t.Context(), 10*time.Second, time.Millisecond, func() bool { return p.Log() == "hello\n" }); err != nil {
				t.Fatalf("the log is %q", p.Log())
			}
			if p.Ended() {
				t.Error("it has ended")
			}
		})
	}
}

func TestEnds(t *testing.T) {
	s := new(Starter)
	t.Run("by itself", func(t *testing.T) {
		p := start(t, s, "fail", "why")
		if p.Err() == nil || p.Log() != "why\n" || !p.Ended() {
			t.Errorf("%v, log %q", p.Err(), p.Log())
		}
	})
	t.Run("deaf", func(t *testing.T) {
		heard := make(chan string, 1)
		cmd, err := InRole("deaf")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = Lines(func(line string) { heard <- line })
		p, err := s.Start("deaf", cmd)
		if err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != "deaf" {
			t.Errorf("heard %q", got)
		}
		if err := p.Terminate(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end") {
			t.Errorf("%v", err)
		}
	})
	t.Run("SIGTERM", func(t *testing.T) {
		p := start(t, s, "echo")
		if err := p.Terminate(Grace); err == nil || !strings.Contains(err.Error(), "after SIGTERM") {
			t.Errorf("a process that does not handle it: %v", err)
		}
	})
	t.Run("paused", func(t *testing.T) {
		p := start(t, s, "echo")
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		p.Tell("hello")
		time.Sleep(20 * time.Millisecond) // the kernel's, it has no virtual time
		if p.Log() != "" {
			t.Error("it goes on")
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := Until(t.Context(), 10*time.Second, time.Millisecond, func() bool { return p.Log() == "hello\n" }); err != nil {
			t.Error("it does not go on")
		}
	})
}

func TestReady(t *testing.T) {
	addrs, err := FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, new(Starter), "serve", addrs[0])
	if _, err := p.WaitReady(t.Context(), time.Now(), "http://"+addrs[0], time.Millisecond, 100*time.Millisecond); err == nil {
		t.Error("404 is ready")
	}
	if err := Until(t.Context(), 10*time.Second, time.Millisecond, func() bool { return Listens(addrs[0]) }); err != nil {
		t.Error(err)
	}
	p.Kill()
	if _, err := p.WaitReady(t.Context(), time.Now(), "http://"+addrs[0], time.Millisecond, time.Minute); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("one that is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Sleep(ctx, time.Hour); err == nil {
		t.Error("slept for an hour")
	}
}
