package natsstore

import (
	"testing"

	"github.com/wsresilience/wsresilience/store"
)

// Operators see how full each stream of the journal is.
func TestFill(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, embeddedConfig(t))
	if _, err := s.Append(t.Context(), store.ID{1}, 0, &store.Record{Kind: store.Snapshot, Epoch: 1, Frames: []store.Frame{{Seq: 1, Data: make([]byte, 5000)}}, OutHead: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	held, list := int64(0), s.Fill()
	for i, f := range list {
		held += f.Held
		if f.Most <= 0 || f.Stream == leaseStream || i > 0 && list[i-1].Stream >= f.Stream {
			t.Errorf("%+v", list)
		}
	}
	if len(list) == 0 || held < 5000 {
		t.Errorf("%d bytes in %+v", held, list)
	}
}
