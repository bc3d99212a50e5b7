package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
)

// An app keeps a file of what its sockets did. Each record is one write to
// the file, so that what an app did before kill -9 is known to the last
// message.

// A kind is what a record tells.
type kind uint8

const (
	opened kind = iota + 1 // the socket was accepted
	wrote                  // the kernel took message n
	got                    // message n was read
	shut                   // the socket ended, with close code n
	alien                  // a message of another session, or none of ours
)

// A record is 24 bytes: kind u8, 3 unused, sock u32, key u32, n u32, at i64.
type record struct {
	kind kind
	sock uint32 // unique among all apps of a run
	key  uint32 // the session
	n    uint32
	at   int64 // ns, wall clock of the machine
}

const recordBytes = 24

func (r *record) append(b []byte) []byte {
	b = append(b, byte(r.kind), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.sock)
	b = binary.BigEndian.AppendUint32(b, r.key)
	b = binary.BigEndian.AppendUint32(b, r.n)
	return binary.BigEndian.AppendUint64(b, uint64(r.at))
}

// parseRecords reads a file's whole records; a torn last one never was.
func parseRecords(b []byte) ([]record, error) {
	list := make([]record, 0, len(b)/recordBytes)
	for ; len(b) >= recordBytes; b = b[recordBytes:] {
		k := kind(b[0])
		if k < opened || k > alien {
			return nil, fmt.Errorf("chaos: record %d: kind %d: unknown", len(list), k)
		}
		list = append(list, record{
			k, binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]),
			binary.BigEndian.Uint32(b[12:]), int64(binary.BigEndian.Uint64(b[16:])),
		})
	}
	return list, nil
}

// readRecords reads the files of several apps.
func readRecords(files []string) ([]record, error) {
	var all []record
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		list, err := parseRecords(b)
		if err != nil {
			return nil, fmt.Errorf("%w (in %s)", err, file)
		}
		all = append(all, list...)
	}
	return all, nil
}

// note writes a record. Writes to a file that was opened to append do not
// mix.
func note(w io.Writer, r record) {
	if _, err := w.Write(r.append(make([]byte, 0, recordBytes))); err != nil {
		panic(err) // a run without its records proves nothing
	}
}

// A tag is the text of a message: which stream it belongs to, a session's
// inbound one or that of an app's socket, and its number there from 1.
type tag struct {
	stream, n uint32
}

func (t tag) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(t.stream), 10)
	b = append(b, ' ')
	return strconv.AppendUint(b, uint64(t.n), 10)
}

func parseTag(b []byte) (tag, bool) {
	left, right, ok := bytes.Cut(b, []byte{' '})
	stream, err1 := strconv.ParseUint(string(left), 10, 32)
	n, err2 := strconv.ParseUint(string(right), 10, 32)
	return tag{uint32(stream), uint32(n)}, ok && err1 == nil && err2 == nil && n > 0
}
