package heartbeat

// Protocol constants: CRC-8/ROHC (PROTOCOL §6.1; the CRC of RFC 5795),
// polynomial x^8 + x^2 + x + 1 in reflected form, input and output reflected,
// no final exclusive-or. The check value of "123456789" is 0xD0.
const (
	crcInit = 0xFF

	// crcNibbles holds the remainder of each four-bit value. Sixteen entries
	// and two steps a byte are enough for twelve bytes every few seconds, and
	// a constant string needs neither an init function nor a variable.
	crcNibbles = "\x00\x1c\x38\x24\x70\x6c\x48\x54\xe0\xfc\xd8\xc4\x90\x8c\xa8\xb4"
)

// crc8 returns the CRC-8/ROHC of b.
func crc8(b []byte) byte {
	crc := byte(crcInit)
	for _, c := range b {
		crc ^= c
		crc = crc>>4 ^ crcNibbles[crc&0x0F]
		crc = crc>>4 ^ crcNibbles[crc&0x0F]
	}
	return crc
}
