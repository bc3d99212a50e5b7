package natsstore

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// startTimeout bounds the start, which reads the whole directory: 1 M
	// subjects take 2 s.
	startTimeout = 30 * time.Second

	// embeddedMemory is the server's bound for streams in memory, of which we
	// have none; the default would be 75 % of the machine.
	embeddedMemory = 16 << 20

	// lockFile keeps a second process out of the directory; the server does
	// not, and two would destroy each other's streams.
	lockFile = "wsresilience.lock"
)

// errStopped is what calls get while no server runs.
var errStopped = errors.New("embedded server: stopped")

// An embedded is the server within this process. After a disk failure it is
// replaced by another (repair). It is safe for concurrent use.
type embedded struct {
	cfg     *Config
	lock    *os.File
	room    *room
	repairs sync.WaitGroup
	probing sync.Mutex

	mu        sync.Mutex     // guards all below
	server    *server.Server // nil while none runs
	broken    error          // the server takes no appends; nil: none is known
	gone      bool           // and what was accepted is gone
	made      bool           // the streams are there
	repairing bool
	checked   time.Time // when the newest check of the health began
	tried     time.Time // when the newest repair began
	stopped   bool
}

func startEmbedded(cfg *Config) (*embedded, error) {
	dir := cfg.Embedded.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("natsstore: embedded journal: %w; its directory must be writable", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{cfg: cfg, lock: lock, room: newRoom()}
	if e.server, err = runServer(cfg); err != nil {
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

// runServer returns a server that takes requests, or none.
func runServer(cfg *Config) (*server.Server, error) {
	s, err := server.NewServer(embeddedOptions(cfg))
	if err != nil {
		return nil, fmt.Errorf("natsstore: embedded journal: %w", err)
	}
	s.SetLoggerV2(serverLog{cfg.Logger}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		shutDown(s)
		return nil, fmt.Errorf("natsstore: embedded journal in %s: did not start within %v; its log says why", cfg.Embedded.Dir, startTimeout)
	}
	return s, nil
}

// shutDown flushes, and returns when the directory is free again.
func shutDown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
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
		return nil, fmt.Errorf("natsstore: embedded journal: %w; its directory must be writable", err)
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

// InProcessConn implements nats.InProcessConnProvider: a reconnect reaches
// the server that runs then.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	if s == nil {
		return nil, errStopped
	}
	return s.InProcessConn()
}

// stop returns when the directory is free again.
func (e *embedded) stop() error {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.repairs.Wait()
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		shutDown(s)
	}
	return e.lock.Close()
}
