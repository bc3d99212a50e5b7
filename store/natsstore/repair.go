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

// checkHealthAgain is checkHealth for one of many who wait: what another has found
// just now is good enough, since a check writes to the disk that they wait for.
func (e *embedded) checkHealthAgain() error {
	e.mu.Lock()
	checked := e.broken == nil && time.Since(e.checked) < stuckAfter
	e.mu.Unlock()
	if checked {
		return nil
	}
	return e.checkHealth()
}

// checkHealth asks the server whether it is well, and is health otherwise.
func (e *embedded) checkHealth() error {
	e.mu.Lock()
	s, known := e.server, e.broken
	e.checked = time.Now()
	e.mu.Unlock()
	if known == nil {
		if s == nil {
			return errStopped
		}
		err := serverHealth(s)
		if err == nil {
			err = e.checkFolder()
		}
		if err == nil {
			return nil
		}
		e.markBroken(s, err)
	}
	return e.health()
}

// serverHealth asks the server itself.
func serverHealth(s *server.Server) error {
	if h := s.Healthz(&server.HealthzOptions{}); h.Status != "ok" {
		return fmt.Errorf("embedded server: %s: %s", h.Status, h.Error)
	}
	return nil
}

// checkFolder looks whether what the server writes is still where the next one
// finds it. The server itself goes on writing to files that were removed.
func (e *embedded) checkFolder() error {
	dir := e.cfg.Embedded.Dir
	e.mu.Lock()
	same, made := sameFile(e.lock, filepath.Join(dir, lockFile)), e.made
	e.mu.Unlock()
	if !same {
		return &folderGoneError{fmt.Errorf("the folder %s was removed or replaced", dir)}
	}
	for shard := range e.cfg.Shards {
		if !made {
			break
		}
		if _, err := os.Stat(filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", streamName(shard), "msgs")); err != nil {
			return &folderGoneError{fmt.Errorf("the files of a stream are gone: %w", err)}
		}
	}
	return e.writeProbe(1)
}

// A folderGoneError is a server whose files are gone, with what was accepted.
type folderGoneError struct{ err error }

func (e *folderGoneError) Error() string { return "embedded server: " + e.err.Error() }
func (e *folderGoneError) Unwrap() error { return e.err }

// streamsMade notes that the streams are there: from now on so are their files.
func (e *embedded) streamsMade() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made = e.broken == nil
}

// sameFile reports whether name is the file that is open as f.
func sameFile(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(name)
	return err == nil && os.SameFile(open, there)
}

// holdFolder makes the folder again if it is gone, and takes it for this
// process.
func (e *embedded) holdFolder() error {
	dir := e.cfg.Embedded.Dir
	e.mu.Lock()
	defer e.mu.Unlock()
	if sameFile(e.lock, filepath.Join(dir, lockFile)) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("embedded server: folder: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	_ = e.lock.Close() // of a file that is gone
	e.lock = lock
	return nil
}

// markBroken records why s is broken, unless another server took its place.
func (e *embedded) markBroken(s *server.Server, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == s && e.broken == nil && !e.stopped {
		e.broken = err
		var gone *folderGoneError
		e.gone = e.gone || errors.As(err, &gone)
		e.cfg.Logger.Error("journal takes no appends, sessions live in memory; look at its directory, it is tried again by itself",
			"dir", e.cfg.Embedded.Dir, "error", err)
	}
}

// repair replaces the broken server if the disk can be written.
func (e *embedded) repair() {
	err := e.holdFolder()
	if err == nil {
		err = e.writeProbe(probeSize)
	}
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
	if e.gone {
		e.gone = false
		e.cfg.Lost()
	}
}

// replace stops the server and starts another one in the same directory. The
// connection reconnects through InProcessConn.
func (e *embedded) replace() error {
	e.mu.Lock()
	s := e.server
	e.server, e.made = nil, false
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

// writeProbe checks that the disk takes size bytes more.
func (e *embedded) writeProbe(size int) (err error) {
	e.probing.Lock() // many appends may be stuck, and each looks why
	defer e.probing.Unlock()
	name := filepath.Join(e.cfg.Embedded.Dir, probeFile)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("embedded server: disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(name)) }()
	_, err = f.Write(make([]byte, size))
	if err == nil && size == probeSize {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("embedded server: disk: %w", err)
	}
	return nil
}
