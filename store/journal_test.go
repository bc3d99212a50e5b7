package store_test

import (
	"testing"

	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/store/storetest"
)

// TestJournal: a Journal over the log in memory keeps the contract.
func TestJournal(t *testing.T) {
	storetest.RunLog(t, func(t *testing.T) store.Log {
		// Small parts, so that splitting is cheap to test.
		log := storetest.NewMemory(storetest.MemoryConfig{MaxData: 64 << 10})
		t.Cleanup(func() { log.Close() })
		return log
	})
}
