package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// clientScript is made from sdk/js/src/page.ts by `make sdk`.
//
//go:embed client.js
var clientScript []byte

// A script is the page client.
type script struct {
	text []byte
	sum  [sha256.Size]byte
	name string // with a part of its hash
}

// source is the script's hash as a Content-Security-Policy names it.
func (s *script) source() string {
	return "'sha256-" + base64.StdEncoding.EncodeToString(s.sum[:]) + "'"
}

var theScript = sync.OnceValue(func() script {
	sum := sha256.Sum256(clientScript)
	return script{clientScript, sum, "client-" + hex.EncodeToString(sum[:8]) + ".js"}
})

// Serves reports whether a request is for the script. path is the decoded URL
// path.
func (p *Policy) Serves(method, path string) bool {
	if p == nil || method != http.MethodGet && method != http.MethodHead {
		return false
	}
	_, ok := p.file(path)
	return ok
}

// file returns the name of a file of ours.
func (p *Policy) file(path string) (name string, ok bool) {
	for _, prefix := range [...]string{p.cfg.Prefix, DefaultPrefix} {
		if name, ok = strings.CutPrefix(path, prefix); ok {
			return name, name == "client.js" || strings.HasPrefix(name, "client-") && strings.HasSuffix(name, ".js") && !strings.Contains(name, "/")
		}
	}
	return "", false
}

// ServeHTTP answers what Serves reports. A name with a hash is answered with this
// script even if it is that of another version, which a page from another sidecar
// names during a rolling update; that is not kept.
func (p *Policy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _ := p.file(r.URL.Path)
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", `"`+hex.EncodeToString(p.script.sum[:8])+`"`)
	h.Set("Cache-Control", "no-cache")
	if name == p.script.name {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "client.js", time.Time{}, bytes.NewReader(p.script.text))
}
