package rehearse

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
	"github.com/wsresilience/wsresilience/proxy"
)

// echoApp answers each message with itself; those that contain drop it swallows.
func echoApp(t *testing.T, drop string) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for {
			typ, p, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if drop != "" && bytes.Contains(p, []byte(drop)) {
				continue
			}
			if c.Write(r.Context(), typ, p) != nil {
				return
			}
		}
	}))
	t.Cleanup(app.Close)
	return app
}

// sidecar stands in front of an app.
func sidecar(t *testing.T, app string) string {
	t.Helper()
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Upstream: app, Tokens: ring})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = p.Shutdown(ctx) // all clients have left; how well it stops is another test's
		<-served
	})
	return "ws://" + l.Addr().String()
}

// command runs the command as a user does, and returns its code and both outputs.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Command(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// quick makes a run one of a second or two. It really takes them: sockets and
// processes are real.
var quick = []string{"-echo", "-plain", "4", "-resilient", "4", "-think", "20ms", "-ramp", "100ms", "-baseline", "300ms", "-after", "200ms", "-seed", "5"}

// Half of all are cut off, with a message under way each: the plain clients lose
// some, and what the app knew of them; the resilient ones lose nothing. The hook's
// output is in the report.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	url := sidecar(t, echoApp(t, "").URL)
	dir := t.TempDir()
	faults := write(t, "faults", "0s delay latency=30ms for=1s\n500ms cut rst\n600ms hook -- echo from the hook\n")
	code, out, errs := command(t, append(quick, "-faults", faults, "-out", dir, "-objective", "lost<=0", "-objective", "plain.retention<=0%", url)...)
	if code != exitMet {
		t.Fatalf("code %d\n%s\n%s", code, out, errs)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PASS: all 2 objectives are met", "2. cut rst", "3. hook -- echo from the hook", "| plain | resilient |", "-seed 5", "connecting to the target"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, want := range []string{"cut rst", "hook -- echo"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in the progress:\n%s", want, errs)
		}
	}
}

// Packets are lost on a network of the clients' own, and nothing else is. Without
// the rights for that the command says so before it begins.
func TestPackets(t *testing.T) {
	t.Parallel()
	url := sidecar(t, echoApp(t, "").URL)
	faults := write(t, "faults", "0s loss percent=5% latency=25ms jitter=5ms for=1s\n300ms cut drop-client share=50%\n")
	code, out, errs := command(t, append(quick, "-faults", faults, "-out", t.TempDir(), "-objective", "lost<=0", "-objective", "p99<=60s", url)...)
	if code == exitUsage && strings.Contains(errs, "losing packets needs") {
		t.Skip(errs)
	}
	if code != exitMet || !strings.Contains(out, "PASS: all 2 objectives") {
		t.Errorf("code %d\n%s\n%s", code, out, errs)
	}
}

// What is missed is found, and is the exit code: here a hook that fails.
func TestMissed(t *testing.T) {
	t.Parallel()
	app := echoApp(t, "")
	url := "ws" + strings.TrimPrefix(app.URL, "http")
	for text, want := range map[string]string{
		"0s delay latency=30ms for=1s\n500ms cut rst\n": "FAIL: 1 of 1 objectives",
		"0s hook -- false\n":                            "FAIL: 1 of 1 faults",
		"0s hook timeout=50ms -- sleep 10\n":            "FAIL: 1 of 1 faults",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			code, out, errs := command(t, append(slices.Clone(quick), "-resilient", "0", "-out", t.TempDir(), "-objective", "lost<=0", "-faults", write(t, "faults", text), url)...)
			if code != exitMissed || !strings.Contains(out, want) {
				t.Errorf("%s: code %d, want %q in\n%s\n%s", text, code, want, out, errs)
			}
		})
	}
}

// What cannot be measured is told at once, with what to do about it.
func TestTrial(t *testing.T) {
	t.Parallel()
	app := echoApp(t, "")
	url := "ws" + strings.TrimPrefix(app.URL, "http")
	closed := httptest.NewServer(http.NotFoundHandler())
	defer closed.Close()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no sidecar":   {append(quick, url), "-resilient 0"},
		"no app":       {append(quick, "ws"+strings.TrimPrefix(closed.URL, "http")), "404"},
		"nobody":       {append(quick, "-resilient", "0", "ws://127.0.0.1:1"), "does anything listen there?"},
		"no URL":       {quick, "want one URL"},
		"no scheme":    {append(quick, "example.com"), "wss://"},
		"no profile":   {[]string{url}, "-echo or -profile"},
		"no objective": {append(quick, "-objective", "fun>=1", url), `there is no "fun"`},
		"no metrics":   {append(quick, "-resilient", "0", "-metrics", closed.URL, url), "want a URL such as"},
		"no time":      {append(quick, "-after", "-1s", url), "-after -1s: less than no time"},
		"no clients":   {append(quick, "-plain", "0", "-resilient", "0", url), "allowed are 1 to"},
		"no plan":      {append(quick, "-faults", "/nowhere", url), "no such file"},
		"no former":    {append(quick, "-against", t.TempDir(), url), "former run"},
	} {
		code, _, errs := command(t, append([]string{"-out", t.TempDir()}, tt.args...)...)
		if code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: code %d, want %q in %s", name, code, tt.want, errs)
		}
	}
}

// An interrupted run has a report of what there was, and its faults are healed.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	url := "ws" + strings.TrimPrefix(echoApp(t, "").URL, "http")
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	errs := newBuffer()
	go func() {
		_ = proc.Until(ctx, time.Minute, 10*time.Millisecond, func() bool { return strings.Contains(errs.String(), "silence") })
		stop()
	}()
	args := slices.Concat(quick, []string{"-resilient", "0", "-out", dir, "-faults", write(t, "faults", "0s silence for=1h\n2h storm\n"), url})
	code := Command(ctx, args, &out, errs)
	if code != exitUsage || !strings.Contains(out.String(), "INTERRUPTED") {
		t.Errorf("code %d\n%s\n%s", code, &out, errs)
	}
	run, err := report.Read(dir)
	if err != nil || len(run.Faults) != 1 || run.Sides[0].Lost != 0 {
		t.Errorf("%+v, %v", run, err)
	}
}

// What only another program could do is refused before anything runs.
func TestUnknownAction(t *testing.T) {
	t.Parallel()
	url := "ws" + strings.TrimPrefix(echoApp(t, "").URL, "http")
	code, _, errs := command(t, append(quick, "-resilient", "0", "-faults", write(t, "faults", "1h do roll\n"), "-out", t.TempDir(), url)...)
	if code != exitUsage || !strings.Contains(errs, `"do roll": there is no "roll" here`) || !strings.Contains(errs, "hook -- COMMAND") {
		t.Errorf("code %d\n%s", code, errs)
	}
}

// The same seed draws the same messages and hits the same clients.
func TestSeed(t *testing.T) {
	r := &run{Spec: Spec{Seed: 9}}
	n := &network{hosts: make([]host, 100)}
	a, b := n.choose(0.3, r.random("fault", 1)), n.choose(0.3, r.random("fault", 1))
	if len(a) != 30 || len(b) != 30 {
		t.Fatalf("%d and %d of 100", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("%v and %v", a, b)
		}
	}
	if c := n.choose(0.3, r.random("fault", 2)); c[0] == a[0] && c[1] == a[1] && c[2] == a[2] {
		t.Errorf("another fault hits the same: %v", c)
	}
}
