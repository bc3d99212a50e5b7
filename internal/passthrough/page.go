package passthrough

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/page"
)

// This file passes on pages that get the tag of the page client: the only
// answers whose content is not the app's alone.

// maxPageHead bounds what is held of an answer until the tag's place in it is known:
// a head, and the beginning of its content.
const maxPageHead = maxAnswerHead + 128<<10

// pageFields are the fields of a message of HTTP/1, for package page.
type pageFields http1.Fields

// Values implements page.Fields.
func (f pageFields) Values(name string) (values []string) {
	for i := range f {
		if len(f[i].Name) == len(name) && http.CanonicalHeaderKey(string(f[i].Name)) == name {
			values = append(values, string(f[i].Value))
		}
	}
	return values
}

// pageRequest returns what has to be known of a request that may be for a page, or
// nil.
func (c *client) pageRequest(r *http1.Request) *page.Request {
	if c.h.cfg.Pages == nil || r.Minor == 0 {
		return nil
	}
	path, err := url.PathUnescape(r.Path())
	if err != nil {
		return nil
	}
	return c.h.cfg.Pages.Request(string(r.Method), path, c.h.cfg.Scheme, string(r.Host), pageFields(r.Fields))
}

// insertion returns what is to be done about the answer that is held, or nil if
// it passes as it came.
func (a *answerer) insertion(x *exchange, body *http1.Body) *page.Insertion {
	if x.page == nil {
		return nil
	}
	length := int64(-1)
	if !body.Chunked() && !body.UntilClose() {
		length = contentLength(a.resp.Fields)
	}
	for i := range a.resp.Fields {
		// What is coded for the transfer too stays as it is.
		if f := &a.resp.Fields[i]; f.Is("transfer-encoding") && !bytes.EqualFold(f.Value, []byte("chunked")) {
			return nil
		}
	}
	return x.page.Answer(a.resp.Status, a.resp.Minor, length, pageFields(a.resp.Fields))
}

func contentLength(fields http1.Fields) int64 {
	for i := range fields {
		if fields[i].Is("content-length") {
			if n, err := strconv.ParseInt(string(fields[i].Value), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// passInserted passes a page on with the tag. It reports false if the page has no
// place for it; nothing was passed on then.
func (a *answerer) passInserted(x *exchange, body http1.Body, n *page.Insertion) (done, goesOn bool) {
	if !n.Look(payload(&bodyReader{in: &a.in, from: a.app, body: body, ahead: len(a.resp.Head), peeks: true})) {
		return false, false
	}
	if !a.begin(false) {
		return true, false
	}
	closes := !a.resp.Closes() && a.h.draining()
	goes := !closes && a.resp.Closes()
	out := pageWriter{to: a.conn, chunks: body.Chunked() || n.Recodes() && !body.UntilClose()}
	a.out = appendPageHead(a.out[:0], &a.resp, n, closes, out.chunks && !body.Chunked())
	a.in.take(len(a.resp.Head))
	in := &bodyReader{in: &a.in, from: a.app, body: body}
	f := flow{from: a.app, to: a.conn, in: &a.in}
	err := f.write(nil, a.out)
	if err == nil {
		err = a.copyInserted(&out, in, n)
	}
	switch {
	case err == nil && body.UntilClose():
		a.answered(true, true)
		return true, false
	case err == nil && goes:
		return true, a.rest(&f)
	case err == nil:
		return true, a.answered(goes || closes || x.last, closes)
	}
	a.brokeOff(err)
	return true, false
}

// copyInserted passes the content of a page on, and what follows it.
func (a *answerer) copyInserted(out *pageWriter, in *bodyReader, n *page.Insertion) error {
	src, err := n.Reader(payload(in))
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := io.CopyBuffer(out, struct{ io.Reader }{src}, make([]byte, burstSize)); err != nil {
		return err
	}
	if !out.chunks {
		return nil
	}
	last := []byte("0\r\n\r\n")
	f := flow{from: a.app, to: a.conn, in: &a.in}
	if !in.body.Trailer() {
		return f.write(nil, last)
	}
	end, err := f.section(true, maxAnswerHead)
	if err != nil {
		return err
	}
	err = f.write(append(make([]byte, 0, 3+end), "0\r\n"...), a.in.held()[:end])
	a.in.take(end)
	return err
}

// appendPageHead appends the head of an answer that n changes. chunked: it is
// chunked from now on.
func appendPageHead(dst []byte, r *http1.Response, n *page.Insertion, closes, chunked bool) []byte {
	dst = append(dst, r.Line...)
	for i := range r.Fields {
		f := &r.Fields[i]
		if r.Overridden && f.Is("content-length") || closes && (f.Is("connection") || f.Is("keep-alive")) || n.Drops(string(f.Name)) {
			continue
		}
		dst = append(dst, f.Line...)
	}
	n.Adds(func(name, value string) { dst = appendField(dst, name, value) })
	if chunked {
		dst = appendField(dst, "Transfer-Encoding", "chunked")
	}
	if closes {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// payload is the content of a body: what stands in its chunks.
func payload(b *bodyReader) io.Reader {
	if b.body.Chunked() {
		return httputil.NewChunkedReader(b)
	}
	return b
}

// A bodyReader reads the bytes of a body, without its trailer section.
type bodyReader struct {
	in    *buffer
	from  net.Conn
	body  http1.Body
	ahead int  // how much of what is held was read, or is not the body's
	peeks bool // what is read stays held
}

// Read implements io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	for {
		held := b.in.held()[b.ahead:]
		held = held[:min(len(held), len(p))]
		n, err := b.body.Next(held)
		copy(p, held[:n])
		if b.peeks {
			b.ahead += n
		} else {
			b.in.take(n)
		}
		switch {
		case n > 0:
			return n, nil // an error comes again
		case err != nil:
			return 0, err
		case b.body.Done():
			return 0, io.EOF
		}
		limit := restSize
		if b.peeks {
			limit = maxPageHead
		}
		switch err := b.in.fill(b.from, limit); {
		case errors.Is(err, io.EOF) && b.body.UntilClose():
			return 0, io.EOF
		case err != nil:
			return 0, readError{err}
		}
	}
}

// A pageWriter writes content to a client.
type pageWriter struct {
	to     net.Conn
	chunks bool
	buf    []byte
}

// Write implements io.Writer.
func (w *pageWriter) Write(p []byte) (int, error) {
	out := p
	if w.chunks && len(p) > 0 {
		w.buf = strconv.AppendInt(w.buf[:0], int64(len(p)), 16)
		w.buf = append(append(append(w.buf, "\r\n"...), p...), "\r\n"...)
		out = w.buf
	}
	if _, err := w.to.Write(out); err != nil {
		return 0, writeError{err}
	}
	return len(p), nil
}
