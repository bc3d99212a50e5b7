package otlp

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode"
)

// maxMessage bounds what is kept of a collector's message.
const maxMessage = 200

// PartialSuccess reads the ExportTraceServiceResponse of a collector: how many spans
// it rejected, and why. What cannot be read says nothing.
func PartialSuccess(text []byte, isJSON bool) (rejected uint64, message string) {
	if isJSON {
		var response struct {
			PartialSuccess struct {
				RejectedSpans json.Number `json:"rejectedSpans"` // a number as text, or not
				ErrorMessage  string      `json:"errorMessage"`
			} `json:"partialSuccess"`
		}
		if json.Unmarshal(text, &response) != nil {
			return 0, ""
		}
		n, _ := response.PartialSuccess.RejectedSpans.Int64()
		return uint64(max(n, 0)), printable(response.PartialSuccess.ErrorMessage)
	}
	_, partial := field(text, 1)
	n, _ := field(partial, 1)
	_, said := field(partial, 2)
	return uint64(max(int64(n), 0)), printable(string(said))
}

// field returns the first field of a number in a message of protobuf: a whole number,
// or bytes.
func field(message []byte, number uint64) (n uint64, content []byte) {
	for len(message) > 0 {
		tag, size := binary.Uvarint(message)
		if size <= 0 {
			return 0, nil
		}
		message = message[size:]
		var skip int
		n, content = 0, nil
		switch tag & 7 {
		case wireVarint:
			if n, skip = binary.Uvarint(message); skip <= 0 {
				return 0, nil
			}
		case wireFixed64:
			skip = 8
		case wireFixed32:
			skip = 4
		case wireBytes:
			length, size := binary.Uvarint(message)
			if size <= 0 || length > uint64(len(message)-size) {
				return 0, nil
			}
			skip = size + int(length)
			content = message[size:skip]
		default:
			return 0, nil
		}
		if skip > len(message) {
			return 0, nil
		}
		if tag>>3 == number {
			return n, content
		}
		message = message[skip:]
	}
	return 0, nil
}

// printable is a short text of another's for the log.
func printable(s string) string {
	return shorten(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, valid(s)), maxMessage)
}
