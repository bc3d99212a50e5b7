package endtoend

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// binary is the real command.
var binary = proc.Binary{Name: lab.SidecarName}

// nextRelease speaks one more version of each format (package formats).
var nextRelease = proc.Binary{
	Name:  lab.SidecarName,
	Flags: []string{"-ldflags=-X github.com/wsresilience/wsresilience/internal/formats.ahead=1"},
}

func TestMain(m *testing.M) {
	if address := os.Getenv(appAddress); address != "" {
		fmt.Fprintln(os.Stderr, appRole(address))
		os.Exit(1)
	}
	if file := os.Getenv(writerFile); file != "" {
		fmt.Fprintln(os.Stderr, writerRole(file))
		os.Exit(1)
	}
	proxytest.Parallel(8)
	code := m.Run()
	binary.Remove()
	nextRelease.Remove()
	os.Exit(code)
}

// Limits of what a process is waited for.
const (
	processLimit = 20 * time.Second
	processLook  = 10 * time.Millisecond
)

// process is a sidecar in a process of its own.
type process struct {
	*lab.Sidecar
	t       *testing.T
	starter proc.Starter
}

// newProcess starts a sidecar in front of upstream with its journal in dir.
func newProcess(t *testing.T, upstream, dir string, settings ...string) *process {
	t.Helper()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newProgram(t, program, upstream, dir, settings...)
}

// newProgram is newProcess for another binary, or a script that runs it.
func newProgram(t *testing.T, program, upstream, dir string, settings ...string) *process {
	t.Helper()
	return newProgramLogged(t, program, nil, upstream, dir, settings...)
}

// newProgramLogged is newProgram whose log goes to a writer, if that is not nil.
func newProgramLogged(t *testing.T, program string, log io.Writer, upstream, dir string, settings ...string) *process {
	t.Helper()
	sidecar, err := lab.NewSidecar("")
	if err != nil {
		t.Fatal(err)
	}
	sidecar.Program, sidecar.Errors = program, log
	sidecar.Upstream = upstream
	sidecar.Settings = append([]string{
		"WSR_DATA_DIR=" + dir, "WSR_HEARTBEAT_BASE=200ms", "WSR_HEARTBEAT_MIN=100ms", "WSR_HEARTBEAT_MAX=500ms",
		"WSR_LOG_LEVEL=debug", "WSR_DRIVER=" + proxytest.Driver(t),
	}, settings...)
	p := &process{Sidecar: sidecar, t: t}
	p.start()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("sidecar's log ends:\n%s", p.Log())
		}
	})
	return p
}

// start runs the process and waits until it is ready.
func (p *process) start() {
	p.t.Helper()
	if err := p.Start(p.t.Context(), &p.starter); err != nil {
		p.t.Fatal(err)
	}
}

// wantJournaled waits until the journal has taken n messages.
func (p *process) wantJournaled(n int) {
	p.t.Helper()
	got := -1
	err := proc.Until(p.t.Context(), processLimit, processLook, func() bool {
		text, err := p.Get(p.t.Context(), "/metrics")
		if err != nil {
			return false
		}
		if _, line, ok := strings.Cut(string(text), "\nwsr_journal_frames_total "); ok {
			_, _ = fmt.Sscan(line, &got)
		}
		return got >= n
	})
	if err != nil {
		p.t.Fatalf("%d messages in the journal, want %d: %v", got, n, err)
	}
}

// terminate is SIGTERM, and must end well.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.Terminate(proc.Grace); err != nil {
		p.t.Fatal(err)
	}
}
