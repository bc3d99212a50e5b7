// Package instance names the processes that sessions belong to. An address alone does
// not do: it may be another's by now, and a process that restarts in place is not
// the one whose app sockets it would answer for. So an owner is an instance at an
// address, and named by one text, the same in tokens, records, leases and between
// sidecars:
//
//	instance "@" address
//
// To all but this package the text is opaque.
package instance

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// instanceSize is how many random bytes make an instance: no two processes that
// any token or lease may name are to share one.
const instanceSize = 8

// Overhead is how much longer an owner's name is than its address.
const Overhead = (instanceSize*8+5)/6 + len("@")

// New names this process, which others reach at address.
func New(address string) string {
	var b [instanceSize]byte
	_, _ = rand.Read(b[:]) // crypto/rand does not fail
	return base64.RawURLEncoding.EncodeToString(b[:]) + "@" + address
}

// Address returns where an owner is reached. A name without an instance is an
// address.
func Address(name string) string {
	_, address, ok := strings.Cut(name, "@")
	if !ok {
		return name
	}
	return address
}

// Others reports whether name is of another process at the address of self: one
// that is gone, since self is there.
func Others(name, self string) bool {
	return name != self && name != "" && Address(name) == Address(self)
}
