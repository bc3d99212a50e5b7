package sim

import (
	"bytes"
	"encoding/hex"
	"strconv"

	"github.com/wsresilience/wsresilience/wire"
)

// message is number n of a client (c) or its app (a). Its length follows from n, and
// some begin as our own messages do.
func message(kind byte, client int, n uint32) []byte {
	var b []byte
	if n%5 != 0 && n%13 == 0 {
		b = append(b, wire.Magic...)
	}
	b = append(b, kind)
	b = hex.AppendEncode(b, []byte{byte(client)})
	b = hex.AppendEncode(b, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	pad := int(n*37) % 160
	if n%29 == 0 {
		pad = 1900
	}
	return append(b, padding[:pad]...)
}

var padding = bytes.Repeat([]byte("wsresilience "), 160)

// number is the number of a message of that kind, if it is one.
func number(p []byte, kind byte) (n uint32, ok bool) {
	p = bytes.TrimPrefix(p, []byte(wire.Magic))
	if len(p) < 11 || p[0] != kind {
		return 0, false
	}
	v, err := strconv.ParseUint(string(p[3:11]), 16, 32)
	return uint32(v), err == nil
}
