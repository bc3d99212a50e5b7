package natsstore

import (
	"sync"
	"testing"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// BenchmarkBurst appends to as many sessions at once as an app has that tells all
// of them something: a record of each.
func BenchmarkBurst(b *testing.B) {
	cfg := embeddedConfig(b)
	cfg.Embedded.MaxStore = 1 << 30
	s := mustOpen(b, cfg)
	const sessions = 2000
	ids, revs := make([]store.ID, sessions), make([]store.Revision, sessions)
	for i := range ids {
		ids[i] = storetest.NewID()
	}
	writer := store.NewWriter()
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		var wg sync.WaitGroup
		places := make(chan struct{}, 64)
		for i := range ids {
			places <- struct{}{}
			wg.Go(func() {
				defer func() { <-places }()
				rec := &store.Record{Kind: store.Delta, Epoch: 1, N: n, Owner: "10.0.0.1:1", Writer: writer, OutHead: n, Frames: []store.Frame{{Seq: n, Data: make([]byte, 66)}}}
				var err error
				if revs[i], err = s.Append(b.Context(), ids[i], revs[i], rec); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/sessions, "µs/record")
}
