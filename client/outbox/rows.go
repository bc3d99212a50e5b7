package outbox

import (
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/wsresilience/wsresilience/client"
)

// statements are those of each message and each acknowledgement.
type statements struct {
	begin, commit, rollback *sqlite3.Stmt
	put, acked, save        *sqlite3.Stmt
}

func (s *statements) all() map[string]**sqlite3.Stmt {
	return map[string]**sqlite3.Stmt{
		"BEGIN IMMEDIATE": &s.begin, "COMMIT": &s.commit, "ROLLBACK": &s.rollback,
		"INSERT INTO messages (position, kind, payload, key, sum, created_at, status) VALUES (?, ?, ?, ?, ?, ?, ?)": &s.put,
		"DELETE FROM messages WHERE position <= ? RETURNING length(payload) + length(key)":                          &s.acked,
		`INSERT INTO session (id, token, session, epoch, received, acked, shift, attempts, subprotocol, window, max_message, ttl_ms)
			VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET token = excluded.token, session = excluded.session, epoch = excluded.epoch,
			received = excluded.received, acked = excluded.acked, shift = excluded.shift, attempts = excluded.attempts,
			subprotocol = excluded.subprotocol, window = excluded.window, max_message = excluded.max_message, ttl_ms = excluded.ttl_ms`: &s.save,
	}
}

func (s *statements) prepare(db *sqlite3.Conn) error {
	for sql, to := range s.all() {
		stmt, _, err := db.Prepare(sql)
		if err != nil {
			return err
		}
		*to = stmt
	}
	return nil
}

func (s *statements) close() {
	for _, stmt := range s.all() {
		if *stmt != nil {
			_ = (*stmt).Close()
			*stmt = nil
		}
	}
}

var errClosed = errors.New("it is closed")

// transact calls f in a transaction: all of it happens, or nothing. What is
// counted is counted again after a failure.
func (s *Store) transact(what string, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return s.explain(what, errClosed)
	}
	waiting, bytes, last, begun := s.waiting, s.bytes, s.last, s.begun
	err := s.stmts.begin.Exec()
	if err == nil {
		if err = f(); err == nil {
			err = s.stmts.commit.Exec()
		}
		if err != nil {
			s.waiting, s.bytes, s.last, s.begun = waiting, bytes, last, begun
			if !s.db.GetAutocommit() {
				err = errors.Join(err, s.stmts.rollback.Exec())
			}
		}
	}
	return s.explain(what, err)
}

// count counts what waits in the file.
func (s *Store) count() error {
	return s.query("SELECT count(*), coalesce(sum(length(payload) + length(key)), 0), coalesce(max(position), 0) FROM messages", func(row *sqlite3.Stmt) error {
		s.waiting, s.bytes, s.last = row.ColumnInt(0), row.ColumnInt64(1), row.ColumnInt64(2)
		return nil
	})
}

// absolute returns a position without the wrap at 2^32: the one that is nearest
// to the last.
func (s *Store) absolute(position uint32) int64 {
	if !s.begun {
		s.begun = true
		if s.last == 0 {
			s.last = 1<<32 + int64(position)
		}
	}
	return s.last + int64(int32(position-uint32(s.last)))
}

// Put implements client.Store.
func (s *Store) Put(m *client.StoredMessage) error {
	return s.transact("write", func() error {
		if m.Replaces != 0 {
			if err := s.forget(m.Replaces); err != nil {
				return err
			}
		}
		payload, key := s.seal.seal(m.Data, "message"), s.sealKey(m.Key)
		size := int64(len(payload) + len(key))
		if s.opts.MaxMessages > 0 && s.waiting >= s.opts.MaxMessages {
			return fmt.Errorf("%w: %d messages wait, at most %d", ErrFull, s.waiting, s.opts.MaxMessages)
		}
		if s.opts.MaxBytes > 0 && s.bytes+size > s.opts.MaxBytes {
			return fmt.Errorf("%w: %d bytes wait, %d more are above %d", ErrFull, s.bytes, size, s.opts.MaxBytes)
		}
		status := "pending"
		if m.MaySend {
			status = "sent"
		}
		s.last = s.absolute(m.Position)
		s.waiting++
		s.bytes += size
		return run(s.stmts.put, s.last, int64(m.Type), payload, key, checksum(payload, key), time.Now().UnixMilli(), status)
	})
}

// Sent implements client.Store.
func (s *Store) Sent() error {
	return s.transact("write", func() error {
		return s.exec("UPDATE messages SET status = 'sent' WHERE position IS NOT NULL AND status = 'pending'")
	})
}

// Reject implements client.Store.
func (s *Store) Reject(position uint32) error {
	return s.transact("write", func() error {
		return s.exec("UPDATE messages SET skipped = 1 WHERE position = ?", s.absolute(position))
	})
}

// Save implements client.Store.
func (s *Store) Save(v *client.SavedSession) error {
	return s.transact("save", func() error {
		if err := s.deleteAcked(v.Acked); err != nil {
			return err
		}
		return run(s.stmts.save, s.seal.seal([]byte(v.Token), "token"), v.Session[:], int64(v.Epoch), int64(v.Received), int64(v.Acked),
			int64(v.Shift), int64(v.Attempts), v.Subprotocol, int64(v.Window), int64(v.MaxMessage), v.TTL.Milliseconds())
	})
}

// deleteAcked deletes the messages of the session up to a position.
func (s *Store) deleteAcked(position uint32) error {
	stmt := s.stmts.acked
	if err := stmt.BindInt64(1, s.absolute(position)); err != nil {
		return err
	}
	for stmt.Step() {
		s.waiting--
		s.bytes -= stmt.ColumnInt64(0)
	}
	return errors.Join(stmt.Err(), stmt.Reset())
}

// End implements client.Store.
func (s *Store) End(acked uint32) error {
	return s.transact("save", func() error {
		if err := s.deleteAcked(acked); err != nil {
			return err
		}
		return s.leave()
	})
}

// Begin implements client.Store.
func (s *Store) Begin() error { return s.transact("save", s.leave) }

// leave ends the session that is in the file. Its messages are left.
func (s *Store) leave() error {
	if err := s.exec("DELETE FROM messages WHERE position IS NOT NULL AND skipped = 1"); err != nil {
		return err
	}
	if err := s.exec("UPDATE messages SET position = NULL, status = iif(status = 'sent', 'failed', status) WHERE position IS NOT NULL"); err != nil {
		return err
	}
	if err := s.exec("DELETE FROM session"); err != nil {
		return err
	}
	err := s.count()
	s.last, s.begun = 0, false
	return err
}

func (s *Store) forget(id int64) error {
	if err := s.exec("DELETE FROM messages WHERE position IS NULL AND id = ?", id); err != nil {
		return err
	}
	if s.db.Changes() != 1 {
		return fmt.Errorf("no message %d was left: it was sent again or forgotten before", id)
	}
	last, begun := s.last, s.begun
	err := s.count()
	s.last, s.begun = last, begun
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(payload, key []byte) int64 {
	return int64(crc32.Update(crc32.Checksum(payload, castagnoli), castagnoli, key))
}
