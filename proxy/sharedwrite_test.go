package proxy

import (
	"testing"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/sharing"
)

// A member that writes what is stale as fast as it can, and reads nothing, does not
// make the sidecar gather what it would be told.
func TestRefusalsAreBounded(t *testing.T) {
	state := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpText}, make([]byte, maxPresent-16))
	for name, tc := range map[string]struct {
		share   bool
		say     []byte
		most    int // bytes
		refused int // of which it is told
	}{
		"with events":     {true, nil, sharing.MaxOwn*maxPresent + maxRefusals*64, maxRefusals},
		"without":         {false, nil, sharing.MaxOwn * maxPresent, sharing.MaxOwn},
		"with a message":  {false, make([]byte, 1000), maxRefusals * 1008, maxRefusals},
		"of both, events": {true, make([]byte, 1000), maxRefusals * 1008, maxRefusals},
	} {
		m := &member{synchrony: synchrony{share: tc.share}}
		for n := range uint32(10 * maxRefusals) {
			m.refuse(n+1, &sharing.Refusal{Key: "a", Present: state, Say: tc.say})
		}
		size := 0
		for _, raw := range m.queue {
			size += len(raw)
		}
		if len(m.queue) != tc.refused || size > tc.most {
			t.Errorf("%s: %d refusals of %d bytes wait, want %d of at most %d", name, len(m.queue), size, tc.refused, tc.most)
		}
	}
}
