package pod

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// podMemory is the limit of a sidecar that the injector makes, which gives it
// half of that as its budget.
const podMemory = 512 << 20

// A stage is a sidecar and its app.
type stage struct {
	sidecar *lab.Sidecar
	app     *httptest.Server
	relay   *lab.Relay // to the app
	nats    *lab.NATS  // a journal of its own, as the injector's pods have; nil: the sidecar's
	dir     string
	starter proc.Starter

	authority *certs.Authority // of the sidecar's certificate; nil: it speaks no TLS
}

// A target is what attackers know.
type target struct {
	addr  string // of the sidecar
	scale int    // in percent
	sizes Sizes  // of a storm
}

// many is n to scale, at least one.
func (t *target) many(n int) int { return max(n*t.scale/100, 1) }

func newStage(ctx context.Context, o Options) (_ *stage, err error) {
	s := &stage{app: httptest.NewUnstartedServer(http.HandlerFunc(serveApp))}
	s.app.Config.ErrorLog = nil
	s.app.Start()
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "hostile-"); err != nil {
		return nil, err
	}
	if s.relay, err = lab.StartRelay(ctx, &s.starter, s.app.Listener.Addr().String()); err != nil {
		return nil, err
	}
	var journal []string
	if !o.Embedded {
		if s.nats, err = lab.StartNATS(ctx, &s.starter, 1, s.dir, nil); err != nil {
			return nil, err
		}
		journal = s.nats.Settings()
	}
	if s.sidecar, err = lab.NewSidecar(""); err != nil {
		return nil, err
	}
	s.sidecar.Program, s.sidecar.Upstream = o.Sidecar, s.app.URL
	s.sidecar.Settings = append(s.sidecar.Settings, journal...)
	s.sidecar.Settings = append(s.sidecar.Settings,
		"WSR_DATA_DIR="+s.dir, "WSR_LOG_LEVEL=warn", "WSR_SESSION_TTL="+o.TTL.String(),
		"WSR_SESSION_TTL_GOING_AWAY="+min(10*time.Second, o.TTL/2).String(),
		"WSR_HEARTBEAT_MAX="+min(15*time.Second, o.TTL/2).String(), "WSR_HEARTBEAT_BASE="+min(5*time.Second, o.TTL/2).String(),
		fmt.Sprintf("WSR_MEMORY_BUDGET=%d", podMemory/2), fmt.Sprintf("GOMEMLIMIT=%d", podMemory/10*9),
	)
	if o.TLS {
		s.authority = certs.NewAuthority()
		cert, key, err := s.authority.IssueUntil(time.Now().Add(24*time.Hour), "127.0.0.1").Write(s.dir)
		if err != nil {
			return nil, err
		}
		s.sidecar.Settings = append(s.sidecar.Settings, "WSR_TLS_CERT="+cert, "WSR_TLS_KEY="+key)
	}
	if d := os.Getenv("WSR_DRIVER"); d != "" {
		s.sidecar.Settings = append(s.sidecar.Settings, "WSR_DRIVER="+d)
	}
	return s, s.sidecar.Start(ctx, &s.starter)
}

func (s *stage) close() {
	if s.sidecar != nil && s.sidecar.Process != nil {
		s.sidecar.Kill()
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.relay != nil {
		s.relay.Kill()
	}
	s.app.CloseClientConnections()
	s.app.Close()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// A look is what a sidecar has.
type look struct{ sessions, goroutines, descriptors, memory int }

func (l look) String() string {
	return fmt.Sprintf("%d sessions, %d goroutines, %d descriptors, %d MiB", l.sessions, l.goroutines, l.descriptors, l.memory>>20)
}

func (s *stage) look(ctx context.Context) (l look, err error) {
	text, err := s.sidecar.Get(ctx, "/metrics")
	if err != nil {
		return l, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(name, "wsr_sessions{"):
			l.sessions += int(v)
		case name == "go_goroutines":
			l.goroutines = int(v)
		case name == "process_open_fds":
			l.descriptors = int(v)
		case name == "wsr_window_bytes":
			l.memory = int(v) // what counts; what the process has is for the collector to give back
		}
	}
	return l, nil
}

// settleTime is when all has to be as before, beside the time for which sessions
// wait for their clients.
const settleTime = 30 * time.Second

// settle waits until all is as before, but for what the runtime keeps.
func (s *stage) settle(ctx context.Context, before look, ttl time.Duration) (after look, back bool) {
	err := proc.Until(ctx, ttl+settleTime, 250*time.Millisecond, func() bool {
		l, err := s.look(ctx)
		if after = l; err != nil {
			return false
		}
		return l.sessions <= before.sessions && l.goroutines <= before.goroutines+20 &&
			l.descriptors <= before.descriptors+20 && l.memory <= before.memory+1<<20
	})
	return after, err == nil
}

// watchMemory looks at the sidecar's memory all the time, and returns a function
// that says how much it was at most.
func (s *stage) watchMemory(ctx context.Context) (peak func() int64) {
	var most atomic.Int64
	pid := s.sidecar.Pid()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			most.Store(max(most.Load(), residentOf(pid)))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return most.Load
}

// residentOf is the memory of a process, in bytes; 0 where it cannot be read.
func residentOf(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
