package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/client"
)

func open(t *testing.T, path string, opts *Options) *Store {
	t.Helper()
	s, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *Store, position uint32, text string, maySend bool) {
	t.Helper()
	if err := s.Put(&client.StoredMessage{Position: position, Type: client.MessageText, Data: []byte(text), MaySend: maySend}); err != nil {
		t.Fatal(err)
	}
}

func session(received, acked uint32) *client.SavedSession {
	return &client.SavedSession{
		Token: "secret token", Session: [16]byte{1, 2, 3}, Epoch: 4, Received: received, Acked: acked, Shift: 7, Attempts: 9,
		Subprotocol: "meter", Window: 1 << 20, MaxMessage: 1 << 30, TTL: 5 * time.Minute,
	}
}

// must is for calls whose failure ends a test.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func loaded(t *testing.T, s *Store) (*client.SavedSession, string) {
	t.Helper()
	v, list, err := s.Load()
	must(t, err)
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%d %s", m.Position, m.Data)
		if m.MaySend {
			b.WriteString(" sent")
		}
		if m.Skipped {
			b.WriteString(" skipped")
		}
		b.WriteString("; ")
	}
	return v, b.String()
}

func leftOf(t *testing.T, s *Store) string {
	t.Helper()
	list, err := s.Left()
	must(t, err)
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%s", m.Data)
		if m.MaybeDelivered {
			b.WriteString(" maybe")
		}
		b.WriteString("; ")
	}
	return b.String()
}

// keys are none and one: all that is kept is the same with both.
func keys(t *testing.T, f func(t *testing.T, key []byte)) {
	t.Run("open", func(t *testing.T) { f(t, nil) })
	t.Run("sealed", func(t *testing.T) { f(t, bytes.Repeat([]byte{7}, 32)) })
}

// TestOtherProcess: what was put, sent, acknowledged and set aside before the
// end of a process is there in the next.
func TestOtherProcess(t *testing.T) {
	keys(t, func(t *testing.T, key []byte) {
		path := filepath.Join(t.TempDir(), "a.db")
		s := open(t, path, &Options{Key: key})
		if v, list, err := s.Load(); v != nil || list != nil || err != nil {
			t.Fatalf("a new file has %v, %v, %v", v, list, err)
		}
		must(t, s.Begin())
		put(t, s, 1, "one", true)
		put(t, s, 2, "two", true)
		put(t, s, 3, "three", true)
		must(t, s.Save(session(5, 1)))
		must(t, s.Reject(3))
		put(t, s, 4, "four", false)
		must(t, s.Close())

		s = open(t, path, &Options{Key: key})
		v, list := loaded(t, s)
		if *v != *session(5, 1) {
			t.Errorf("session %+v", v)
		}
		if want := "2 two sent; 3  sent skipped; 4 four; "; list != want {
			t.Errorf("messages %q, want %q", list, want)
		}
		must(t, s.Sent())
		if _, list := loaded(t, s); !strings.Contains(list, "4 four sent") {
			t.Errorf("messages %q: all may be sent by now", list)
		}
		put(t, s, 5, "five", false)
		must(t, s.End(2))
		if v, list := loaded(t, s); v != nil || list != "" {
			t.Errorf("%+v, %q of a session that is over", v, list)
		}
		if got, want := leftOf(t, s), "four maybe; five; "; got != want {
			t.Errorf("left %q, want %q", got, want)
		}
	})
}

// TestKeysOfMessages: a message has its key in the next process, in what a session
// has left, and once it is too old.
func TestKeysOfMessages(t *testing.T) {
	keys(t, func(t *testing.T, key []byte) {
		path := filepath.Join(t.TempDir(), "a.db")
		keyed := func(list []client.StoredMessage) (s string) {
			for _, m := range list {
				s += fmt.Sprintf("%d %s %q; ", m.Position, m.Data, m.Key)
			}
			return s
		}
		s := open(t, path, &Options{Key: key, MaxBytes: 1000})
		must(t, s.Begin())
		must(t, s.Put(&client.StoredMessage{Position: 1, Type: client.MessageText, Data: []byte("old"), Key: "o"}))
		put(t, s, 2, "plain", true)
		must(t, s.Put(&client.StoredMessage{Position: 3, Type: client.MessageText, Data: []byte("order"), Key: "a\x00\xff"}))
		must(t, s.Save(session(0, 0)))
		must(t, s.Close())
		text, err := os.ReadFile(path)
		must(t, err)
		if key != nil && bytes.Contains(text, []byte("a\x00\xff")) {
			t.Error("a key stands in the file")
		}
		s = open(t, path, &Options{Key: key})
		if _, list, err := s.Load(); err != nil || keyed(list) != `1 old "o"; 2 plain ""; 3 order "a\x00\xff"; ` {
			t.Errorf("messages %s, %v", keyed(list), err)
		}
		must(t, s.exec("UPDATE messages SET created_at = created_at - 7200000 WHERE position % 4294967296 = 1"))
		must(t, s.Close())
		s = open(t, path, &Options{Key: key, MaxAge: time.Hour})
		if _, list, err := s.Load(); err != nil || keyed(list) != `1  ""; 2 plain ""; 3 order "a\x00\xff"; ` {
			t.Errorf("messages %s, %v", keyed(list), err)
		}
		must(t, s.End(2))
		left, err := s.Left()
		if err != nil || len(left) != 2 || left[0].Key != "a\x00\xff" || left[1].Key != "o" || string(left[1].Data) != "old" {
			t.Errorf("left %+v, %v", left, err)
		}
		must(t, s.Forget(left[0]))
		must(t, s.Forget(left[1]))
		if s.bytes != 0 || s.waiting != 0 {
			t.Errorf("%d bytes of %d messages are counted", s.bytes, s.waiting)
		}
	})
}

