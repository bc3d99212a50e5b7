package passthrough

import (
	"bytes"
	"io"
	"net/http"

	"github.com/wsresilience/wsresilience/internal/page"
)

// pageRequest is client.pageRequest for what net/http serves.
func (p *http2Proxy) pageRequest(r *http.Request) *page.Request {
	if p.h.cfg.Pages == nil || !r.ProtoAtLeast(1, 1) {
		return nil
	}
	return p.h.cfg.Pages.Request(r.Method, r.URL.Path, p.h.cfg.Scheme, r.Host, r.Header)
}

// insertInto makes a page one with the tag, if it is one for that.
func insertInto(resp *http.Response, of *page.Request) error {
	minor := 1
	if !resp.ProtoAtLeast(1, 1) {
		minor = 0
	}
	n := of.Answer(resp.StatusCode, minor, resp.ContentLength, resp.Header)
	if n == nil {
		return nil
	}
	if !n.HeadOnly() {
		var seen bytes.Buffer
		found := n.Look(io.TeeReader(resp.Body, &seen))
		body := &insertedBody{Reader: io.MultiReader(&seen, resp.Body), body: resp.Body, insertion: n}
		resp.Body = body
		if !found {
			return nil
		}
		src, err := n.Reader(body.Reader)
		if err != nil {
			return err
		}
		body.Reader, body.inserted = src, src
		resp.ContentLength = -1
	}
	for name := range resp.Header {
		if n.Drops(name) {
			delete(resp.Header, name)
		}
	}
	n.Adds(resp.Header.Add)
	return nil
}

// An insertedBody is the content of a page. While it stands the Insertion does.
type insertedBody struct {
	io.Reader
	body      io.Closer
	inserted  io.Closer // nil: nothing is
	insertion *page.Insertion
}

// Close implements io.Closer.
func (b *insertedBody) Close() error {
	if b.inserted != nil {
		_ = b.inserted.Close()
	}
	b.insertion.Close()
	return b.body.Close()
}
