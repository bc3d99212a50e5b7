package observe

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
)

// NewLogger returns a logger that writes to w: in JSON, or as text if format
// is "text", or is empty and w is a terminal. What must not be logged (I9) is
// redacted, whatever passes it. Put a Writer in between where w may block.
func NewLogger(w io.Writer, level slog.Leveler, format string, terminal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	if format == "text" || format == "" && terminal {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// redacted stands where a value was.
const redacted = "[redacted]"

// Names of attributes and groups whose values must not be in a log. The
// first list matches anywhere in a name, since such names come with all kinds
// of prefixes; the second only whole names, which are parts of harmless ones.
var (
	secretParts = []string{
		"token", "authorization", "cookie", "password", "passwd", "secret", "credential", "payload", "header", "protocols",
	}
	secretNames = []string{"key", "keys", "body", "message", "data", "frame", "query", "seed", "binding", "sec-websocket-protocol"}
)

// sensitive reports whether a name is that of a secret.
func sensitive(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(secretNames, name) ||
		slices.ContainsFunc(secretParts, func(part string) bool { return strings.Contains(name, part) })
}

// redact is a slog.HandlerOptions.ReplaceAttr. It goes by names, by the group
// an attribute is in, and by types that hold such values whatever their name.
func redact(groups []string, a slog.Attr) slog.Attr {
	if sensitive(a.Key) || slices.ContainsFunc(groups, sensitive) {
		return slog.String(a.Key, redacted)
	}
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	switch v := a.Value.Any().(type) {
	case []byte:
		return slog.String(a.Key, fmt.Sprintf("[%d bytes]", len(v)))
	case http.Header, *http.Request, *http.Response, *http.Cookie:
		return slog.String(a.Key, redacted)
	}
	return a
}
