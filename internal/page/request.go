package page

import (
	"net/http"
	"strings"
)

// Fields are the header fields of a message. name is in the form of
// http.CanonicalHeaderKey.
type Fields interface{ Values(name string) []string }

// A Request is one that may be for a page.
type Request struct {
	policy *Policy
	path   string
	head   bool // the method
	origin origin
	marked bool // the client has the page as we changed it, and asks whether it is still so

	drop  map[string]bool // fields that do not go to the app
	match string          // If-None-Match for the app, empty: none
}

// Request returns what has to be known of a request to change its answer, or nil
// if it is not one for a page. path is the decoded URL path; scheme that of the
// client's connection, or empty; host the request's.
//
// A browser says what it wants a document for. One that does not say so, as on a
// connection without TLS, names HTML in Accept when it navigates, and not when a
// script fetches a part of a page.
func (p *Policy) Request(method, path, scheme, host string, fields Fields) *Request {
	if p == nil || p.cfg.Inject == nil || method != http.MethodGet && method != http.MethodHead || !p.cfg.Inject(path) {
		return nil
	}
	switch strings.ToLower(first(fields, "Sec-Fetch-Dest")) {
	case "document", "iframe", "frame", "embed", "object":
	case "":
		if !accepts(fields.Values("Accept"), "text/html") || len(fields.Values("X-Requested-With")) > 0 {
			return nil
		}
	default:
		return nil
	}
	if len(fields.Values("Upgrade")) > 0 {
		return nil
	}
	r := &Request{policy: p, path: path, head: method == http.MethodHead, drop: map[string]bool{}}
	r.origin = origin{scheme: scheme, host: host, path: p.cfg.Prefix + p.script.name, hash: p.script.source()}
	if by := first(fields, "X-Forwarded-Proto"); by == "http" || by == "https" {
		r.origin.scheme = by
	}
	r.conditions(fields)
	return r
}

// conditions reads what the client has of the page. The app must not say of a page
// without the tag that it has not changed: the client would go on to show that. So
// it is asked about pages with the tag only, by its own names for them.
func (r *Request) conditions(fields Fields) {
	matches := fields.Values("If-None-Match")
	since := len(fields.Values("If-Modified-Since")) > 0
	if len(matches) == 0 && !since {
		return
	}
	r.drop["If-None-Match"], r.drop["If-Modified-Since"] = true, true
	var app []string
	for _, list := range matches {
		for tag := range strings.SplitSeq(list, ",") {
			switch own, ok := r.policy.unmark(strings.TrimSpace(tag)); {
			case !ok:
			case own == "":
				r.marked = true
				delete(r.drop, "If-Modified-Since") // the app has no tags: this is how it knows
			default:
				r.marked = true
				app = append(app, own)
			}
		}
	}
	r.match = strings.Join(app, ", ")
}

// Drops reports whether a field of the request does not go to the app. name is in
// any case.
func (r *Request) Drops(name string) bool {
	return r != nil && len(r.drop) > 0 && r.drop[http.CanonicalHeaderKey(name)]
}

// Match is the If-None-Match for the app, in place of the client's; empty: none.
func (r *Request) Match() string {
	if r == nil {
		return ""
	}
	return r.match
}

// markTag returns an entity tag for a page with the tag. tag is the app's, or
// empty where it has none.
func (p *Policy) markTag(tag string) string {
	if tag == "" {
		return `W/"` + p.mark + `"`
	}
	return strings.TrimSuffix(tag, `"`) + p.mark + `"`
}

// unmark takes a mark of markTag off. ok is false if there is none.
func (p *Policy) unmark(tag string) (own string, ok bool) {
	own, ok = strings.CutSuffix(tag, p.mark+`"`)
	switch {
	case !ok:
		return "", false
	case own == `W/"`:
		return "", true
	}
	return own + `"`, true
}

func first(fields Fields, name string) string {
	if v := fields.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// accepts reports whether a list of media ranges names one explicitly.
func accepts(values []string, media string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), media) {
				return true
			}
		}
	}
	return false
}
