// Package page puts the page client into the pages of an app: the script tag that
// makes their WebSockets resilient, without a change of the app or its pages.
//
// A [Policy] says which requests may be for pages ([Policy.Request]), whether an
// answer is one that may be changed ([Request.Answer]), where the tag goes
// ([Insertion.Look]), and passes the page on with it ([Insertion.Reader]). What it
// does not change passes as it came. It knows nothing of connections: both
// HTTP/1 and HTTP/2 of package passthrough use it.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"html"
	"log/slog"
	"strings"
	"sync"

	"github.com/wsresilience/wsresilience/internal/budget"
)

// Config says what a Policy does.
type Config struct {
	// Prefix is the URL path of the script's folder as browsers see it, with a slash
	// at both ends. Empty: DefaultPrefix. It is served below DefaultPrefix as well,
	// for paths that a proxy in front has shortened.
	Prefix string
	// Inject reports whether the pages on a path, which is a request's decoded
	// URL path, get the tag. nil: none do.
	Inject func(path string) bool
	// Badge has pages show a small mark while a session has no connection.
	Badge bool
	// Sockets lists path patterns of the sockets that have sessions, with commas
	// between them. Empty: all. A page need not try it with others then.
	Sockets string
	// Hosts lists the hosts, besides a page's own, whose sockets have sessions.
	Hosts []string
	// Log hears once of each reason for which pages are left alone. nil: nobody.
	Log *slog.Logger
}

// DefaultPrefix is where the script is.
const DefaultPrefix = "/.wsr/"

// maxRecoded is how many compressed pages are under way at a time: each holds the
// windows of a decoder and of an encoder. Others pass as they are meanwhile.
const maxRecoded = 32

// A Policy is what is configured. It is safe for concurrent use. A nil Policy
// serves nothing and changes nothing.
type Policy struct {
	cfg     Config
	script  script
	mark    string // of entity tags of pages with this tag
	recoded chan struct{}
	memory  *budget.Budget // nil: nothing counts

	mu   sync.Mutex
	said map[reason]bool
}

// New returns a Policy.
func New(cfg Config) *Policy {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	p := &Policy{cfg: cfg, script: theScript(), recoded: make(chan struct{}, maxRecoded), said: make(map[reason]bool)}
	sum := sha256.Sum256(p.tag("", false))
	p.mark = "-wsr" + hex.EncodeToString(sum[:4])
	return p
}

// tag is what goes into a page.
func (p *Policy) tag(nonce string, integrity bool) []byte {
	var b strings.Builder
	b.WriteString(`<script src="`)
	b.WriteString(html.EscapeString(p.cfg.Prefix + p.script.name))
	b.WriteString(`"`)
	if p.cfg.Sockets != "" {
		b.WriteString(` data-paths="` + html.EscapeString(p.cfg.Sockets) + `"`)
	}
	if len(p.cfg.Hosts) > 0 {
		b.WriteString(` data-hosts="` + html.EscapeString(strings.Join(p.cfg.Hosts, ",")) + `"`)
	}
	if p.cfg.Badge {
		b.WriteString(` data-badge="on"`)
	}
	if nonce != "" {
		b.WriteString(` nonce="` + nonce + `"`)
	}
	if integrity {
		b.WriteString(` integrity="sha256-` + base64.StdEncoding.EncodeToString(p.script.sum[:]) + `"`)
	}
	b.WriteString(`></script>`)
	return []byte(b.String())
}

// A reason says why a page was left alone.
type reason string

const (
	leftCoding      reason = "its content coding is not one of gzip, br and zstd"
	leftEncoding    reason = "its character encoding is not like ASCII"
	leftCharset     reason = "it declares its character encoding behind a script and late"
	leftPolicy      reason = "its Content-Security-Policy allows no script of this host; allow 'self', or list the script's hash"
	leftNoTransform reason = "it says Cache-Control: no-transform"
	leftDigest      reason = "a digest of its content goes with it"
	leftFraming     reason = "it is compressed, and its answer of HTTP/1.0 tells the length"
	leftBusy        reason = "too many compressed pages are under way"
	leftMemory      reason = "memory is short"
	leftNoPage      reason = "its text does not begin like a page"
)

// leave notes that a page was left alone, and says so once.
func (p *Policy) leave(why reason, path string) {
	p.mu.Lock()
	first := !p.said[why]
	p.said[why] = true
	p.mu.Unlock()
	if first && p.cfg.Log != nil {
		p.cfg.Log.Warn("page left without the client", "path", path, "because", string(why),
			"help", "docs/PAGES.md", "note", "said once for each reason")
	}
}
