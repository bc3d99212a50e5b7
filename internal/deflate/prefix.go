package deflate

// Prefix appends the first n bytes of the inflated payload to dst, or all of
// them if there are fewer. It looks at no more of the payload than it needs,
// takes no memory but dst's, and so costs about the same for a message of any
// size. compress/flate, pooled and given as little, takes up to four times as
// long for small messages, and allocates for codes of more than nine bits.
// ErrCorrupt means that the payload broke before n bytes; the result holds what
// came before.
func Prefix(dst, payload []byte, n int) ([]byte, error) {
	if len(payload) == 0 || n <= 0 {
		return dst, nil
	}
	d := decoder{in: input{payload: payload}, out: dst, stream: len(dst), end: len(dst) + n}
	for range maxStreams {
		for !d.block() && !d.done() {
		}
		if d.bad {
			return d.out, ErrCorrupt
		}
		if d.done() || d.in.pos >= len(payload) {
			return d.out, nil
		}
		// A final block ends on a byte's boundary, and what follows starts
		// with an empty window (as in Inflate).
		d.acc, d.have, d.stream = 0, 0, len(d.out)
	}
	return d.out, ErrCorrupt
}

// Constants of RFC 1951 §3.2.
const (
	maxBits     = 15  // of a code
	maxLiterals = 286 // literal and length codes
	maxDist     = 30  // distance codes
	endOfBlock  = 256
)

// A decoder reads DEFLATE bit by bit. Errors are sticky: after bad, every
// read gives zero.
type decoder struct {
	in   input
	acc  uint32 // bits not yet taken, lowest first
	have uint   // how many
	bad  bool

	out    []byte // doubles as the window
	stream int    // where the present stream's output starts
	end    int    // where to stop

	lit, dist code // of the present block, if it is a dynamic one
}

func (d *decoder) done() bool { return d.bad || len(d.out) >= d.end }

// bits takes n bits, n ≤ 16.
func (d *decoder) bits(n uint) int {
	for d.have < n {
		c, err := d.in.ReadByte()
		if err != nil {
			d.bad = true
			return 0
		}
		d.acc |= uint32(c) << d.have
		d.have += 8
	}
	v := d.acc & (1<<n - 1)
	d.acc >>= n
	d.have -= n
	return int(v)
}

// block reads one block (RFC 1951 §3.2.3) and reports whether it is the final
// one.
func (d *decoder) block() (final bool) {
	final = d.bits(1) == 1
	switch d.bits(2) {
	case 0:
		d.stored()
	case 1:
		d.symbols(&fixedLit, &fixedDist)
	case 2:
		d.dynamic()
		d.symbols(&d.lit, &d.dist)
	default:
		d.bad = true
	}
	return final
}

func (d *decoder) stored() {
	d.acc, d.have = 0, 0
	size := d.bits(16)
	if d.bits(16) != size^0xffff {
		d.bad = true
	}
	for ; size > 0 && !d.done(); size-- {
		if c := byte(d.bits(8)); !d.bad {
			d.out = append(d.out, c)
		}
	}
}

// Extra bits and bases of lengths and distances, RFC 1951 §3.2.5.
const lengthCodes = 29

func lengthBase(sym int) (base int, extra uint) {
	switch {
	case sym < 8:
		return sym + 3, 0
	case sym == lengthCodes-1:
		return 258, 0
	}
	extra = uint(sym)/4 - 1
	return (4+sym%4)<<extra + 3, extra
}

func distBase(sym int) (base int, extra uint) {
	if sym < 4 {
		return sym + 1, 0
	}
	extra = uint(sym)/2 - 1
	return (2+sym%2)<<extra + 1, extra
}

// symbols reads the coded part of a block.
func (d *decoder) symbols(lit, dist *code) {
	for !d.done() {
		sym := d.symbol(lit)
		switch {
		case d.bad || sym == endOfBlock:
			return
		case sym < endOfBlock:
			d.out = append(d.out, byte(sym))
			continue
		}
		if sym -= endOfBlock + 1; sym >= lengthCodes {
			d.bad = true
			return
		}
		base, extra := lengthBase(sym)
		length := base + d.bits(extra)
		sym = d.symbol(dist)
		if d.bad || sym >= maxDist {
			d.bad = true
			return
		}
		base, extra = distBase(sym)
		d.repeat(length, base+d.bits(extra))
	}
}

