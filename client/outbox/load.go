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
	if err := s.exec("INSERT INTO messages (kind, payload, key, sum, created_at, status) SELECT kind, payload, key, sum, created_at, iif(status = 'sent', 'failed', status)"+old+" ORDER BY position", before); err != nil {
		return err
	}
	err := s.exec("UPDATE messages SET skipped = 1, payload = x'', key = x'', sum = 0 WHERE position IS NOT NULL AND skipped = 0 AND created_at < ?", before)
	if err != nil {
		return err
	}
	last, begun := s.last, s.begun
	err = s.count()
	s.last, s.begun = last, begun
	return err
}

// columns are what stands in each row that is read, in the order of row.
const columns = "id, kind, payload, key, sum, status"

// content is what a row holds of a message.
type content struct {
	data []byte
	key  string
}

// messages returns those of the session, in order.
func (s *Store) messages() (list []client.StoredMessage, err error) {
	err = s.query("SELECT "+columns+", position, skipped FROM messages WHERE position IS NOT NULL ORDER BY position", func(row *sqlite3.Stmt) error {
		m := client.StoredMessage{
			Position: uint32(row.ColumnInt64(6)), Type: client.MessageType(row.ColumnInt(1)),
			MaySend: row.ColumnText(5) != "pending", Skipped: row.ColumnInt(7) != 0,
		}
		if !m.Skipped {
			c, err := s.content(row)
			if err != nil {
				return err
			}
			m.Data, m.Key = c.data, c.key
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
	err = s.query("SELECT "+columns+", created_at FROM messages WHERE position IS NULL ORDER BY id", func(row *sqlite3.Stmt) error {
		c, err := s.content(row)
		if err != nil {
			return err
		}
		list = append(list, client.LeftMessage{
			ID: row.ColumnInt64(0), Type: client.MessageType(row.ColumnInt(1)), Data: c.data, Key: c.key,
			Created: time.UnixMilli(row.ColumnInt64(6)), MaybeDelivered: row.ColumnText(5) == "failed",
		})
		return nil
	})
	return list, err
}

// content returns what a row holds, if it is what was put into it.
func (s *Store) content(row *sqlite3.Stmt) (c content, err error) {
	payload, key := row.ColumnRawBlob(2), row.ColumnRawBlob(3)
	if checksum(payload, key) != row.ColumnInt64(4) {
		return c, fmt.Errorf("%w: message %d", ErrDamaged, row.ColumnInt64(0))
	}
	if len(key) > 0 {
		text, err := s.seal.open(key, "message key")
		if err != nil {
			return c, err
		}
		c.key = string(text)
	}
	c.data, err = s.seal.open(payload, "message")
	return c, err
}

// sealKey returns the key of a message as it stands in its row.
func (s *Store) sealKey(key string) []byte {
	if key == "" {
		return nil
	}
	return s.seal.seal([]byte(key), "message key")
}
