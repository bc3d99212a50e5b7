package natsstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// What a full disk does to nats-server 2.15.2 in this process: after the first
// failed write a stream still answers reads, but no append at all, not even
// with a refusal, and free space changes nothing. Some write errors make the
// server switch JetStream off as a whole. Only a new server reads what is on
// the disk, and all that had been acknowledged is there.

const (
	// stuckAfter is how long an append waits before the server's health is
	// checked: a disk that works answers within some milliseconds.
	stuckAfter = 200 * time.Millisecond

	// repairPause is the pause between two repairs, so that a disk that fails
	// again and again costs little.
	repairPause = 2 * time.Second

	// probeSize must fit on the disk before a server is started on it: what the
	// start itself writes, and some for the first appends.
	probeSize = 4 << 20

	// probeFile is written and removed again.
	probeFile = "wsresilience.probe"
)

// health returns why the server takes no appends, as far as known without
// asking it, and starts the repair if there is a reason.
func (e *embedded) health() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken == nil || e.stopped {
		return e.broken
	}
	if !e.repairing && time.Since(e.tried) >= repairPause {
		e.repairing, e.tried = true, time.Now()
		e.repairs.Go(e.repair)
	}
	return e.broken
}

// checkHealth asks the server whether it is well, and is health otherwise.
func (e *embedded) checkHealth() error {
	e.mu.Lock()
	s, known := e.server, e.broken
	e.mu.Unlock()
	if known == nil {
		if s == nil {
			return errStopped
		}
		h := s.Healthz(&server.HealthzOptions{})
		if h.Status == "ok" {
			return nil
		}
		e.markBroken(s, fmt.Errorf("embedded server: %s: %s", h.Status, h.Error))
	}
	return e.health()
}

// markBroken records why s is broken, unless another server took its place.
func (e *embedded) markBroken(s *server.Server, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == s && e.broken == nil && !e.stopped {
		e.broken = err
		e.cfg.Logger.Error("journal takes no appends, sessions live in memory; free space in its directory, it is tried again by itself",
			"dir", e.cfg.Embedded.Dir, "error", err)
	}
}

// repair replaces the broken server if the disk can be written.
func (e *embedded) repair() {
	err := probe(e.cfg.Embedded.Dir)
	if err == nil {
		err = e.replace()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.repairing = false
	if err != nil {
		e.broken = err
		return
	}
	e.broken = nil
	e.cfg.Logger.Info("journal takes appends again")
}

// replace stops the server and starts another one in the same directory. The
// connection reconnects through InProcessConn.
func (e *embedded) replace() error {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		shutDown(s)
	}
	s, err := runServer(e.cfg)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.server = s
	e.mu.Unlock()
	return nil
}

// probe checks that the disk takes more.
func probe(dir string) (err error) {
	name := filepath.Join(dir, probeFile)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("embedded server: disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(name)) }()
	_, err = f.Write(make([]byte, probeSize))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("embedded server: disk: %w", err)
	}
	return nil
}
