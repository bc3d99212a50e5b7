package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// flowLimit is within what everything must work again.
	flowLimit = 10 * time.Second

	// pollEvery is how often a condition is looked at.
	pollEvery = 5 * time.Millisecond
)

// A testbed is one app with its client and what is between them.
type testbed struct {
	runner  *runner
	name    string // of the app
	app     *app
	sidecar *lab.Sidecar
	link    *faultlink.Link
	bridge  *bridge
	client  script
	report  *report

	over     []func() // undone from the last to the first
	restarts int
	before   int           // events until the first restart
	wait     time.Duration // longest from "it is back" to the next event
	requests int
	asked    int // of them, the first that the present client made
}

// newTestbed starts everything, up to a client that is connected. ping is the
// pace of the app's pings in milliseconds; 0 leaves every setting at the
// library's default, on both sides.
func (r *runner) newTestbed(name, scenario string, ping int) (_ *testbed, err error) {
	s := &testbed{runner: r, name: name, report: newReport()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	addr := free[0]
	_, port, _ := strings.Cut(addr, ":")
	settings := map[string]any{"port": port}
	if ping > 0 {
		settings["ping"], settings["patient"] = ping, true
	}
	s.app = &app{runner: r, script: name + "-server.mjs", settings: settings, next: 1}
	s.over = append(s.over, func() { s.app.stop(crash) })
	if err := s.app.start(); err != nil {
		return nil, err
	}
	sidecar, err := r.startSidecar(stocks[name], addr, name+"-"+scenario)
	if err != nil {
		return nil, err
	}
	s.sidecar = sidecar
	s.over = append(s.over, sidecar.Kill)
	if err := s.openNetwork(sidecar.Addr, name+"/"+scenario); err != nil {
		return nil, err
	}
	if err := s.openClient(settings); err != nil {
		return s, err
	}
	s.startFlow()
	return s, nil
}

// openNetwork puts the link and the bridge in front of the sidecar.
func (s *testbed) openNetwork(sidecar, name string) error {
	link, err := faultlink.New("127.0.0.1:0", sidecar, rand.Float64)
	if err != nil {
		return err
	}
	s.link = link
	s.over = append(s.over, link.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.bridge = &bridge{sidecar: "ws://" + link.Addr(), trace: s.runner.tracer(name)}
	server := &http.Server{Handler: s.bridge}
	go func() { _ = server.Serve(l) }()
	s.over = append(s.over, func() { _ = server.Close() })
	s.app.settings["url"] = "ws://" + l.Addr().String()
	return nil
}

// openClient starts the stock client.
func (s *testbed) openClient(settings map[string]any) error {
	report, trace := s.report, s.bridge.trace
	client, err := s.runner.script(s.name+"-client.mjs", settings, func(l line) {
		if l.Noticed != "" {
			trace("NOTICED %s: %s", l.Noticed, l.Detail)
		}
		report.take(l, time.Now())
	})
	if err != nil {
		return err
	}
	s.client = client
	s.over = append(s.over, client.Kill)
	if err := s.runner.until("the client is connected", s.report.isReady); err != nil {
		noticed, failed := s.report.trouble()
		return fmt.Errorf("%w; it noticed %v, failed %v", err, noticed, failed)
	}
	return nil
}

// startFlow lets the app publish events until everything is over.
func (s *testbed) startFlow() {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		s.app.publish(stop)
	}()
	s.over = append(s.over, func() {
		close(stop)
		<-stopped
	})
}

// die takes the client from the network, which it never sees again, and ends it.
func (s *testbed) die(how faultlink.Kind) error {
	err := s.link.Down(true)
	s.link.Cut(how)
	s.client.Kill()
	return err
}

// succeed opens another client with the same settings, by a network of its own.
func (s *testbed) succeed() error {
	s.report, s.asked = newReport(), s.requests
	if err := s.openNetwork(s.sidecar.Addr, s.name+"/successor"); err != nil {
		return err
	}
	return s.openClient(s.app.settings)
}

func (s *testbed) close() {
	for len(s.over) > 0 {
		last := len(s.over) - 1
		s.over[last]()
		s.over = s.over[:last]
	}
}

// keepLog saves what the sidecar logged of a scenario that failed, in verbose
// runs.
func (s *testbed) keepLog(name string) {
	if s.runner.verbose && s.sidecar != nil && s.sidecar.Ended() {
		_ = os.WriteFile(filepath.Join(os.TempDir(), "realapps-"+name+".log"), []byte(s.sidecar.Log()), 0o600)
	}
}

// until polls a condition, for at most flowLimit.
func (r *runner) until(what string, ok func() bool) error {
	if err := proc.Until(r.ctx, flowLimit, pollEvery, ok); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
