package snapshot

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// An ID names a snapshot for as long as it lives, whichever sidecar holds it:
// the time in ms since 1970 at which its first entry was kept, in 48 bits, and
// random bits, as in a UUID of version 7 (RFC 9562 §5.7). With the version it
// names one state. It is no secret, and grants nothing. The time is 0 as long as
// nothing was kept.
type ID [16]byte

// newID returns an ID of no time.
func newID() (id ID) {
	binary.BigEndian.PutUint64(id[6:], rand.Uint64())
	binary.BigEndian.PutUint16(id[14:], uint16(rand.Uint32()))
	id[6] = id[6]&0x0f | 0x70 // version 7
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id
}

// begin notes when the first entry was kept, if none was before.
func (id *ID) begin(now time.Time) {
	if id.begun() {
		return
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli())<<16)
	copy(id[:6], ms[:6])
}

// begun reports whether an entry was kept.
func (id *ID) begun() bool { return [6]byte(id[:6]) != [6]byte{} }

// Time is when the first entry was kept; zero if none was.
func (id ID) Time() time.Time {
	if !id.begun() {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// String is the ID as UUIDs are written.
func (id ID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