func (d *decoder) repeat(length, distance int) {
	if distance > len(d.out)-d.stream {
		d.bad = true
	}
	for ; length > 0 && !d.done(); length-- {
		d.out = append(d.out, d.out[len(d.out)-distance])
	}
}

// The codes of fixed blocks, RFC 1951 §3.2.6.
var fixedLit, fixedDist = fixedCodes()

func fixedCodes() (lit, dist code) {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	lit.set(lengths[:])
	for i := range 32 {
		lengths[i] = 5
	}
	dist.set(lengths[:32])
	return lit, dist
}

// dynamic reads the codes of RFC 1951 §3.2.7.
func (d *decoder) dynamic() {
	literals, distances, count := d.bits(5)+257, d.bits(5)+1, d.bits(4)+4
	if literals > maxLiterals || distances > maxDist {
		d.bad = true
		return
	}
	var lengths [maxLiterals + maxDist]uint8
	const order = "\x10\x11\x12\x00\x08\x07\x09\x06\x0a\x05\x0b\x04\x0c\x03\x0d\x02\x0e\x01\x0f"
	for i := range count {
		lengths[order[i]] = uint8(d.bits(3))
	}
	if !d.lit.set(lengths[:len(order)]) {
		d.bad = true
		return
	}
	d.lengths(lengths[:literals+distances])
	if d.bad || !d.lit.set(lengths[:literals]) || !d.dist.set(lengths[literals:literals+distances]) {
		d.bad = true
	}
}

// lengths reads code lengths that are themselves coded, with d.lit.
func (d *decoder) lengths(lengths []uint8) {
	for i := 0; i < len(lengths); {
		sym := d.symbol(&d.lit)
		value, times := uint8(0), 0
		switch {
		case d.bad:
			return
		case sym < 16:
			value, times = uint8(sym), 1
		case sym == 16 && i > 0:
			value, times = lengths[i-1], 3+d.bits(2)
		case sym == 17:
			times = 3 + d.bits(3)
		case sym == 18:
			times = 11 + d.bits(7)
		}
		if times == 0 || times > len(lengths)-i {
			d.bad = true
			return
		}
		for ; times > 0; times-- {
			lengths[i] = value
			i++
		}
	}
}

// A code is a canonical Huffman code (RFC 1951 §3.2.2): how many codes there
// are of each length, and the symbols in the order of their codes.
type code struct {
	count   [maxBits + 1]uint16
	symbols [288]uint16
}

// set builds the code from the length of each symbol's code, 0 for none. It
// refuses a code that does not use all bit sequences, except the single code
// of one bit and the empty one, which are legal while unused.
func (c *code) set(lengths []uint8) bool {
	c.count = [maxBits + 1]uint16{}
	for _, n := range lengths {
		c.count[n]++
	}
	c.count[0] = 0
	var next [maxBits + 2]uint16
	left, used := 1, 0
	for n := 1; n <= maxBits; n++ {
		left = left<<1 - int(c.count[n])
		if left < 0 {
			return false
		}
		next[n+1] = next[n] + c.count[n]
		used += int(c.count[n])
	}
	for sym, n := range lengths {
		if n != 0 {
			c.symbols[next[n]] = uint16(sym)
			next[n]++
		}
	}
	return left == 0 || used == 0 || used == 1 && c.count[1] == 1
}

// symbol decodes one symbol. Codes of one length are consecutive numbers, so
// that counting through the lengths finds it without a table.
func (d *decoder) symbol(c *code) int {
	value, first, index := 0, 0, 0
	for n := 1; n <= maxBits; n++ {
		value |= d.bits(1)
		count := int(c.count[n])
		if value-first < count {
			return int(c.symbols[index+value-first])
		}
		index += count
		first = (first + count) << 1
		value <<= 1
	}
	d.bad = true
	return 0
}