// TestKeyDamaged: a key that is not what was written is told.
func TestKeyDamaged(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), nil)
	must(t, s.Put(&client.StoredMessage{Position: 1, Type: client.MessageText, Data: []byte("order"), Key: "order-1"}))
	must(t, s.Save(session(0, 0)))
	must(t, s.exec("UPDATE messages SET key = ?", []byte("order-2")))
	if _, _, err := s.Load(); !errors.Is(err, ErrDamaged) {
		t.Errorf("error %v", err)
	}
}

// TestOlderTables: the file of an older release goes on, with all that is in it.
func TestOlderTables(t *testing.T) {
	keys(t, func(t *testing.T, key []byte) {
		path := filepath.Join(t.TempDir(), "a.db")
		s := open(t, path, &Options{Key: key})
		put(t, s, 1, "one", true)
		must(t, s.Save(session(0, 0)))
		must(t, s.exec("ALTER TABLE messages DROP COLUMN key"))
		must(t, s.exec("PRAGMA user_version=1"))
		must(t, s.Close())
		for range 2 {
			s = open(t, path, &Options{Key: key})
			if _, list := loaded(t, s); list != "1 one sent; " {
				t.Errorf("messages %q", list)
			}
			must(t, s.Close())
		}
		s = open(t, path, &Options{Key: key})
		must(t, s.Put(&client.StoredMessage{Position: 2, Type: client.MessageText, Data: []byte("two"), Key: "k"}))
		if _, list, err := s.Load(); err != nil || len(list) != 2 || list[1].Key != "k" {
			t.Errorf("messages %+v, %v", list, err)
		}
	})
}

// TestSendAgain: what was left goes into the next session in one step.
func TestSendAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, nil)
	put(t, s, 1, "one", true)
	put(t, s, 2, "two", false)
	must(t, s.End(0))
	left, err := s.Left()
	must(t, err)
	must(t, s.Begin())
	must(t, s.Save(session(0, 0)))
	must(t, s.Put(&client.StoredMessage{Position: 1, Type: left[0].Type, Data: left[0].Data, Replaces: left[0].ID}))
	if _, list := loaded(t, s); list != "1 one; " || leftOf(t, s) != "two; " {
		t.Errorf("messages %q, left %q", list, leftOf(t, s))
	}
	if err := s.Put(&client.StoredMessage{Position: 2, Type: left[0].Type, Replaces: left[0].ID}); err == nil {
		t.Error("it was sent a second time")
	}
	must(t, s.Forget(left[1]))
	if err := s.Forget(left[1]); err == nil || leftOf(t, s) != "" {
		t.Errorf("forgotten twice: %v; left %q", err, leftOf(t, s))
	}
}

// TestPositionsWrap: they are modulo 2^32 for the session, and in order here.
func TestPositionsWrap(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), nil)
	for p := ^uint32(1); p != 3; p++ {
		put(t, s, p, "m", false)
	}
	must(t, s.Save(session(0, ^uint32(0))))
	if _, list := loaded(t, s); list != "0 m; 1 m; 2 m; " {
		t.Errorf("messages %q", list)
	}
}

func TestBounds(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), &Options{MaxBytes: 10, MaxMessages: 3})
	add := func(p uint32, n int) error {
		return s.Put(&client.StoredMessage{Position: p, Type: client.MessageBinary, Data: make([]byte, n)})
	}
	must(t, add(1, 6))
	if err := add(2, 5); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "6 bytes wait, 5 more are above 10") {
		t.Errorf("error %v", err)
	}
	must(t, add(2, 4))
	must(t, add(3, 0))
	if err := add(4, 0); !errors.Is(err, ErrFull) {
		t.Errorf("error %v", err)
	}
	must(t, s.Save(session(0, 1)))
	must(t, add(4, 6))
}

