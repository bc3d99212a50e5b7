package upgrade

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

type namesKey struct{} // of a context: a string, the names of fields in their order, each with a line end

// WithNames keeps the names of the fields in head as they are written, for the
// request to the app: net/http keeps them in a spelling of its own.
func WithNames(ctx context.Context, head []byte) context.Context {
	_, head, ok := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\r\n"))
	if !ok {
		return ctx
	}
	var names strings.Builder
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			break
		}
		names.Write(name)
		names.WriteByte('\n')
	}
	return context.WithValue(ctx, namesKey{}, names.String())
}

// KeepNames gives ctx the names that of has.
func KeepNames(ctx, of context.Context) context.Context {
	if names, ok := of.Value(namesKey{}).(string); ok {
		return context.WithValue(ctx, namesKey{}, names)
	}
	return ctx
}

// spelled is how RFCs write names that net/http writes otherwise.
var spelled = map[string]string{
	"Etag":                     "ETag",
	"Sec-Websocket-Accept":     "Sec-WebSocket-Accept",
	"Sec-Websocket-Extensions": "Sec-WebSocket-Extensions",
	"Sec-Websocket-Key":        "Sec-WebSocket-Key",
	"Sec-Websocket-Protocol":   "Sec-WebSocket-Protocol",
	"Sec-Websocket-Version":    "Sec-WebSocket-Version",
	"Te":                       "TE",
	"Www-Authenticate":         "WWW-Authenticate",
}

func spell(name string) string {
	if s := spelled[name]; s != "" {
		return s
	}
	return name
}

// appendFields appends h: first what ctx has names of, in their order, then the
// rest, sorted.
func appendFields(ctx context.Context, dst []byte, h http.Header) []byte {
	names, _ := ctx.Value(namesKey{}).(string)
	written := make(map[string]bool, len(h))
	for name := range strings.SplitSeq(names, "\n") {
		key := http.CanonicalHeaderKey(name)
		if written[key] {
			continue
		}
		written[key] = true
		for _, v := range h[key] {
			dst = appendField(dst, name, v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		if written[key] {
			continue
		}
		for _, v := range h[key] {
			dst = appendField(dst, spell(key), v)
		}
	}
	return dst
}
