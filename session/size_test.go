package session

import (
	"testing"
	"unsafe"
)

// An idle session is one object (docs/ARCHITECTURE.md), and Go's allocator has
// classes of 1,152 and 1,280 bytes, of which it keeps eight for itself.
func TestSessionFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Session{}); size > 1152-8 {
		t.Errorf("a Session has %d bytes: above 1144 each costs 128 more", size)
	}
}
