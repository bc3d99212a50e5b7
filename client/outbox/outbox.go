// Package outbox keeps a session of package client and what it has not
// delivered yet in a file, so that a program that was killed goes on with both.
//
//	store, err := outbox.Open("/var/lib/meter/outbox.db", nil)
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	c, _, err := client.Dial(ctx, "wss://example.com/meter", &client.Options{Store: store})
//
// The file is an SQLite database with a write-ahead log. As delivered, what is
// written survives the end of the process, however that comes, and with
// Options.PowerLoss also that of the computer.
//
// The driver is github.com/ncruces/go-sqlite3: SQLite's own C code as Go, with
// three modules behind it. modernc.org/sqlite has seven, among them an emulation of
// a C library with a copy for each system, and only database/sql for an interface;
// both need no C compiler. docs/BENCHMARKS.md has them side by side.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/wsresilience/wsresilience/client"
)

// Defaults of Options.
const (
	DefaultMaxBytes    = 64 << 20
	DefaultMaxMessages = 100_000
)

// Errors to branch on. The text says which file, and what to do.
var (
	ErrInUse   = errors.New("another program has it open")
	ErrFull    = errors.New("outbox is full")
	ErrDamaged = errors.New("damaged")
	ErrKey     = errors.New("not sealed with this key")
)

// Options of a Store. The zero value is good for a device.
type Options struct {
	// MaxBytes and MaxMessages bound what waits in the file, what earlier
	// sessions have left included. Negative is no limit.
	MaxBytes    int64
	MaxMessages int

	// MaxAge is how old a message may be when the session goes on in another
	// process. An older one is not sent, and is left (Left). 0 is no limit.
	MaxAge time.Duration

	// PowerLoss waits for the disk with each message, so that it survives the
	// loss of power too (synchronous=FULL).
	PowerLoss bool

	// Key, of 32 bytes, seals the token and all payloads (AES-256-GCM). Without
	// it whoever can read the file can continue the session.
	Key []byte
}

// Store is a client.Store. It serves one client.Conn at a time. All methods are
// safe for concurrent use.
type Store struct {
	path string
	opts Options
	seal *sealer // nil: there is no key

	mu      sync.Mutex // guards the fields below
	db      *sqlite3.Conn
	stmts   statements
	last    int64 // position of the last message, and any near it
	begun   bool  // last is that of the present session
	waiting int   // messages in the file
	bytes   int64 // and their payloads
}

var _ client.Store = (*Store)(nil)

// Open opens a file, or makes one; its directory has to be there. One program
// can have it open: another one gets ErrInUse.
func Open(path string, opts *Options) (*Store, error) {
	s := &Store{path: path}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.MaxBytes = cmp.Or(s.opts.MaxBytes, DefaultMaxBytes)
	s.opts.MaxMessages = cmp.Or(s.opts.MaxMessages, DefaultMaxMessages)
	if s.opts.Key != nil {
		seal, err := newSealer(s.opts.Key)
		if err != nil {
			return nil, err
		}
		s.seal = seal
	}
	if err := s.open(); err != nil {
		return nil, s.explain("open", err)
	}
	return s, nil
}

// Close closes the file. A Conn that still uses it fails its Writes.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	s.stmts.close()
	err := s.db.Close()
	s.db = nil
	return err
}

// Left returns what sessions that are over have not delivered, as far as is
// known, the oldest first. WriteLeft of a Conn sends one again and takes it out of
// the file; Forget only does the latter.
func (s *Store) Left() ([]client.LeftMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.left()
	return list, s.explain("read", err)
}

// Forget deletes a message that Left has returned.
func (s *Store) Forget(m client.LeftMessage) error {
	return s.transact("forget", func() error { return s.forget(m.ID) })
}

// Resend writes all that earlier sessions have left to a Conn, in order, what the
// app may have already included: it has to bear that.
func (s *Store) Resend(ctx context.Context, c *client.Conn) error {
	list, err := s.Left()
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := c.WriteLeft(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// explain says which file it is about and what can be done.
func (s *Store) explain(what string, err error) error {
	hint := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrFull):
		return fmt.Errorf("outbox: %s: %w", s.path, err)
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		return fmt.Errorf("outbox: %s %s: %w: each session needs a file of its own", what, s.path, ErrInUse)
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.NOTADB):
		return fmt.Errorf("outbox: %s %s: %w (%w): move it away, with the -wal beside it; what waits in it was not deleted", what, s.path, ErrDamaged, err)
	case errors.Is(err, ErrDamaged):
		hint = ": move it away, with the -wal beside it; what waits in it was not deleted"
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC): // of the file system, SQLite says IOERR
		hint = ": there is no room on the disk"
	case errors.Is(err, sqlite3.READONLY), errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		hint = ": the file or its directory may not be written: is the disk read-only, and whose are they?"
	case errors.Is(err, sqlite3.CANTOPEN):
		hint = ": is its directory there, and may this program write in it?"
	}
	return fmt.Errorf("outbox: %s %s: %w%s", what, s.path, err, hint)
}
