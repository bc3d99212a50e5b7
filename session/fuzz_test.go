package session

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// Bytes of hostile peers: nothing panics, nothing grows.
func FuzzSessionBytes(f *testing.F) {
	f.Add([]byte("\x82\x89\x00\x00\x00\x00\xffWSR\x02\x00\x00\x00\x01"), []byte("\x81\x02hi"), uint8(3))
	f.Add([]byte("\xc1\x83\x00\x00\x00\x00abc"), []byte("\xc2\x03abc"), uint8(1))
	f.Fuzz(func(t *testing.T, client, app []byte, step uint8) {
		cfg := simConfig()
		now := time.Unix(1_700_000_000, 0)
		s := New(cfg, now, Start{Deflate: true})
		s.Attach(now, wire.StatusNew, Position{Next: 1}, true)
		feed := func(p []byte, fn func(time.Time, []byte) int) {
			var unread []byte
			for len(p) > 0 {
				k := min(int(step)+1, len(p))
				unread = append(unread, p[:k]...)
				p = p[k:]
				for len(unread) > 0 {
					n := fn(now, unread)
					drain(s, now)
					if unread = unread[n:]; n == 0 {
						break
					}
				}
			}
		}
		feed(client, s.FromClient)
		feed(app, s.FromApp)
		for range 50 {
			now = now.Add(10 * time.Second)
			s.Tick(now)
			drain(s, now)
		}
		s.End(now, EndedReleased, ws.StatusInternalServerError)
		drain(s, now)
		if n := cfg.Pool.InUse(); n != 0 {
			t.Fatalf("an ended session holds %d bytes", n)
		}
	})
}

// drain is a driver whose sockets take everything.
func drain(s *Session, now time.Time) {
	for {
		var o Output
		s.Output(now, &o)
		if len(o.ToApp) > 0 {
			s.AppWrote(now, size(o.ToApp))
		}
		if len(o.ToClient) > 0 {
			s.ClientWrote(size(o.ToClient))
		}
		if o.Persist != nil {
			s.Persisted(now, Persisted)
		}
		if o.Idle() {
			return
		}
	}
}

// What passes a plain connection is what came, less the answers to our pings,
// however the bytes are cut and however slowly they are taken.
func FuzzPlainMachine(f *testing.F) {
	f.Add([]byte("\x81\x82\x00\x00\x00\x00hi\x8a\x80\x00\x00\x00\x00"), uint8(2), uint8(3))
	f.Add([]byte("\x01\x80\x00\x00\x00\x00\x80\x81\x01\x02\x03\x04a\x88\x80\x01\x02\x03\x04"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, step, room uint8) {
		now := time.Unix(1_700_000_000, 0)
		p := NewPlain(simConfig(), now)
		var got, unread []byte
		ended := false
		settle := func(room int) {
			for {
				var o Output
				p.Output(now, &o)
				if len(o.ToApp) > 0 {
					p.AppWrote(now, accept(&room, o.ToApp, &got))
				}
				if ended = ended || o.Ended != 0; o.Idle() {
					return
				}
			}
		}
		rest := in
		for (len(rest) > 0 || len(unread) > 0) && !ended {
			k := min(int(step)+1, len(rest))
			unread = append(unread, rest[:k]...)
			rest = rest[k:]
			n := p.FromClient(now, unread)
			settle(int(room))
			unread = unread[n:]
			if p.AppWritable(); len(rest) == 0 && n == 0 {
				settle(1 << 20)
				if p.FromClient(now, unread) == 0 {
					break
				}
			}
			settle(1 << 20)
		}
		if !bytes.HasPrefix(in, got) {
			t.Fatalf("% x came out of % x", got, in)
		}
		if !ended && len(got)+len(unread) != len(in) {
			t.Fatalf("%d bytes came out and %d wait, of %d", len(got), len(unread), len(in))
		}
	})
}
