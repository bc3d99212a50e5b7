package outbox

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/wsresilience/wsresilience/client"
)

// Load implements client.Store.
func (s *Store) Load() (v *client.SavedSession, list []client.StoredMessage, err error) {
	err = s.transact("read", func() error {
		if v, err = s.session(); err != nil || v == nil {
			return err
		}
		if err := s.deleteAcked(v.Acked); err != nil {
			return err
		}
		if err := s.expire(); err != nil {
			return err
		}
		list, err = s.messages()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return v, list, nil
}

func (s *Store) session() (v *client.SavedSession, err error) {
	err = s.query("SELECT token, session, epoch, received, acked, shift, attempts, subprotocol, window, max_message, ttl_ms FROM session", func(row *sqlite3.Stmt) error {
		token, err := s.seal.open(row.ColumnRawBlob(0), "token")
		if err != nil {
			return err
		}
		v = &client.SavedSession{
			Token: string(token), Epoch: uint32(row.ColumnInt64(2)), Received: uint32(row.ColumnInt64(3)),
			Acked: uint32(row.ColumnInt64(4)), Shift: uint32(row.ColumnInt64(5)), Attempts: uint32(row.ColumnInt64(6)),
			Subprotocol: row.ColumnText(7), Window: uint32(row.ColumnInt64(8)), MaxMessage: uint32(row.ColumnInt64(9)),
			TTL: time.Duration(row.ColumnInt64(10)) * time.Millisecond,
		}
		if n := copy(v.Session[:], row.ColumnRawBlob(1)); n != len(v.Session) {
			return fmt.Errorf("%w: a session's id of %d bytes", ErrDamaged, n)
		}
		return nil
	})
	return v, err
}

// expire leaves what waits for too long. Its place in the session is passed over.
func (s *Store) expire() error {
	if s.opts.MaxAge <= 0 {
		return nil
	}
	before := time.Now().Add(-s.opts.MaxAge).UnixMilli()
	const old = " FROM messages WHERE position IS NOT NULL AND skipped = 0 AND created_at < ?"
	if err := s.exec("INSERT INTO messages (kind, payload, sum, created_at, status) SELECT kind, payload, sum, created_at, iif(status = 'sent', 'failed', status)"+old+" ORDER BY position", before); err != nil {
		return err
	}
	err := s.exec("UPDATE messages SET skipped = 1, payload = x'', sum = 0 WHERE position IS NOT NULL AND skipped = 0 AND created_at < ?", before)
	if err != nil {
		return err
	}
	last, begun := s.last, s.begun
	err = s.count()
	s.last, s.begun = last, begun
	return err
}

// messages returns those of the session, in order.
func (s *Store) messages() (list []client.StoredMessage, err error) {
	err = s.query("SELECT position, kind, payload, sum, status, skipped, id FROM messages WHERE position IS NOT NULL ORDER BY position", func(row *sqlite3.Stmt) error {
		m := client.StoredMessage{
			Position: uint32(row.ColumnInt64(0)), Type: client.MessageType(row.ColumnInt(1)),
			MaySend: row.ColumnText(4) != "pending", Skipped: row.ColumnInt(5) != 0,
		}
		if !m.Skipped {
			data, err := s.payload(row, 2, 3, 6)
			if err != nil {
				return err
			}
			m.Data = data
		}
		list = append(list, m)
		return nil
	})
	return list, err
}

// left returns the messages of sessions that are over.
func (s *Store) left() (list []client.LeftMessage, err error) {
	if s.db == nil {
		return nil, errClosed
	}
	err = s.query("SELECT id, kind, payload, sum, status, created_at FROM messages WHERE position IS NULL ORDER BY id", func(row *sqlite3.Stmt) error {
		data, err := s.payload(row, 2, 3, 0)
		if err != nil {
			return err
		}
		list = append(list, client.LeftMessage{
			ID: row.ColumnInt64(0), Type: client.MessageType(row.ColumnInt(1)), Data: data,
			Created: time.UnixMilli(row.ColumnInt64(5)), MaybeDelivered: row.ColumnText(4) == "failed",
		})
		return nil
	})
	return list, err
}

// payload returns what a row holds, if it is what was put into it.
func (s *Store) payload(row *sqlite3.Stmt, payload, sum, id int) ([]byte, error) {
	raw := row.ColumnRawBlob(payload)
	if checksum(raw) != row.ColumnInt64(sum) {
		return nil, fmt.Errorf("%w: message %d", ErrDamaged, row.ColumnInt64(id))
	}
	return s.seal.open(raw, "message")
}
