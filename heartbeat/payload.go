// Package heartbeat decides whether a link is alive: the payload of a beat,
// round-trip times, loss, the interval to the next beat, and the states of a
// link.
//
// It is arithmetic over the instants it is handed. It reads no clock, starts
// no goroutine and takes no lock, so the same code serves the sidecar, the Go
// client and a simulator. No type of the package is safe for concurrent use:
// each belongs to the one owner of its session.
package heartbeat

import (
	"encoding/binary"
	"errors"
)

// Protocol constants (PROTOCOL §6.1): the layout of a payload, all integers
// big-endian.
//
//	0       4               12     13
//	| seq   | ts_ms         | crc8 |
//
// Thirteen bytes fit any WebSocket control frame, which may carry 125 (RFC
// 6455 section 5.5), so HEARTBEAT and a Ping carry the same payload.
const (
	// PayloadSize is the length of every payload.
	PayloadSize = 13

	seqSize   = 4
	crcOffset = 12
)

var (
	// ErrLength means that a payload is not PayloadSize bytes long.
	ErrLength = errors.New("heartbeat: payload length: not 13 bytes")
	// ErrCRC means that a payload was damaged, or was never one of ours: to a
	// plain client's sidecar any Pong may come, unasked and with any content.
	ErrCRC = errors.New("heartbeat: payload crc8: does not match the content")
)

// Payload is what a beat carries and its answer echoes unchanged.
type Payload struct {
	// Seq counts the sender's beats in RFC 1982 serial arithmetic.
	Seq uint32
	// TimeMillis is the sender's wall clock in Unix milliseconds. It is for
	// people who read a capture, and it makes an echo hard to guess; liveness
	// uses the monotonic clock only.
	TimeMillis uint64
}

// AppendPayload appends the PayloadSize bytes of p to dst.
func AppendPayload(dst []byte, p Payload) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, p.Seq)
	dst = binary.BigEndian.AppendUint64(dst, p.TimeMillis)
	return append(dst, crc8(dst[start:]))
}

// ParsePayload is the inverse of AppendPayload. It returns ErrLength or
// ErrCRC for what AppendPayload cannot have written, and keeps no reference
// to b.
func ParsePayload(b []byte) (Payload, error) {
	if len(b) != PayloadSize {
		return Payload{}, ErrLength
	}
	if crc8(b[:crcOffset]) != b[crcOffset] {
		return Payload{}, ErrCRC
	}
	return Payload{
		Seq:        binary.BigEndian.Uint32(b),
		TimeMillis: binary.BigEndian.Uint64(b[seqSize:]),
	}, nil
}
