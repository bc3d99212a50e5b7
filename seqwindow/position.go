package seqwindow

import "encoding/binary"

// headerSize is the length u32 and the stamp u32 before the bytes of a message.
// A header is never split over two chunks, so fewer than headerSize bytes at
// the end of a chunk stay unused; the message itself may span any number.
const headerSize = 8

// position is a place in a window's list of chunks. Where a record ends and
// where the next one begins are the same place to its user: begin moves from
// one to the other, and only when there is a next record.
type position struct {
	c   *chunk
	off int
}

// begin moves from the end of a record to the header of the one that follows.
func (p *position) begin() {
	if chunkData-p.off < headerSize {
		p.c, p.off = p.c.next, 0
	}
}

// readHeader reads the header at p and moves behind it.
func (p *position) readHeader() (size int, stamp uint32) {
	p.begin()
	h := p.c.data[p.off : p.off+headerSize]
	p.off += headerSize
	return int(binary.BigEndian.Uint32(h)), binary.BigEndian.Uint32(h[4:])
}

// writeHeader writes a header at p and moves behind it.
func (p *position) writeHeader(size int, stamp uint32) {
	p.begin()
	h := p.c.data[p.off : p.off+headerSize]
	p.off += headerSize
	binary.BigEndian.PutUint32(h, uint32(size))
	binary.BigEndian.PutUint32(h[4:], stamp)
}

// take moves over at most n bytes of a message, n > 0, and returns them: as
// many as stand together in one chunk.
func (p *position) take(n int) []byte {
	if p.off == chunkData {
		p.c, p.off = p.c.next, 0
	}
	end := min(p.off+n, chunkData)
	b := p.c.data[p.off:end:end]
	p.off = end
	return b
}

// skip moves over n bytes of a message.
func (p *position) skip(n int) {
	for n > 0 {
		n -= len(p.take(n))
	}
}

// write copies b to p and moves behind it.
func (p *position) write(b []byte) {
	for len(b) > 0 {
		b = b[copy(p.take(len(b)), b):]
	}
}

// appendBody appends the next n bytes of a message to dst.
func (p *position) appendBody(dst [][]byte, n int) [][]byte {
	for n > 0 {
		b := p.take(n)
		dst = append(dst, b)
		n -= len(b)
	}
	return dst
}
