package sharing

import "encoding/binary"

// The id of a shared session ends in idMark and a zero, and those of its members in
// idMark and their number, behind the same random bytes. So a sidecar that gets a
// member's token knows under which id the journal has its session, and the token
// has the form of any other.
const (
	idMark  = 0x5753 // WS
	markAt  = 12
	numbers = 14
)

// CommonID makes the id of a shared session of random bytes.
func CommonID(random [16]byte) [16]byte {
	return MemberID(random, 0)
}

// MemberID returns the id of a member's session.
func MemberID(common [16]byte, number uint16) [16]byte {
	binary.BigEndian.PutUint16(common[markAt:], idMark)
	binary.BigEndian.PutUint16(common[numbers:], number)
	return common
}

// OfMember takes the id of a member's session apart. ok is false if it is none for
// sure; one session in 65,536 that nobody shares looks like one.
func OfMember(id [16]byte) (common [16]byte, number uint16, ok bool) {
	number = binary.BigEndian.Uint16(id[numbers:])
	if binary.BigEndian.Uint16(id[markAt:]) != idMark || number == 0 {
		return common, 0, false
	}
	return MemberID(id, 0), number, true
}
