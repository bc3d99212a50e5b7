package sharing

import (
	"cmp"
	"math/big"
	"strings"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
)

// maxVersion bounds a version in bytes, as it is written.
const maxVersion = 64

// A version of a state is a JSON number or string, as it is written. Numbers are in
// the order of numbers, strings in that of their bytes, which is the order of times
// in ISO 8601; a string comes after a number, and none before all.
type version string

// versionAt returns the version that a message has at a pointer; "" is none.
func versionAt(data []byte, pointer []string) version {
	if pointer == nil {
		return ""
	}
	raw, found := jsonpointer.Lookup(data, pointer...)
	if found != jsonpointer.Present || len(raw) > maxVersion || !isNumber(raw) && raw[0] != '"' {
		return ""
	}
	return version(raw)
}

func isNumber(raw []byte) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }

// compare returns a negative number if v is before w, and 0 if they are one.
func (v version) compare(w version) int {
	a, b := v.kind(), w.kind()
	if a != b || a == 0 {
		return cmp.Compare(a, b)
	}
	if a == 2 {
		return strings.Compare(jsonpointer.Text([]byte(v)), jsonpointer.Text([]byte(w)))
	}
	return v.number().Cmp(w.number())
}

// kind is 0 of none, 1 of a number, 2 of a string.
func (v version) kind() int {
	switch {
	case v == "":
		return 0
	case v[0] == '"':
		return 2
	}
	return 1
}

// number returns a number's value, with more bits than maxVersion digits have.
func (v version) number() *big.Float {
	f, _, err := big.ParseFloat(string(v), 10, 256, big.ToNearestEven)
	if err != nil {
		return new(big.Float) // it was not strict JSON
	}
	return f
}
