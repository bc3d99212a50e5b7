// Package seqwindow counts messages and keeps those that are not acknowledged
// yet: serial numbers, the sender's window, the receiver's position and when to
// acknowledge it, and a reorder buffer (DESIGN §2, PROTOCOL §3.1 and §5).
//
// It is arithmetic over what the caller passes in: no clock, no goroutine, no
// lock, and no allocation in steady state. A value belongs to one owner at a
// time; only Pool is safe for concurrent use.
package seqwindow

// Serial numbers the messages of one direction (PROTOCOL §1). The first message
// of a session is 1, so on the wire 0 can say "none". The arithmetic knows
// nothing of that: it wraps, 2^32-1 is followed by 0, and after the wrap 0 is a
// message like any other.
//
// Comparisons follow RFC 1982 §3.2 with SERIAL_BITS 32. Two serials exactly
// 2^31 apart have no order: neither is less. Windows hold at most maxMessages,
// so it takes a peer that lies to make such a pair.
type Serial uint32

// Less reports whether a comes before b.
func Less(a, b Serial) bool { return Diff(b, a) > 0 }

// LessEq reports whether a comes before b or is b.
func LessEq(a, b Serial) bool { return a == b || Less(a, b) }

// Diff returns a-b, the number of steps from b to a: negative when a comes
// before b, and math.MinInt32 when they have no order.
func Diff(a, b Serial) int32 { return int32(a - b) }

// Add returns the serial n steps after s, or before it when n is negative.
func Add(s Serial, n int) Serial { return s + Serial(n) }
