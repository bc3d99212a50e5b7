package natsstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// startTimeout is for reading the whole directory: 1 M subjects take 2 s.
	startTimeout = 30 * time.Second

	// embeddedMemory is the server's own bound for streams in memory, of
	// which we have none; the default would be 75 % of the machine.
	embeddedMemory = 16 << 20

	// lockFile keeps a second process out of the directory; the server does
	// not, and two would destroy each other's streams.
	lockFile = "wsresilience.lock"
)

// An embedded is the server within this process.
type embedded struct {
	server *server.Server
	lock   *os.File
}

func startEmbedded(cfg *Config) (*embedded, error) {
	dir := cfg.Embedded.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("natsstore: embedded journal: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{lock: lock}
	if e.server, err = server.NewServer(embeddedOptions(cfg)); err != nil {
		return nil, errors.Join(fmt.Errorf("natsstore: embedded journal: %w", err), e.stop())
	}
	e.server.SetLoggerV2(serverLog{cfg.Logger}, false, false, false)
	e.server.Start()
	if !e.server.ReadyForConnections(startTimeout) || !e.server.JetStreamEnabled() {
		return nil, errors.Join(fmt.Errorf("natsstore: embedded journal in %s: did not start within %v", dir, startTimeout), e.stop())
	}
	return e, nil
}

func embeddedOptions(cfg *Config) *server.Options {
	return &server.Options{
		ServerName:         "wsresilience-embedded",
		DontListen:         true, // reachable from within this process only
		NoSigs:             true, // signals are the sidecar's
		NoSystemAccount:    true,
		JetStream:          true,
		StoreDir:           cfg.Embedded.Dir,
		JetStreamMaxStore:  cfg.Embedded.MaxStore,
		JetStreamMaxMemory: embeddedMemory,
		MaxPayload:         cfg.Embedded.MaxPayload,
	}
}

// lockDir takes the directory for this process until the file is closed or
// the process dies.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("natsstore: embedded journal: %w", err)
	}
	err = lock(f)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, errLocked):
		err = fmt.Errorf("natsstore: embedded journal in %s: another process uses it; give each sidecar a directory of its own", dir)
	default:
		err = fmt.Errorf("natsstore: embedded journal: lock %s: %w", name, err)
	}
	return nil, errors.Join(err, f.Close())
}

// healthy asks the server itself.
func (e *embedded) healthy() error {
	if h := e.server.Healthz(&server.HealthzOptions{}); h.Status != "ok" {
		return fmt.Errorf("embedded server: %s: %s", h.Status, h.Error)
	}
	return nil
}

// stop flushes, and returns when the directory is free again.
func (e *embedded) stop() error {
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	return e.lock.Close()
}
