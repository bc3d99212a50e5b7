package page

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// An Insertion is what is to be done about an answer that may be a page.
type Insertion struct {
	request *Request
	finder  finder
	coding  string // of the content: empty, gzip, br or zstd
	tag     []byte
	at      int // in the decoded content, once Look has found it
	length  int64
	held    func() // gives the place among recoded pages back
	took    int64  // of the memory budget, at first
	seen    int64  // decoded so far
	counted int64  // of the decoder's window
	rename  bool   // only the head changes: the answer has no content
	etag    string // of the app
	dated   bool   // the app has a Last-Modified
}

// Answer returns what is to be done about the answer to a request, or nil if it
// passes as it is. minor is the version of HTTP/1 of the answer, length its
// Content-Length or -1. Close must be called on an Insertion in the end.
func (r *Request) Answer(status, minor int, length int64, fields Fields) *Insertion {
	if r == nil {
		return nil
	}
	n := &Insertion{request: r, length: length, etag: first(fields, "Etag"), dated: len(fields.Values("Last-Modified")) > 0}
	if status == http.StatusNotModified {
		n.rename = true
		if !r.marked {
			return nil
		}
		return n
	}
	if status < 200 || status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusPartialContent || length == 0 {
		return nil
	}
	media, params, err := mime.ParseMediaType(first(fields, "Content-Type"))
	if err != nil || media != "text/html" && media != "application/xhtml+xml" || isDownload(fields) {
		return nil
	}
	n.rename = r.head
	charset := strings.ToLower(params["charset"])
	n.coding, err = contentCoding(fields)
	why := reason("")
	switch {
	case err != nil:
		why = leftCoding
	case strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32"):
		why = leftEncoding
	case hasElement(fields.Values("Cache-Control"), "no-transform"):
		why = leftNoTransform
	case hasDigest(fields):
		why = leftDigest
	case n.coding != "" && minor == 0 && length >= 0:
		why = leftFraming
	}
	p := r.policy
	permit, ok := permitted(append(fields.Values("Content-Security-Policy"), fields.Values("Content-Security-Policy-Report-Only")...), r.origin)
	if why == "" && !ok {
		why = leftPolicy
	}
	if why == "" && n.coding != "" && !r.head {
		select {
		case p.recoded <- struct{}{}:
			n.held = func() { <-p.recoded }
		default:
			why = leftBusy
		}
	}
	if why == "" && !r.head && !n.take() {
		why = leftMemory
	}
	if why != "" {
		n.Close()
		p.leave(why, r.path)
		return nil
	}
	n.tag = p.tag(permit.nonce, permit.integrity)
	n.finder = finder{charset: charset != "", xml: media == "application/xhtml+xml", length: len(n.tag)}
	return n
}

// Close gives back what Answer has taken.
func (n *Insertion) Close() {
	if n == nil {
		return
	}
	if n.held != nil {
		n.held()
		n.held = nil
	}
	n.giveBack()
}

// HeadOnly reports whether only the answer's head changes: to HEAD, and to a
// question whether a page is still the same.
func (n *Insertion) HeadOnly() bool { return n.rename }

// Recodes reports whether the length of the content is not known before its end.
func (n *Insertion) Recodes() bool { return n.coding != "" }

// Drops reports whether a field of the answer does not go to the client as it
// is. name is in any case.
func (n *Insertion) Drops(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Etag":
		return true
	case "Content-Length", "Accept-Ranges":
		return !n.isUnchanged()
	}
	return false
}

// isUnchanged reports whether the answer says that the client's page is still the
// same.
func (n *Insertion) isUnchanged() bool { return n.rename && n.tag == nil }

// Adds calls add for each field that goes to the client in place of those, or
// beside them.
func (n *Insertion) Adds(add func(name, value string)) {
	if n.etag != "" || n.dated || n.isUnchanged() {
		add("ETag", n.request.policy.markTag(n.etag))
	}
	if n.isUnchanged() {
		return
	}
	// Whoever keeps it for others must not give it to a script that fetches it.
	add("Vary", "Sec-Fetch-Dest")
	if !n.rename && n.length >= 0 && n.coding == "" {
		add("Content-Length", strconv.FormatInt(n.length+int64(len(n.tag)), 10))
	}
}

// isDownload reports whether an answer is to be saved and not shown.
func isDownload(fields Fields) bool {
	kind, _, _ := strings.Cut(first(fields, "Content-Disposition"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "attachment")
}

// hasDigest reports whether the content is vouched for by a digest.
func hasDigest(fields Fields) bool {
	for _, name := range [...]string{"Digest", "Content-Digest", "Repr-Digest", "Content-Md5"} {
		if len(fields.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// hasElement reports whether one of several lists has an element.
func hasElement(lists []string, element string) bool {
	for _, l := range lists {
		for e := range strings.SplitSeq(l, ",") {
			if strings.EqualFold(strings.TrimSpace(e), element) {
				return true
			}
		}
	}
	return false
}
