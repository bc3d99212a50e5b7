package natsstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A disk that is full, seen with nats-server 2.15.2 in this process: the
// stream takes note of the first failed write for good. From then on it
// answers reads and no append at all, not even with a refusal, and space that
// is free again changes nothing. Some write errors make the server switch
// JetStream off as a whole. Only a server that starts anew reads what is on
// the disk, and all that had been acknowledged is there.

const (
	// stuckAfter is how long an append waits before the server is asked for
	// its health: a disk that works answers within some milliseconds.
	stuckAfter = 200 * time.Millisecond

	// repairPause is between two repairs, so that a disk which fails again
	// and again costs little.
	repairPause = 2 * time.Second

	// probeSize must fit on the disk before a server is started on it: what a
	// start writes by itself, and some to go on with.
	probeSize = 4 << 20

	// probeFile is written and removed again.
	probeFile = "wsresilience.probe"
)

// trouble is why the server takes no appends, as far as known without asking
// it. It sees to the repair.
func (e *embedded) trouble() error {
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

// examine asks the server for its health, and is trouble otherwise.
func (e *embedded) examine() error {
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
		e.note(s, fmt.Errorf("embedded server: %s: %s", h.Status, h.Error))
	}
	return e.trouble()
}

// note takes the trouble of s down, unless another server took its place.
func (e *embedded) note(s *server.Server, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == s && e.broken == nil && !e.stopped {
		e.broken = err
		e.cfg.Logger.Error("journal takes no appends, sessions live in memory", "error", err)
	}
}

// repair puts another server in the place of the broken one if the disk can
// be written.
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
	e.cfg.Logger.Info("journal was repaired")
}

// replace starts anew in the same directory. The connection notices, and dials
// InProcessConn again.
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

// probe finds out whether the disk takes more.
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
