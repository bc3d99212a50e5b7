// Package formats decides which version of a format a sidecar writes, so that
// two releases can serve side by side, and a fleet can be rolled forward and back
// (docs/COMPATIBILITY.md). It is pure.
package formats

// A Range is the versions of one format that a program reads. It can write all of
// them.
type Range struct {
	Oldest uint8 `json:"oldest"`
	Newest uint8 `json:"newest"`
}

// Reads reports whether version v is in the range.
func (r Range) Reads(v uint8) bool { return r.Oldest <= v && v <= r.Newest }

// Write returns the version that a program which reads own writes while others
// live that read those: the newest that all of them read. If there is none, the
// fleet spans more releases than it may; the oldest then is what most can read.
func Write(own Range, others ...Range) uint8 {
	newest := own.Newest
	for _, r := range others {
		newest = min(newest, r.Newest)
	}
	return max(newest, own.Oldest)
}

// ahead is set by the linker, in a test build that stands for the next release:
//
//	go build -ldflags "-X github.com/wsresilience/wsresilience/internal/formats.ahead=1"
//
// Such a build reads and writes one more version of each format. That differs from
// the one before only in its number and in bytes that the one before does not know.
var ahead string

// Newest returns the newest version that this program knows of a format of which
// this source code knows v.
func Newest(v uint8) uint8 { return v + Ahead() }

// Ahead is 1 in a test build that stands for the next release, and otherwise 0.
func Ahead() uint8 {
	if ahead != "" {
		return 1
	}
	return 0
}
