package http1

// A Body follows the bytes of a body to its end. The zero value is an empty
// one.
type Body struct {
	kind    bodyKind
	lenient bool // chunk lines may end in LF alone
	state   chunkState
	digits  int   // of the chunk size
	line    int   // bytes of the chunk line
	left    int64 // of the body, or of the chunk
}

type bodyKind uint8

const (
	sized64    bodyKind = iota // left bytes
	chunks                     // RFC 9112 §7.1
	untilClose                 // up to the end of the connection
)

// A chunkState is where in the chunks a Body stands.
type chunkState uint8

const (
	chunkSize    chunkState = iota // in the digits of the size
	chunkPad                       // in the space behind them
	chunkExt                       // in an extension
	chunkLineEnd                   // the LF of that line
	chunkData                      // left bytes
	chunkEnd                       // the CR behind the data
	chunkEndLF                     // and its LF
	chunkTrailer                   // before the trailer section
)

// Implementation limits on a chunk's line.
const (
	maxChunkDigits = 16   // 15 suffice for any size that is allowed
	maxChunkLine   = 2048 // with its extensions; apps take 4096 and more
)

// UntilClose returns what ends with the connection.
func UntilClose() Body { return Body{kind: untilClose} }

// Empty reports whether nothing is to come.
func (b *Body) Empty() bool { return b.kind == sized64 && b.left == 0 }

// Chunked reports whether the body comes in chunks.
func (b *Body) Chunked() bool { return b.kind == chunks }

// UntilClose reports whether the end of the connection ends the body.
func (b *Body) UntilClose() bool { return b.kind == untilClose }

// Trailer reports whether the last chunk was seen: a trailer section follows,
// which ends with an empty line and is read with a Scanner. Behind it the
// message ends.
func (b *Body) Trailer() bool { return b.kind == chunks && b.state == chunkTrailer }

// Next returns how many bytes of p belong to the body, the trailer section
// apart. Fewer than all mean that the body ends there. After an error the bytes
// before n are good.
func (b *Body) Next(p []byte) (n int, err error) {
	switch b.kind {
	case untilClose:
		return len(p), nil
	case sized64:
		n = int(min(b.left, int64(len(p))))
		b.left -= int64(n)
		return n, nil
	}
	for n < len(p) && b.state != chunkTrailer {
		if b.state == chunkData {
			k := int(min(b.left, int64(len(p)-n)))
			n += k
			if b.left -= int64(k); b.left == 0 {
				b.state = chunkEnd
			}
			continue
		}
		if err := b.chunkByte(p[n]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Done reports whether all of the body came, the trailer section apart.
func (b *Body) Done() bool { return b.Empty() || b.Trailer() }

// chunkByte takes a byte that is not data.
func (b *Body) chunkByte(c byte) error {
	switch b.state {
	case chunkSize, chunkPad, chunkExt:
		if b.line++; b.line > maxChunkLine {
			return bad("a chunk's line is too long")
		}
		return b.sizeByte(c)
	case chunkLineEnd:
		if c != '\n' {
			return bad("a CR without LF")
		}
		b.endSize()
	case chunkEnd:
		switch {
		case c == '\r':
			b.state = chunkEndLF
		case c == '\n' && b.lenient:
			b.state = chunkSize
		default:
			return bad("a chunk is longer than its size")
		}
	case chunkEndLF:
		if c != '\n' {
			return bad("a CR without LF")
		}
		b.state = chunkSize
	}
	return nil
}

// sizeByte takes a byte of the line in front of a chunk.
func (b *Body) sizeByte(c byte) error {
	switch {
	case b.state == chunkSize && hexValue(c) >= 0:
		if b.digits++; b.digits > maxChunkDigits || b.left >= 1<<58 {
			return bad("a chunk's size is too large")
		}
		b.left = b.left<<4 | int64(hexValue(c))
		return nil
	case b.digits == 0:
		return bad("a chunk without a size")
	}
	switch {
	case c == '\r':
		b.state = chunkLineEnd
	case c == '\n' && b.lenient:
		b.endSize()
	case b.state == chunkExt:
		if c < ' ' && c != '\t' || c == 0x7f {
			return bad("a control character in a chunk's extension")
		}
	case c == ';':
		b.state = chunkExt
	case c == ' ' || c == '\t': // some servers pad the size
		b.state = chunkPad
	default:
		return bad("a chunk's size is malformed")
	}
	return nil
}

// endSize begins the chunk's data, or the trailer section.
func (b *Body) endSize() {
	b.digits, b.line = 0, 0
	if b.state = chunkData; b.left == 0 {
		b.state = chunkTrailer
	}
}

func hexValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case lower(c) >= 'a' && lower(c) <= 'f':
		return int(lower(c)-'a') + 10
	}
	return -1
}
