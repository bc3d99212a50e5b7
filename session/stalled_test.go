package session

import (
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/budget"
	"github.com/wsresilience/wsresilience/internal/frame"
)

// An app has said a part of a large message, and says no more. Nobody minds while
// there is memory; when others wait for what it keeps, the app's connection counts
// as broken, also while the client is away, and the session has another one.
func TestStalledMessageOfApp(t *testing.T) {
	for _, away := range []bool{false, true} {
		st := newStage(t)
		st.cfg.MaxMessage = 1 << 20
		share := budget.New(64 << 10).Share(64 << 10)
		st.cfg.AppBuffers = &frame.Buffers{Memory: share}
		play := func(commands ...string) {
			t.Helper()
			for _, c := range commands {
				st.log = st.log[:0]
				st.do(strings.Fields(c))
			}
		}
		play("new goeson", "client text hi")
		if away {
			play("client cut")
		}
		part := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 16<<10))
		st.feedApp(part[:len(part)-1])
		play("wait 60s")
		if held := share.Used(); held == 0 || st.s.AppLost() {
			t.Fatalf("away %v: %d bytes are held, the app is lost: %v", away, held, st.s.AppLost())
		}
		var one, other budget.Hold
		one.Grow(share, 64<<10) // more than there is: one may have that
		if other.Grow(share, 64<<10) {
			t.Fatal("nobody waits")
		}
		play("wait 6s")
		if !st.s.AppLost() || share.Used() != 64<<10 || st.s.closing.ended != 0 {
			t.Errorf("away %v: %d bytes are held, the app is lost: %v", away, share.Used(), st.s.AppLost())
		}
		if !slices.ContainsFunc(st.log, func(l string) bool { return strings.Contains(l, "app") }) {
			t.Errorf("away %v: the app's socket is not closed: %q", away, st.log)
		}
	}
}
