package natsstore

import (
	"cmp"
	"slices"
)

// A StreamFill is how full a stream of the journal is, in bytes.
type StreamFill struct {
	Stream     string
	Held, Most int64 // Most is 0 if it is not bounded
}

// Fill lists the streams of records, by name, as of the last check (Watch). It does
// not wait, and is not to be changed.
func (s *Store) Fill() []StreamFill {
	if list := s.backend.fill.Load(); list != nil {
		return *list
	}
	return nil
}

// noteFill takes in what a check has found.
func (b *backend) noteFill() {
	b.share.Store(b.keeper.share())
	list := b.keeper.fill()
	b.fill.Store(&list)
}

func (k *keeper) fill() (list []StreamFill) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, st := range k.states {
		if holdsRecords(name) {
			list = append(list, StreamFill{name, st.held, st.most})
		}
	}
	slices.SortFunc(list, func(a, b StreamFill) int { return cmp.Compare(a.Stream, b.Stream) })
	return list
}
