package client

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/wire"
)

// refuseAt reads what the client says, as a gateway does, and closes with 1009 at
// what. It reports whether that came, before the client waits for something.
func (p *peer) refuseAt(what string) (came bool) {
	p.t.Helper()
	for {
		op, b, err := p.nextWithin(2 * time.Second)
		if err != nil {
			return false
		}
		got := string(b)
		if t, ours := wire.TypeOf(b); op == ws.OpBinary && ours {
			got = t.String()
		}
		p.said = append(p.said, got)
		if got == what {
			p.raw(frameOf(ws.OpClose, closing16(ws.StatusMessageTooBig)))
			p.gone()
			return true
		}
	}
}

// What a program restores with may be what the path does not take. It would end
// each connection, so the session ends, and no message of the outbox is blamed.
func TestRestoreRefused(t *testing.T) {
	for name, slow := range map[string]time.Duration{"in the middle": time.Second, "after its end": 0} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, s *stage) {
				o := s.options()
				restores := 0
				o.Restore = func(ctx context.Context, w *RestoreWriter) error {
					restores++
					err := w.Write(ctx, MessageText, []byte("large login"))
					time.Sleep(slow)
					return err
				}
				c, p := s.open(o)
				time.Sleep(stableLifetime)
				p.conn.Close()
				for range maxRestoreRefusals {
					p = s.accept(wire.Subprotocol)
					p.welcome(wire.StatusAdopted, 0, 1)
					wantWrite(t, c, "order")
					if !p.refuseAt("RESTORE") {
						t.Fatal("no RESTORE")
					}
				}
				p = s.accept(wire.Subprotocol)
				p.welcome(wire.StatusAdopted, 0, 1)
				if p.refuseAt("RESTORE") || !slices.Contains(p.said, "CLOSE") {
					t.Errorf("in the end the client says %q", p.said)
				}
				if _, _, err := c.Read(t.Context()); CloseStatus(err) != int(wire.CodeRestart) {
					t.Error(err)
				}
				if restores != maxRestoreRefusals {
					t.Errorf("restored %d times", restores)
				}
				for len(c.Events()) > 0 {
					if e := <-c.Events(); e.Kind == EventRejected {
						t.Errorf("%+v", e)
					}
				}
				time.Sleep(slow)
			})
		})
	}
}

// A message behind the restore is to blame where the sidecar has got past that.
func TestRefusedBehindRestore(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		o := s.options()
		o.Restore = func(ctx context.Context, w *RestoreWriter) error {
			return w.Write(ctx, MessageText, []byte("login"))
		}
		c, p := s.open(o)
		time.Sleep(stableLifetime)
		p.conn.Close()
		p = s.resume("t0-1", 0, 1)
		p.welcome(wire.StatusAdopted, 0, 1)
		p.want("RESTORE")
		p.want("RESTORED")
		wantWrite(t, c, "large order")
		wantWrite(t, c, "order")
		refused := 0
		for p.refuseAt("large order") {
			refused++
			p = s.accept(wire.Subprotocol)
			p.welcome(wire.StatusResumed, 0, 1)
		}
		if refused > 3 || !slices.Contains(p.said, "SKIPPED") {
			t.Errorf("after %d times the client says %q", refused, p.said)
		}
		_ = c.CloseNow()
	})
}