// TestAge: what waits for too long is left, and its place passed over.
func TestAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, nil)
	put(t, s, 1, "old", true)
	put(t, s, 2, "new", false)
	must(t, s.Save(session(0, 0)))
	must(t, s.exec("UPDATE messages SET created_at = created_at - 7200000 WHERE position % 4294967296 = 1"))
	must(t, s.Close())
	s = open(t, path, &Options{MaxAge: time.Hour})
	if _, list := loaded(t, s); list != "1  sent skipped; 2 new; " || leftOf(t, s) != "old maybe; " {
		t.Errorf("messages %q, left %q", list, leftOf(t, s))
	}
	if _, list := loaded(t, s); list != "1  sent skipped; 2 new; " || leftOf(t, s) != "old maybe; " {
		t.Errorf("the second time: messages %q, left %q", list, leftOf(t, s))
	}
}

// TestKey: without the key of a file nothing of it is read, and nothing stands
// in it to be read.
func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	key := bytes.Repeat([]byte{1}, 32)
	s := open(t, path, &Options{Key: key})
	put(t, s, 1, "plain words", true)
	must(t, s.Save(session(0, 0)))
	must(t, s.Close())
	text, err := os.ReadFile(path)
	must(t, err)
	for _, secret := range []string{"plain words", "secret token"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q stands in the file", secret)
		}
	}
	for _, wrong := range [][]byte{nil, bytes.Repeat([]byte{2}, 32)} {
		if _, err := Open(path, &Options{Key: wrong}); !errors.Is(err, ErrKey) {
			t.Errorf("key %v: %v", wrong, err)
		}
	}
	if _, err := Open(path, &Options{Key: []byte("short")}); err == nil || !strings.Contains(err.Error(), "5 bytes, want 32") {
		t.Errorf("error %v", err)
	}
}

// TestSecondProcess: a file has one owner at a time.
func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, path, nil)
	if _, err := Open(path, nil); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	must(t, s.Close())
	must(t, s.Close())
	open(t, path, nil)
	if err := s.Put(&client.StoredMessage{Position: 1, Type: client.MessageText}); err == nil {
		t.Error("a closed store takes messages")
	}
}

// TestDamage: a file that is not what was written is told, and kept.
func TestDamage(t *testing.T) {
	filled := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "a.db")
		s := open(t, path, nil)
		for p := range uint32(200) {
			put(t, s, p+1, strings.Repeat("payload", 50), true)
		}
		must(t, s.Save(session(0, 0)))
		must(t, s.Close())
		return path
	}
	for name, damage := range map[string]func([]byte) []byte{
		"another file": func([]byte) []byte { return bytes.Repeat([]byte("not a database. "), 100) },
		"a page":       func(b []byte) []byte { return append(b[:4096:4096], bytes.Repeat([]byte{0xee}, len(b)-4096)...) },
		"cut short":    func(b []byte) []byte { return b[:len(b)/2] },
		"a payload": func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte("payloadpayload"))
			b[at] ^= 1
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			before, err := os.ReadFile(path)
			must(t, err)
			damaged := damage(slices.Clone(before))
			must(t, os.WriteFile(path, damaged, 0o600))
			s, err := Open(path, nil)
			if err == nil {
				t.Cleanup(func() { s.Close() })
				_, _, err = s.Load()
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, damaged) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

// TestDiskFull: what finds no room is refused as a whole, and later all goes on.
func TestDiskFull(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "a.db"), nil)
	put(t, s, 1, "one", true)
	pages, err := s.number("PRAGMA page_count")
	must(t, err)
	must(t, s.exec(fmt.Sprintf("PRAGMA max_page_count=%d", pages+4)))
	err = s.Put(&client.StoredMessage{Position: 2, Type: client.MessageBinary, Data: make([]byte, 64<<10)})
	if err == nil || !strings.Contains(err.Error(), "no room on the disk") {
		t.Errorf("error %v", err)
	}
	must(t, s.exec("PRAGMA max_page_count=1000000"))
	put(t, s, 2, "two", true)
	must(t, s.Save(session(0, 0)))
	if _, list := loaded(t, s); list != "1 one sent; 2 two sent; " {
		t.Errorf("messages %q", list)
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	s := open(t, other, nil)
	must(t, s.exec("PRAGMA user_version=99"))
	must(t, s.Close())
	for path, want := range map[string]string{
		filepath.Join(dir, "missing", "a.db"): "is its directory there",
		dir:                                   "is its directory there",
		other:                                 "newer release (tables 99, this one knows 2)",
	} {
		if s, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", path, s, err)
		}
	}
}

// BenchmarkPut is how long Write takes for the disk's part, with the percentiles.
func BenchmarkPut(b *testing.B) {
	for _, powerLoss := range []bool{false, true} {
		b.Run(fmt.Sprintf("PowerLoss=%v", powerLoss), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "a.db"), &Options{PowerLoss: powerLoss, MaxMessages: -1, MaxBytes: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			payload := bytes.Repeat([]byte("x"), 200)
			took := make([]time.Duration, 0, b.N)
			for i := 0; b.Loop(); i++ {
				began := time.Now()
				if err := s.Put(&client.StoredMessage{Position: uint32(i + 1), Type: client.MessageText, Data: payload}); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			for _, p := range []int{50, 95, 99} {
				b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
			}
		})
	}
}
