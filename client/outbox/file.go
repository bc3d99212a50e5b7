package outbox

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
)

// version is that of the tables; it is in PRAGMA user_version. A later one keeps
// reading this.
const version = 2

// upgrades are what makes tables of version i+1 those of the next.
var upgrades = [version - 1]string{
	"ALTER TABLE messages ADD COLUMN key BLOB NOT NULL DEFAULT x''",
}

// tables: a message of the present session has a position, and one that was left
// has none. sum is a checksum of the payload as it stands, and of the key behind it;
// an empty key is none. pending was never sent; sent may have been; failed may have
// been, in a session that is over.
const tables = `
CREATE TABLE messages (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	position INTEGER UNIQUE,
	kind INTEGER NOT NULL,
	payload BLOB NOT NULL,
	sum INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed')),
	skipped INTEGER NOT NULL DEFAULT 0,
	key BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE TABLE session (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	token BLOB NOT NULL,
	session BLOB NOT NULL,
	epoch INTEGER NOT NULL,
	received INTEGER NOT NULL,
	acked INTEGER NOT NULL,
	shift INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	subprotocol TEXT NOT NULL,
	window INTEGER NOT NULL,
	max_message INTEGER NOT NULL,
	ttl_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE key (id INTEGER PRIMARY KEY CHECK (id = 1), proof BLOB NOT NULL) STRICT;
`

// proof is what the key of a file has sealed in it.
const proof = "wsresilience outbox"

// open opens the file, and has it alone from then on.
func (s *Store) open() (err error) {
	name := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(s.path)}).String()
	db, err := sqlite3.Open(name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.stmts.close()
			_ = db.Close()
			s.db = nil
		}
	}()
	s.db = db
	synchronous := "NORMAL"
	if s.opts.PowerLoss {
		synchronous = "FULL"
	}
	for _, sql := range []string{
		"PRAGMA locking_mode=EXCLUSIVE",
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=" + synchronous,
		"PRAGMA mmap_size=67108864",
		"PRAGMA journal_size_limit=16777216",
		"BEGIN IMMEDIATE", // the lock is kept
	} {
		if err := db.Exec(sql); err != nil {
			return err
		}
	}
	if err := s.prepareTables(); err != nil {
		return errors.Join(err, db.Exec("ROLLBACK"))
	}
	if err := db.Exec("COMMIT"); err != nil {
		return err
	}
	if err := s.stmts.prepare(db); err != nil {
		return err
	}
	return s.count()
}

// prepareTables makes the tables of a new file, and checks those of another.
func (s *Store) prepareTables() error {
	is, err := s.number("PRAGMA user_version")
	if err != nil {
		return err
	}
	switch {
	case is == 0:
		if n, err := s.number("SELECT count(*) FROM sqlite_schema"); err != nil || n > 0 {
			return errors.Join(err, errors.New("it is a database of something else"))
		}
		if err := s.db.Exec(tables); err != nil {
			return err
		}
		if err := s.db.Exec(fmt.Sprintf("PRAGMA user_version=%d", version)); err != nil {
			return err
		}
		return s.exec("INSERT INTO key (id, proof) VALUES (1, ?)", s.seal.seal([]byte(proof), "key"))
	case is > version:
		return fmt.Errorf("it is of a newer release (tables %d, this one knows %d)", is, version)
	}
	if problem, err := s.text("PRAGMA quick_check(1)"); err != nil || problem != "ok" {
		return errors.Join(err, fmt.Errorf("%w: %s", ErrDamaged, problem))
	}
	sealed, err := s.text("SELECT proof FROM key")
	if err != nil {
		return err
	}
	if text, err := s.seal.open([]byte(sealed), "key"); err != nil || string(text) != proof {
		return ErrKey
	}
	if is == version {
		return nil
	}
	for _, sql := range upgrades[is-1:] {
		if err := s.db.Exec(sql); err != nil {
			return err
		}
	}
	return s.db.Exec(fmt.Sprintf("PRAGMA user_version=%d", version))
}

// number returns the first column of the first row as a number.
func (s *Store) number(sql string) (n int64, err error) {
	err = s.query(sql, func(row *sqlite3.Stmt) error {
		n = row.ColumnInt64(0)
		return nil
	})
	return n, err
}

func (s *Store) text(sql string) (text string, err error) {
	err = s.query(sql, func(row *sqlite3.Stmt) error {
		text = row.ColumnText(0)
		return nil
	})
	return text, err
}

// query calls f with each row, until it fails.
func (s *Store) query(sql string, f func(row *sqlite3.Stmt) error) error {
	stmt, _, err := s.db.Prepare(sql)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	for stmt.Step() {
		if err := f(stmt); err != nil {
			return err
		}
	}
	return stmt.Err()
}

// exec runs a statement that is not worth keeping.
func (s *Store) exec(sql string, args ...any) error {
	stmt, _, err := s.db.Prepare(sql)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	return run(stmt, args...)
}

// run runs a prepared statement.
func run(stmt *sqlite3.Stmt, args ...any) error {
	for i, arg := range args {
		var err error
		switch v := arg.(type) {
		case int64:
			err = stmt.BindInt64(i+1, v)
		case string:
			err = stmt.BindText(i+1, v)
		case []byte:
			if len(v) == 0 {
				err = stmt.BindZeroBlob(i+1, 0) // nil would be NULL
			} else {
				err = stmt.BindBlob(i+1, v)
			}
		default:
			panic(fmt.Sprintf("outbox: argument of type %T", arg))
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(stmt.Exec(), stmt.ClearBindings())
}
