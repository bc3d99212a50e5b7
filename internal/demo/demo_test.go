package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// built is the sidecar that the demo starts.
var built = proc.Binary{Name: lab.SidecarName}

func TestMain(m *testing.M) {
	proc.RunRole(lab.Roles)
	if _, err := built.Path(context.Background()); err != nil { // before a test moves TMPDIR
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	built.Remove()
	os.Exit(code)
}

func sidecar(t *testing.T) string {
	t.Helper()
	file, err := built.Path(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// command runs the demo with a sidecar that is built once.
func command(t *testing.T, ctx context.Context, stdout, stderr io.Writer, args ...string) int {
	t.Helper()
	return Command(ctx, append([]string{"-sidecar", sidecar(t)}, args...), stdout, stderr)
}

// The whole demo, on real sockets: the plain client loses messages, the
// resilient one does not, and nothing is left behind.
func TestDemo(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	_, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	stop() // what waits for signals is started once and stays
	goroutines := runtime.NumGoroutine()
	var stdout, stderr strings.Builder
	code := command(t, t.Context(), &stdout, &stderr, "-for", "5s", "-every", "700ms", "-kill", "1s", "-drain", "1500ms", "-rate", "50")
	out := stdout.String()
	if code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, stderr %q, output:\n%s", code, stderr.String(), out)
	}
	t.Log("\n" + out)
	if !strings.HasPrefix(out, "open http://127.0.0.1:") {
		t.Error("the page's address is not the first that is printed")
	}
	if n := number(t, out, `(\d+) cuts?, \d+ kills?, \d+ drains? in`); n < 3 {
		t.Errorf("%d cuts in 5 s", n)
	}
	if n := number(t, out, `plain +never arrived: \d+ of \d+ messages \(lost (\d+),`); n == 0 {
		t.Error("the plain client lost nothing: the cuts did not hit")
	}
	if n := number(t, out, `resilient +never arrived: \d+ of (\d+) messages \(lost 0,.* duplicated 0\n`); n == 0 {
		t.Error("the resilient client had no messages to lose")
	}
	if n := number(t, out, `(\d+) kills?, \d+ drains? in`); n == 0 {
		t.Error("no pod was killed")
	}
	if n := number(t, out, `(\d+) drains? in`); n == 0 {
		t.Error("no pod was drained")
	}
	if n := number(t, out, `came back .* (\d+) adoptions?`); n == 0 {
		t.Error("the resilient client's session was never adopted: the kills did not hit")
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
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &signalling{signal: cancel}
	var stderr strings.Builder
	if code := command(t, ctx, out, &stderr, "-every", "1m", "-kill", "0", "-drain", "0", "-listen", ""); code != exitOK {
		t.Fatalf("exit code %d, stderr %q, output:\n%s", code, stderr.String(), out.String())
	}
	if !strings.Contains(out.String(), "0 cuts, 0 kills, 0 drains in") {
		t.Errorf("what was not broken:\n%s", out.String())
	}
	if strings.Contains(out.String(), "open http") {
		t.Errorf("a page that was not wanted:\n%s", out.String())
	}
}

// signalling calls signal when the first status line is written.
type signalling struct {
	strings.Builder
	signal func()
}

func (s *signalling) Write(p []byte) (int, error) {
	if strings.HasPrefix(string(p), "0:00") {
		s.signal()
	}
	return s.Builder.Write(p)
}

// Nobody reads the output any more, as in demo | head: the demo ends.
func TestDemoEndsWithItsReader(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	r, w := io.Pipe()
	_ = r.Close()
	var stderr strings.Builder
	if code := command(t, t.Context(), w, &stderr, "-every", "1m", "-kill", "0", "-drain", "0"); code != exitOK {
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
		{"-kill 1ms", exitUsage, "", "-kill 1ms: allowed are 0 and from 500ms"},
		{"-drain -1s", exitUsage, "", "-drain -1s"},
		{"-rate 0", exitUsage, "", "allowed are 1 to 500"},
		{"-rate 501", exitUsage, "", "-rate 501"},
		{"-listen somewhere", exitUsage, "", `-listen "somewhere": want an address`},
		{"-listen desk:15800", exitUsage, "", "such as 127.0.0.1:15800"},
		{"-listen :http", exitUsage, "", `-listen ":http"`},
		{"-listen 127.0.0.1:99999", exitUsage, "", "99999"},
		{"-fast", exitUsage, "", "-fast"},
		{"now", exitUsage, "", "now"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := command(t, t.Context(), &stdout, &stderr, strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
}

// What is overdue the longest comes first, and what is 0 never comes.
func TestPerform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began, told := time.Now(), ""
		busy := began
		fault := func(name string) func() bool {
			return func() bool {
				if time.Now().Before(busy) {
					return false
				}
				told += fmt.Sprintf("%s %.0f, ", name, time.Since(began).Seconds())
				busy = time.Now().Add(5 * time.Second)
				return true
			}
		}
		perform(ctx, &routine{every: 2 * time.Second, fault: fault("kill")},
			&routine{every: 3 * time.Second, fault: fault("drain")}, &routine{fault: fault("never")})
		if want := "kill 2, drain 7, kill 12, kill 17, "; told != want {
			t.Errorf("%s, want %s", told, want)
		}
	})
}

// A key does what it stands for, and others do nothing.
func TestKeys(t *testing.T) {
	var pressed strings.Builder
	k := keys{'k': func() { pressed.WriteString("kill ") }, 'q': func() { pressed.WriteString("quit ") }, ctrlC: func() { pressed.WriteString("interrupt") }}
	k.read(strings.NewReader("kxKq\x1b[A\x03"))
	if pressed.String() != "kill quit interrupt" {
		t.Errorf("%q", pressed.String())
	}
}
