package page

import (
	"bytes"
	"errors"
	"io"
)

// Look reads the beginning of an answer's content, as it comes behind transfer
// codings, and reports whether the tag has a place in it. If not, the answer
// passes as it is; what Look has read then has to be passed on as well. It reads
// no further than it must. src may end, or fail, before its end: that is found
// again by whoever passes it on.
func (n *Insertion) Look(src io.Reader) bool {
	at, is, why := n.look(src)
	if is != placeFound {
		if why != "" {
			n.request.policy.leave(why, n.request.path)
		}
		return false
	}
	n.at = at
	return true
}

func (n *Insertion) look(src io.Reader) (at int, is place, why reason) {
	d, err := decode(io.LimitReader(src, maxLookCoded), n.coding)
	if err != nil {
		return 0, placeNone, ""
	}
	defer d.Close()
	text := make([]byte, 0, 4<<10)
	for {
		got, err := d.Read(text[len(text):cap(text)])
		text = text[:len(text)+got]
		whole := errors.Is(err, io.EOF)
		if got > 0 || whole {
			if at, is, why = n.finder.find(text, whole); is != placeMore {
				return at, is, why
			}
		}
		switch {
		case err != nil:
			return 0, placeNone, ""
		case len(text) >= maxLook:
			return 0, placeNone, leftNoPage
		case len(text) == cap(text):
			text = append(make([]byte, 0, min(2*cap(text), maxLook)), text...)
		}
	}
}

// Reader returns the content with the tag. src is the whole content again, from its
// beginning. An error of src, or of its compression, comes out as it is.
func (n *Insertion) Reader(src io.Reader) (io.ReadCloser, error) {
	d, err := decode(src, n.coding)
	if err != nil {
		return nil, err
	}
	r := &reader{src: src, decoded: d, at: n.at, tag: n.tag, counts: n.decoded}
	if r.encoded, err = encode(&r.out, n.coding); err != nil {
		d.Close()
		return nil, err
	}
	return r, nil
}

// pieceSize is how much content is under way at a time.
const pieceSize = 16 << 10

// A reader passes content on, with a tag in it. What comes in can be read at once.
type reader struct {
	src     io.Reader
	decoded io.ReadCloser
	counts  func(int) // is told what was decoded
	encoded encoder
	at      int // how much content is before the tag
	tag     []byte
	in      []byte
	out     bytes.Buffer
	err     error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for r.out.Len() == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.fill()
	}
	return r.out.Read(p)
}

// fill puts the next piece into out.
func (r *reader) fill() error {
	if r.in == nil {
		r.in = make([]byte, pieceSize)
	}
	got, err := r.decoded.Read(r.in)
	r.counts(got)
	piece := r.in[:got]
	if r.tag != nil && got >= r.at {
		if _, werr := r.encoded.Write(piece[:r.at]); werr != nil {
			return werr
		}
		if _, werr := r.encoded.Write(r.tag); werr != nil {
			return werr
		}
		piece, r.tag = piece[r.at:], nil
	}
	r.at -= got
	if _, werr := r.encoded.Write(piece); werr != nil {
		return werr
	}
	switch {
	case errors.Is(err, io.EOF):
		// What stands behind the compressed content is not passed on, but read.
		if _, derr := io.Copy(io.Discard, r.src); derr != nil {
			return derr
		}
		if cerr := r.encoded.Close(); cerr != nil {
			return cerr
		}
		return io.EOF
	case err != nil:
		return err
	}
	return r.encoded.Flush()
}

// Close gives the decoder's memory back. It does not close the source.
func (r *reader) Close() error { return r.decoded.Close() }
