package stomp

import (
	"bytes"
	"strconv"
	"strings"
)

// A frame is one STOMP frame (STOMP 1.2 "STOMP Frames"): a command, headers,
// and a body that ends with NUL. Its bytes are lent.
type frame struct {
	command string // empty if even that was cut off
	headers []byte // the lines of the headers
	at      int    // where in raw they are
	raw     []byte // the frame with its NUL; nil when the message ended before it
}

// A stream cuts one direction of a conversation into frames. A client may
// split a large frame over several messages, and a broker may put several
// frames into one. The stream holds nothing.
type stream struct {
	skip int  // what is still to come of a frame of known length
	open bool // a frame is to end with the next NUL
}

// atBoundary reports whether the stream is at the boundary of two frames.
func (s *stream) atBoundary() bool { return s.skip == 0 && !s.open }

// feed hands each frame of data to fn, and one that goes on in another message
// when it begins, without raw bytes. Data is lent to them.
func (s *stream) feed(data []byte, fn func(frame)) {
	n := min(s.skip, len(data))
	s.skip -= n
	data = data[n:]
	if s.open {
		end := bytes.IndexByte(data, 0)
		if end < 0 {
			return
		}
		s.open = false
		data = data[end+1:]
	}
	for {
		data = bytes.TrimLeft(data, "\r\n") // heart-beats
		if len(data) == 0 {
			return
		}
		f, size := cutFrame(data)
		fn(f)
		if f.raw == nil {
			s.skip, s.open = max(size-len(data), 0), size == 0
			return
		}
		data = data[size:]
	}
}

// cutFrame takes the first frame off data, which starts with a command.
// Its size is 0 when it is not whole and only a NUL will tell how long it is.
func cutFrame(data []byte) (f frame, size int) {
	end := bytes.IndexByte(data, '\n')
	if end < 0 {
		return f, nulEnd(&f, data, 0)
	}
	f.command = string(bytes.TrimSuffix(data[:end], []byte("\r")))
	f.at = end + 1
	at := f.at
	for {
		end = bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			return f, nulEnd(&f, data, at)
		}
		line := bytes.TrimSuffix(data[at:at+end], []byte("\r"))
		if len(line) == 0 {
			break
		}
		at += end + 1
	}
	f.headers = data[f.at:at]
	at += end + 1
	if text, ok := f.header("content-length"); ok {
		// A length that cannot be is a NUL's business, as if there were none.
		if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
			size = at + int(n) + 1
			if size <= len(data) {
				f.raw = data[:size:size]
			}
			return f, size
		}
	}
	return f, nulEnd(&f, data, at)
}

// nulEnd ends the frame with the next NUL, if it is there.
func nulEnd(f *frame, data []byte, from int) (size int) {
	end := bytes.IndexByte(data[from:], 0)
	if end < 0 {
		return 0
	}
	size = from + end + 1
	f.raw = data[:size:size]
	return size
}

// header returns the value of a header, unescaped. Of several the first
// counts (STOMP 1.2, "Repeated Header Entries").
func (f *frame) header(name string) (value string, ok bool) {
	for line := range bytes.Lines(f.headers) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && string(key) == name {
			return unescape(string(bytes.TrimRight(value, "\r\n"))), true
		}
	}
	return "", false
}

// unescape undoes the escapes of STOMP 1.1 and 1.2 ("Value Encoding"). What is
// none stays as it is: STOMP 1.0 has none, and here a value is only compared.
func unescape(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\c`, ":").Replace(value)
}

// without returns a copy of the frame that lacks a header.
func (f *frame) without(name string) []byte {
	raw := append([]byte(nil), f.raw[:f.at]...)
	for line := range bytes.Lines(f.headers) {
		if key, _, _ := bytes.Cut(line, []byte(":")); string(key) != name {
			raw = append(raw, line...)
		}
	}
	return append(raw, f.raw[f.at+len(f.headers):]...)
}
