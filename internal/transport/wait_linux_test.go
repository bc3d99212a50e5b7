package transport

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// A loop that naps hears of a socket, and of what others post, as one that sleeps
// does, and does not make a collection of garbage wait.
func TestNaps(t *testing.T) {
	for name, likely := range map[string]func(*naps){
		"naps":   func(n *naps) { n.never, n.likely = false, true },
		"sleeps": func(n *naps) { n.never, n.likely = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandLoop(t, nil)
			a, far := h.open("unix", new(sync.Mutex), "")
			h.round()
			for _, after := range []time.Duration{0, maxNap / 2, 3 * maxNap} {
				likely(&h.l.naps)
				time.AfterFunc(after/2, runtime.GC)
				said := time.AfterFunc(after, func() { _, _ = far.Write([]byte("x")) })
				began := time.Now()
				for len(a.got) == 0 && time.Since(began) < hang {
					h.l.dispatch(h.l.wait())
				}
				said.Stop()
				if a.got = nil; time.Since(began) >= hang {
					t.Errorf("what came after %v is not heard", after)
				}
				likely(&h.l.naps)
				time.AfterFunc(after, a.t.post)
				for began := time.Now(); !h.l.hasPosted(); h.l.wait() {
					if time.Since(began) > hang {
						t.Fatalf("what was posted after %v is not heard", after)
					}
				}
				h.l.dispatch(h.l.wait()) // the wakeup, if it is there
				h.l.runPosted()
			}
		})
	}
}
