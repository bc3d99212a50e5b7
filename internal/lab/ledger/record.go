package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
)

// A Tag is the text of a message: which stream it belongs to, a session's
// inbound one or that of an app's socket, and its number there from 1.
type Tag struct {
	Stream, N uint32
}

// Append appends the text of the message.
func (t Tag) Append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(t.Stream), 10)
	b = append(b, ' ')
	return strconv.AppendUint(b, uint64(t.N), 10)
}

// ParseTag reads the text of a message.
func ParseTag(b []byte) (Tag, bool) {
	left, right, ok := bytes.Cut(b, []byte{' '})
	stream, err1 := strconv.ParseUint(string(left), 10, 32)
	n, err2 := strconv.ParseUint(string(right), 10, 32)
	return Tag{uint32(stream), uint32(n)}, ok && err1 == nil && err2 == nil && n > 0
}

// AppendAnswer appends the text of a message that answers another one, which
// has the number asked in its own stream.
func (t Tag) AppendAnswer(b []byte, asked uint32) []byte {
	return strconv.AppendUint(append(t.Append(b), ' '), uint64(asked), 10)
}

// ParseAnswer reads the text of a message that may answer another one; asked
// is 0 if it does not.
func ParseAnswer(b []byte) (t Tag, asked uint32, ok bool) {
	if i := bytes.LastIndexByte(b, ' '); bytes.Count(b, []byte{' '}) == 2 {
		n, err := strconv.ParseUint(string(b[i+1:]), 10, 32)
		if err != nil || n == 0 {
			return Tag{}, 0, false
		}
		b, asked = b[:i], uint32(n)
	}
	t, ok = ParseTag(b)
	return t, asked, ok
}

// A Kind is what a record tells.
type Kind uint8

const (
	Opened  Kind = iota + 1 // the socket was accepted
	Writes                  // message N is about to be written, so that a crash hides nothing
	Failed                  // the message that was about to be written was refused
	Unsent                  // a message was due and the socket was gone
	Read                    // message N was read; 0: it has no number
	Closed                  // the socket ended, with close code N
	Foreign                 // a message of another session was read
)

// A Record is one line of an app's account: 24 bytes in its file, kind u8, 3
// unused, sock u32, key u32, n u32, at i64.
type Record struct {
	Kind Kind
	Sock uint32 // unique among all apps of a run
	Key  uint32 // the session
	N    uint32
	At   int64 // Unix ns by the machine's clock, which all apps share
}

// RecordBytes is the size of a record in a file.
const RecordBytes = 24

func (r *Record) append(b []byte) []byte {
	b = append(b, byte(r.Kind), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.Sock)
	b = binary.BigEndian.AppendUint32(b, r.Key)
	b = binary.BigEndian.AppendUint32(b, r.N)
	return binary.BigEndian.AppendUint64(b, uint64(r.At))
}

// Write writes a record by one call, so that what an app did before kill -9 is
// known to the last message, and so that the records of goroutines that share
// a file or pipe do not mix.
func (r *Record) Write(w io.Writer) error {
	_, err := w.Write(r.append(make([]byte, 0, RecordBytes)))
	return err
}

// ParseRecords reads whole records and returns what is behind the last of
// them: a record that is not complete yet, or never will be.
func ParseRecords(b []byte) (list []Record, rest []byte, err error) {
	for ; len(b) >= RecordBytes; b = b[RecordBytes:] {
		k := Kind(b[0])
		if k < Opened || k > Foreign {
			return nil, b, fmt.Errorf("ledger: record %d: kind %d: unknown", len(list), k)
		}
		list = append(list, Record{
			k, binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]),
			binary.BigEndian.Uint32(b[12:]), int64(binary.BigEndian.Uint64(b[16:])),
		})
	}
	return list, b, nil
}

// ReadFiles reads the records of several apps.
func ReadFiles(files []string) ([]Record, error) {
	var all []Record
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		list, _, err := ParseRecords(b)
		if err != nil {
			return nil, fmt.Errorf("%w (in %s)", err, file)
		}
		all = append(all, list...)
	}
	return all, nil
}
