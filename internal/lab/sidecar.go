package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// SidecarName is the command that a sidecar is.
const SidecarName = "wsresilience-sidecar"

// The ports of a sidecar that has a host of its own.
const (
	proxyPort = "15801"
	adminPort = "15802"
)

const (
	// readyLimit is when a start counts as failed, and readyAsk is how often
	// readiness is asked for unless it is measured.
	readyLimit = 60 * time.Second
	readyAsk   = 10 * time.Millisecond

	// answerLimit is what an answer of the admin port may take.
	answerLimit = time.Second
)

// A Sidecar is one as a process of its own, which can be killed, stopped and
// started again.
type Sidecar struct {
	*proc.Process               // the last that was started
	Addr, Admin   string        // of its two ports
	Took          time.Duration // its last start, from exec until it was ready

	// Before a start.
	Program  string        // the binary
	Name     string        // of its log
	Upstream string        // URL of the app
	Settings []string      // NAME=value, beside those of its addresses and app
	Errors   io.Writer     // takes the log, if it is not nil
	Ask      time.Duration // how often readiness is asked for; 0: readyAsk
}

// NewSidecar gives a sidecar its addresses: the usual ports of a host of its
// own, or with "" free ones.
func NewSidecar(host string) (*Sidecar, error) {
	if host != "" {
		return &Sidecar{Addr: net.JoinHostPort(host, proxyPort), Admin: net.JoinHostPort(host, adminPort)}, nil
	}
	free, err := proc.FreeAddrs(2)
	if err != nil {
		return nil, err
	}
	return &Sidecar{Addr: free[0], Admin: free[1]}, nil
}

// Start starts it, again after it ended, and returns when it is ready.
func (s *Sidecar) Start(ctx context.Context, starter *proc.Starter) error {
	cmd := exec.Command(s.Program)
	// Later ones win.
	cmd.Env = append([]string{
		"WSR_LISTEN=" + s.Addr, "WSR_ADVERTISE=" + s.Addr, "WSR_ADMIN_LISTEN=" + s.Admin, "WSR_UPSTREAM=" + s.Upstream,
	}, s.Settings...)
	if s.Errors != nil {
		cmd.Stderr = s.Errors
	}
	name := s.Name
	if name == "" {
		name = "sidecar"
	}
	began := time.Now()
	p, err := starter.Start(name, cmd)
	if err != nil {
		return err
	}
	s.Process = p
	ask := s.Ask
	if ask == 0 {
		ask = readyAsk
	}
	if s.Took, err = p.WaitReady(ctx, began, s.url("/readyz"), ask, readyLimit); err != nil {
		p.Kill()
	}
	return err
}

func (s *Sidecar) url(path string) string { return "http://" + s.Admin + path }

// Ready reports whether the sidecar says so.
func (s *Sidecar) Ready(ctx context.Context) bool { return proc.Answers(ctx, s.url("/readyz")) }

// Get asks the admin port.
func (s *Sidecar) Get(ctx context.Context, path string) ([]byte, error) {
	return s.ask(ctx, http.MethodGet, path, answerLimit)
}

// Drain asks for a drain, which is answered when it is done.
func (s *Sidecar) Drain(ctx context.Context, limit time.Duration) error {
	_, err := s.ask(ctx, http.MethodPost, "/drain", limit)
	return err
}

func (s *Sidecar) ask(ctx context.Context, method, path string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url(path), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("lab: %s %s: %s %s", method, path, answer.Status, text)
	}
	return text, err
}
