package endtoend

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sidecarBinary is the real command, built once.
var sidecarBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "wsresilience-endtoend")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "sidecar")
	out, err := exec.Command("go", "build", "-o", bin, "../../cmd/wsresilience-sidecar").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := sidecarBinary(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// process is a sidecar in a process of its own.
type process struct {
	t    *testing.T
	env  []string
	addr string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// newProcess starts a sidecar in front of upstream with its journal in dir.
func newProcess(t *testing.T, upstream, dir string, env ...string) *process {
	t.Helper()
	addr, admin := freeAddr(t), freeAddr(t)
	p := &process{t: t, addr: addr, env: append([]string{
		"WSR_UPSTREAM=" + upstream, "WSR_DATA_DIR=" + dir, "WSR_LISTEN=" + addr, "WSR_ADMIN_LISTEN=" + admin,
		"WSR_HEARTBEAT_BASE=200ms", "WSR_HEARTBEAT_MIN=100ms", "WSR_HEARTBEAT_MAX=500ms", "WSR_LOG_LEVEL=debug", "WSR_TEST_DRIVER=" + string(testedDriver(t)),
	}, env...)}
	p.start()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("sidecar's log:\n%s", p.log)
		}
	})
	return p
}

// freeAddr is a loopback address that nobody listens on at the moment.
func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the process and waits until it is ready.
func (p *process) start() {
	p.t.Helper()
	bin, err := sidecarBinary()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.log == nil {
		p.log = new(bytes.Buffer)
	}
	p.cmd = exec.Command(bin)
	p.cmd.Env, p.cmd.Stderr = p.env, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	admin := p.env[3][len("WSR_ADMIN_LISTEN="):]
	for deadline := time.Now().Add(20 * time.Second); ; {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("sidecar is not ready: %v\n%s", err, p.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// wantJournaled waits until the journal has taken n messages.
func (p *process) wantJournaled(n int) {
	p.t.Helper()
	admin := p.env[3][len("WSR_ADMIN_LISTEN="):]
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + admin + "/metrics")
		if err != nil {
			p.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			p.t.Fatal(err)
		}
		got := -1
		if _, line, ok := strings.Cut(string(text), "\nwsr_journal_frames_total "); ok {
			_, _ = fmt.Sscan(line, &got)
		}
		if got >= n {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d messages in the journal, want %d", got, n)
		}
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// terminate is SIGTERM, and must end well.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("after SIGTERM: %v\n%s", err, p.log)
	}
}
