package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The whole demo, on real sockets: the plain client loses messages, the
// resilient one does not, and nothing is left behind.
func TestDemo(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	_, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	stop() // what waits for signals is started once and stays
	goroutines := runtime.NumGoroutine()
	var stdout, stderr strings.Builder
	code := demoCommand(t.Context(), []string{"-for", "3s", "-every", "200ms", "-rate", "100"}, &stdout, &stderr)
	out := stdout.String()
	if code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, stderr %q, output:\n%s", code, stderr.String(), out)
	}
	t.Log("\n" + out)
	if n := number(t, out, `(\d+) cuts in`); n < 3 {
		t.Errorf("%d cuts in 3 s", n)
	}
	if n := number(t, out, `plain +lost (\d+), duplicated \d+, of \d+ messages`); n == 0 {
		t.Error("the plain client lost nothing: the cuts did not hit")
	}
	if n := number(t, out, `resilient +lost 0, duplicated 0, of (\d+) messages`); n == 0 {
		t.Error("the resilient client had no messages to lose")
	}
	if n := number(t, out, `came back .* (\d+) resumes?`); n == 0 {
		t.Error("the resilient client never resumed: the cuts did not hit")
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
	waitForGoroutines(t, goroutines)
}

// number returns the number in the first match of a pattern.
func number(t *testing.T, out, pattern string) int {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("no %s in the output:\n%s", pattern, out)
	}
	n, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitForGoroutines waits until there are no more than there were before.
// Those of the runtime and of closed sockets may take a moment to end.
func waitForGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// A signal ends the demo like -for does.
func TestDemoEndsWithItsContext(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var stdout, stderr strings.Builder
	if code := demoCommand(ctx, []string{"-every", "1m"}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d, stderr %q, output:\n%s", code, stderr.String(), stdout.String())
	}
	if !strings.Contains(stdout.String(), "0 cuts in") {
		t.Errorf("a network that was not cut:\n%s", stdout.String())
	}
}

// Nobody reads the output any more, as in demo | head: the demo ends.
func TestDemoEndsWithItsReader(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	r, w := io.Pipe()
	_ = r.Close()
	var stderr strings.Builder
	if code := demoCommand(t.Context(), []string{"-every", "1m"}, w, &stderr); code != exitOK {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

func TestDemoFlags(t *testing.T) {
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string // each contains this
	}{
		{"-h", exitOK, "time between cuts (default 2s)", ""},
		{"-for -1s", exitUsage, "", "-for -1s"},
		{"-for soon", exitUsage, "", `"soon"`},
		{"-every 0s", exitUsage, "", "allowed are 100ms to 1m0s"},
		{"-every 2m", exitUsage, "", "-every 2m0s"},
		{"-rate 0", exitUsage, "", "allowed are 1 to 500"},
		{"-rate 501", exitUsage, "", "-rate 501"},
		{"-fast", exitUsage, "", "-fast"},
		{"now", exitUsage, "", "now"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := demoCommand(t.Context(), strings.Fields(tt.args), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}
