package proxy

import (
	"testing"
	"unsafe"
)

// Beside its Session an idle connection is this object, with both sockets in it
// (docs/ARCHITECTURE.md), and Go's allocator has classes of 480 and 512 bytes.
func TestDriverFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(sessionDriver{}); size > 480 {
		t.Errorf("a sessionDriver has %d bytes: above 480 each costs 32 more", size)
	}
}
