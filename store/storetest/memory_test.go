package storetest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

func TestMemoryFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := storetest.NewMemory(storetest.MemoryConfig{Capacity: 1000, MaxAge: time.Minute})
		defer b.Close()
		old, fresh := storetest.NewID(), storetest.NewID()
		append1 := func(id store.ID, after store.Revision, n int) (store.Revision, error) {
			return b.Append(t.Context(), id, after, make([]byte, n))
		}
		if _, err := append1(old, 0, 600); err != nil {
			t.Fatal(err)
		}
		rev, err := append1(fresh, 0, 400)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := append1(fresh, rev, 1); !errors.Is(err, store.ErrFull) {
			t.Fatalf("beyond the capacity: %v", err)
		}
		// Full is full for everybody: nobody's frames make room for others'.
		if got, _ := b.Read(t.Context(), old, 0, 9); len(got) != 1 {
			t.Fatal("another session's message was dropped")
		}
		time.Sleep(2 * time.Minute)
		if _, err := append1(fresh, rev, 500); err != nil {
			t.Fatalf("after the old session aged out: %v", err)
		}
		if got, _ := b.Read(t.Context(), fresh, 0, 9); len(got) != 2 {
			t.Fatal("the writer's own chain was dropped")
		}
	})
}
