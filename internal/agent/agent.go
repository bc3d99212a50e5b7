package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/agent/settings"
)

// Agent serves programs. It is safe for concurrent use.
type Agent struct {
	settings *settings.Settings
	target   *url.URL
	tls      *tls.Config
	key      []byte
	log      *slog.Logger
	counters counters

	sessions sync.WaitGroup

	mu      sync.Mutex
	running []*session
}

// New returns an agent.
func New(s *settings.Settings, log *slog.Logger) (*Agent, error) {
	target, err := url.Parse(s.Target)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	a := &Agent{settings: s, target: target, log: log}
	if s.CA != "" {
		text, err := os.ReadFile(string(s.CA))
		if err != nil {
			return nil, fmt.Errorf("agent: WSR_AGENT_CA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("agent: WSR_AGENT_CA: %s has no certificate in it", s.CA)
		}
		a.tls = &tls.Config{RootCAs: pool}
	}
	if s.KeyFile != "" {
		text, err := os.ReadFile(string(s.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("agent: WSR_AGENT_KEY_FILE: %w", err)
		}
		if a.key, err = hex.DecodeString(strings.TrimSpace(string(text))); err != nil || len(a.key) != 32 {
			return nil, fmt.Errorf("agent: WSR_AGENT_KEY_FILE: %s: want 64 hexadecimal digits", s.KeyFile)
		}
	}
	return a, nil
}

// Run listens until ctx ends, and then lets the sessions end.
func (a *Agent) Run(ctx context.Context) error {
	l, err := a.listen()
	if err != nil {
		return fmt.Errorf("agent: WSR_AGENT_LISTEN: %w", err)
	}
	for _, address := range a.settings.Exposed() {
		a.log.Warn("whoever reaches this address speaks to the server through this agent", "listen", address)
	}
	servers := []*http.Server{a.server(ctx, http.HandlerFunc(a.serve))}
	listeners := []net.Listener{l}
	if a.settings.Admin != "off" {
		admin, err := net.Listen("tcp", a.settings.Admin)
		if err != nil {
			return errors.Join(fmt.Errorf("agent: WSR_AGENT_ADMIN_LISTEN: %w", err), l.Close())
		}
		servers, listeners = append(servers, a.server(ctx, a.admin())), append(listeners, admin)
	}
	var streams net.Listener // of TCP
	if a.settings.TCP != "" {
		if streams, err = net.Listen("tcp", a.settings.TCP); err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return fmt.Errorf("agent: WSR_AGENT_TCP_LISTEN: %w", err)
		}
		a.log.Info("agent takes TCP", "listen", streams.Addr().String(), "path", a.settings.TCPPath, "subprotocol", a.settings.TCPProtocol)
		go a.serveStreams(ctx, streams)
	}
	a.log.Info("agent is ready", "listen", l.Addr().String(), "target", a.target.String())
	failed := make(chan error, len(servers))
	for i := range servers {
		go func() { failed <- servers[i].Serve(listeners[i]) }()
	}
	var problem error
	select {
	case <-ctx.Done():
	case problem = <-failed:
	}
	if streams != nil {
		_ = streams.Close()
	}
	for _, s := range servers {
		_ = s.Close() // programs have their connections from us by now
	}
	a.sessions.Wait()
	return problem
}

func (a *Agent) listen() (net.Listener, error) {
	path, ok := strings.CutPrefix(a.settings.Listen, "unix:")
	if !ok {
		return net.Listen("tcp", a.settings.Listen)
	}
	// One that an agent before this one has left.
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("%s: another program listens there", path)
	} else if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return net.Listen("unix", path)
}

func (a *Agent) server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// serve gives a program its session.
func (a *Agent) serve(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" && !slices.Contains(a.settings.Origins, origin) {
		http.Error(w, "wsresilience-agent: pages of this origin may not connect (WSR_AGENT_ORIGINS)", http.StatusForbidden)
		return
	}
	if !isUpgrade(r) {
		http.Error(w, "wsresilience-agent: this address is for WebSocket clients", http.StatusUpgradeRequired)
		return
	}
	s := a.begin(r.URL.Path)
	defer a.end(s)
	s.run(w, r)
}

func (a *Agent) begin(path string) *session {
	s := &session{agent: a, path: path, began: time.Now(), log: a.log.With("path", path)}
	a.sessions.Add(1)
	a.add(s)
	a.counters.accepted.Add(1)
	return s
}

func (a *Agent) end(s *session) {
	a.remove(s)
	a.sessions.Done()
}

func (a *Agent) add(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = append(a.running, s)
}

func (a *Agent) remove(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = slices.DeleteFunc(a.running, func(other *session) bool { return other == s })
}
