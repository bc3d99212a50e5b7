package store_test

import (
	"testing"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// TestSealedStore: a SealedStore over the backend in memory keeps the contract.
func TestSealedStore(t *testing.T) {
	storetest.RunBackend(t, func(t *testing.T) store.Backend {
		// Small parts, so that splitting is cheap to test.
		b := storetest.NewMemory(storetest.MemoryConfig{MaxData: 64 << 10})
		t.Cleanup(func() { b.Close() })
		return b
	})
}
