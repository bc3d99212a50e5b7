// Package deflate inflates messages of permessage-deflate (RFC 7692 §7.2.2)
// that were compressed without context takeover: each message on its own.
//
// Both functions are linear in what they read and write, bounded by the
// caller, and safe for concurrent use.
package deflate

import (
	"compress/flate"
	"errors"
	"io"
	"slices"
	"sync"
)

var (
	// ErrTooBig means that a message inflates to more than the limit; the
	// close code is 1009.
	ErrTooBig = errors.New("deflate: message inflates beyond the limit")

	// ErrCorrupt means that a payload is no DEFLATE data; the close code is
	// 1007.
	ErrCorrupt = errors.New("deflate: corrupt message")
)

// Implementation limits.
const (
	// maxStreams bounds how many final blocks one message may hold: each
	// costs a reset of the decoder, some thousand bytes of work for two bytes
	// of input. An encoder that cannot flush otherwise ends each of its
	// flushes with one (RFC 7692 §7.2.3.4).
	maxStreams = 1024

	// firstGuess is how many times its size a message is first expected to
	// inflate to; what is wrong with it costs another growth.
	firstGuess = 4
)

// tail is what RFC 7692 §7.2.2 appends to a payload, and an empty final
// block, so that a decoder sees the end of its input.
const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// Inflate appends the inflated payload to dst. When the result would be above
// limit bytes it returns ErrTooBig, and never holds much more than that. With
// an error the result is dst unchanged.
func Inflate(dst, payload []byte, limit int) ([]byte, error) {
	if len(payload) == 0 {
		// RFC 7692 §7.2.3.6 writes an empty message as one zero byte, but
		// decoders built on zlib take no bytes for the same.
		return dst, nil
	}
	r := newReader(payload)
	defer r.release()

	start := len(dst)
	dst = slices.Grow(dst, min(limit, firstGuess*len(payload))+1)
	for range maxStreams {
		var err error
		if dst, err = r.drain(dst, start, limit); err != nil {
			return dst[:start], err
		}
		if r.in.pos >= len(payload) {
			return dst, nil
		}
		r.again()
	}
	return dst[:start], ErrCorrupt
}

// A reader is a flate decoder over one payload. It comes from a pool, since a
// decoder holds its 32 KiB window.
type reader struct {
	in    input
	flate io.ReadCloser
}

// readers saves allocations and carries no state from one message to another.
var readers sync.Pool

func newReader(payload []byte) *reader {
	r, ok := readers.Get().(*reader)
	if !ok {
		r = &reader{}
		r.flate = flate.NewReader(&r.in)
	}
	r.in = input{payload: payload}
	r.again()
	return r
}

// again starts a stream where the input stands.
func (r *reader) again() {
	// NewReader promises the Resetter, and a reset without a dictionary
	// cannot fail.
	_ = r.flate.(flate.Resetter).Reset(&r.in, nil)
}

func (r *reader) release() {
	r.in.payload = nil
	readers.Put(r)
}

// drain appends one stream, up to its final block.
func (r *reader) drain(dst []byte, start, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, 1)
		}
		n, err := r.flate.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > limit:
			return dst, ErrTooBig
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, ErrCorrupt
		}
	}
}

// input reads payload and then tail. It is an io.ByteReader, so that the
// decoder takes no byte beyond a final block.
type input struct {
	payload []byte
	pos     int
}

// ReadByte implements io.ByteReader.
func (in *input) ReadByte() (byte, error) {
	i := in.pos
	if i < len(in.payload) {
		in.pos++
		return in.payload[i], nil
	}
	if i -= len(in.payload); i < len(tail) {
		in.pos++
		return tail[i], nil
	}
	return 0, io.EOF
}

// Read implements io.Reader.
func (in *input) Read(p []byte) (n int, err error) {
	if in.pos < len(in.payload) {
		n = copy(p, in.payload[in.pos:])
	} else {
		n = copy(p, tail[in.pos-len(in.payload):])
	}
	in.pos += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
