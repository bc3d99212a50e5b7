package console

import (
	"context"
	"iter"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/proxy"
)

// A slowSidecar takes a while to look at each of its sessions.
type slowSidecar struct {
	fakeSidecar
	each time.Duration
}

func (s *slowSidecar) Views() iter.Seq[proxy.SessionView] {
	return func(yield func(proxy.SessionView) bool) {
		for v := range s.fakeSidecar.Views() {
			time.Sleep(s.each)
			if !yield(v) {
				return
			}
		}
	}
}

// However many ask, and however often, looking takes a fifth of one processor, and
// whoever asks has what is so after that.
func TestLookingRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, each = 64 * lookedAtOnce, 10 * time.Microsecond
		s := &slowSidecar{fakeSidecar: *crowd(n), each: each}
		c := New(Config{Sidecar: s, History: NewHistory(), About: func(*Status) {}})
		ask := func(ctx context.Context, path string) int {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
			if path == "/status" {
				c.status(w, r)
			} else {
				c.sessions(w, r)
			}
			return w.Code
		}
		began := time.Now()
		const askers, times = 5, 4
		var all sync.WaitGroup
		for range askers {
			all.Go(func() {
				for range times {
					if code := ask(t.Context(), "/sessions?limit=10"); code != 200 {
						t.Error(code)
					}
				}
			})
		}
		all.Wait()
		if took, work := time.Since(began), askers*times*n*each; took < (1+rests)*work*95/100 || took > (1+rests)*work*110/100 {
			t.Errorf("%v of work took %v", work, took)
		}

		// Who is gone is not worked for, and does not keep others waiting.
		ctx, cancel := context.WithTimeout(t.Context(), 20*lookedAtOnce*each)
		defer cancel()
		before := s.looked
		ask(ctx, "/sessions")
		if s.looked-before >= n/2 {
			t.Errorf("%d sessions were looked at for nobody", s.looked-before)
		}
		began = time.Now()
		ask(t.Context(), "/status")
		if took := time.Since(began); took > longestRest {
			t.Errorf("waited %v for who is gone", took)
		}
	})
}
