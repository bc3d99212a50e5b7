// Package httpguard stands between a listener and an http.Server, and refuses
// request heads that net/http would let pass and that another server may read
// differently. It is the first to see what a client sends, and the only place
// where bytes of HTTP/1 are read by hand.
package httpguard

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Guard wraps the connections of l, for an http.Server, so that request
// heads are refused that net/http lets pass and that others may read
// differently: lines that end in a bare LF, a bare CR, control characters,
// folded lines, a body framed twice, an absolute-form target for another Host
// (RFC 9112 §2.2, §5.2, §6.3, §3.2.2). l may be a TLS listener: the guard sees
// what TLS carried.
//
// The guard follows the framing of requests, so that it finds every head on a
// connection, pipelined ones included. A bad head is cut off before the byte
// that makes it bad and reading then fails, to which net/http answers 400 and
// closes; no handler runs. The bytes of bodies are only counted.
func Guard(l net.Listener) net.Listener { return guardListener{l} }

type guardListener struct{ net.Listener }

func (l guardListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardConn{Conn: c}, nil
}

// errBadHead is not a net.Error, or net/http would close without an answer.
var errBadHead = errors.New("httpguard: request refused: bad framing or bad characters in its head")

// Resume returns a guarded connection of which early was read before.
func Resume(c net.Conn, early []byte) net.Conn { return &guardConn{Conn: c, early: early} }

// Early returns what was read before of a guarded connection, and not read again.
func Early(c net.Conn) []byte {
	if g, ok := c.(*guardConn); ok {
		return g.early
	}
	return nil
}

// OnClose calls fn when a guarded connection is closed that was not hijacked.
func OnClose(c net.Conn, fn func()) {
	if g, ok := c.(*guardConn); ok {
		g.closed = fn
	}
}

// A guardConn is a connection until it is hijacked.
type guardConn struct {
	net.Conn
	early  []byte // to be read first
	scan   headScanner
	bad    bool
	closed func() // nil: nobody wants to know
}

// Close implements net.Conn.
func (g *guardConn) Close() error {
	if g.closed != nil {
		g.closed()
	}
	return g.Conn.Close()
}

// Read implements net.Conn. Like any, it is for one reader at a time.
func (g *guardConn) Read(p []byte) (n int, err error) {
	if g.bad {
		return 0, errBadHead
	}
	if len(g.early) > 0 {
		n = copy(p, g.early)
		if g.early = g.early[n:]; len(g.early) == 0 {
			g.early = nil
		}
	} else {
		n, err = g.Conn.Read(p)
	}
	good, ok := g.scan.next(p[:n])
	if ok {
		return n, err
	}
	g.bad = true
	if good > 0 {
		return good, nil // requests before it are served, if they are quick
	}
	return 0, errBadHead
}

// CloseWrite lets net/http linger, so that an answer is not lost to a reset
// while the client still sends.
func (g *guardConn) CloseWrite() error {
	if c, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Unwrap returns the connection below.
func (g *guardConn) Unwrap() net.Conn { return g.Conn }

// Hijack takes the connection from net/http, without the guard, and the bytes
// that were read beyond the request.
func Hijack(w http.ResponseWriter) (net.Conn, []byte, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // what is buffered can be peeked at
	early = bytes.Clone(early)
	if g, ok := conn.(*guardConn); ok {
		early = append(early, g.early...)
		conn = g.Unwrap()
	}
	return conn, early, nil
}

// A scanState is where in the stream of requests a headScanner stands.
type scanState int

const (
	scanRequest   scanState = iota // before or in a request line
	scanFields                     // in the header; an empty line leads to the body or the next request
	scanBody                       // left bytes, then the next request
	scanChunkSize                  // before or in a chunk-size line
	scanChunk                      // left bytes, then scanChunkEnd
	scanChunkEnd                   // the empty line after a chunk
	scanTrailer                    // in the trailer section; an empty line leads to the next request
	scanPreface                    // in what follows the first line of an HTTP/2 preface
	scanOpaque                     // HTTP/2, or an upgrade: hijacked, or answered with Connection: close
)

// Implementation limits on lines that come in pieces.
const (
	// maxChunkLine bounds a chunk-size line with its extensions, as net/http
	// does.
	maxChunkLine = 4096

	// maxLine bounds any other. A head that is too long is for net/http to
	// answer, with 431, so that this must be more than it reads of one.
	maxLine = 2 * MaxHeadBytes
)

// A headScanner follows the requests on a connection. The zero value stands
// before the first.
type headScanner struct {
	state scanState
	seen  bool   // a request line was seen
	cr    bool   // the last byte was CR
	line  []byte // of a line that is not complete yet
	left  int64  // of a body or chunk
	head  headFacts

	preface int // lines of it that were seen
}

// preface is how each connection of HTTP/2 begins (RFC 9113 §3.4). Whoever says
// only the first line of it is no client of HTTP/2, and its other lines are
// fields that another server might read.
var preface = [...]string{"PRI * HTTP/2.0", "", "SM", ""}

// headFacts are what matters of a head.
type headFacts struct {
	get, http11           bool
	authority             string // of an absolute-form target
	chunked, sized        bool
	length                int64
	upgrade, connectionUp bool
}

// next takes the bytes that follow. If it finds a violation it reports false
// and how many bytes precede it, and must not be called again.
func (s *headScanner) next(p []byte) (good int, ok bool) {
	for i := 0; i < len(p); {
		switch s.state {
		case scanOpaque:
			return len(p), true
		case scanBody, scanChunk:
			n := int(min(s.left, int64(len(p)-i)))
			i += n
			if s.left -= int64(n); s.left == 0 {
				s.state = s.afterData()
			}
		default:
			n, ok := s.lineBytes(p[i:])
			i += n
			if !ok {
				return i, false
			}
		}
	}
	return len(p), true
}

func (s *headScanner) afterData() scanState {
	if s.state == scanChunk {
		return scanChunkEnd
	}
	return scanRequest
}

// lineBytes takes bytes up to the end of the line, or all of p.
func (s *headScanner) lineBytes(p []byte) (n int, ok bool) {
	for n < len(p) {
		c := p[n]
		if s.cr != (c == '\n') {
			return n, false // CR without LF, or LF without CR
		}
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return n, false
		}
		if s.cr = c == '\r'; c == '\n' {
			break
		}
		n++
	}
	if n == len(p) {
		s.line = append(s.line, p...)
		return n, len(s.line) <= maxLine && (s.state != scanChunkSize || len(s.line) <= maxChunkLine)
	}
	line := p[:n]
	if len(s.line) > 0 {
		s.line = append(s.line, line...)
		line, s.line = s.line, nil
	}
	if !s.endLine(bytes.TrimSuffix(line, []byte("\r"))) {
		return n, false
	}
	return n + 1, true
}

// endLine takes a whole line, without its end.
func (s *headScanner) endLine(line []byte) bool {
	switch s.state {
	case scanRequest:
		return s.requestLine(line)
	case scanFields:
		if len(line) == 0 {
			return s.endHead()
		}
		return s.fieldLine(line)
	case scanChunkSize:
		return s.chunkSize(line)
	case scanChunkEnd:
		s.state = scanChunkSize
		return len(line) == 0
	case scanPreface:
		if string(line) != preface[s.preface] {
			return false
		}
		if s.preface++; s.preface == len(preface) {
			s.state = scanOpaque
		}
		return true
	case scanTrailer:
		if len(line) == 0 {
			s.state = scanRequest
			return true
		}
		return !isFolded(line)
	}
	return true
}

// isFolded reports whether a line continues the one before (obs-fold).
func isFolded(line []byte) bool { return line[0] == ' ' || line[0] == '\t' }

func (s *headScanner) requestLine(line []byte) bool {
	if len(line) == 0 {
		return true // RFC 9112 §2.2; net/http decides how many
	}
	if string(line) == preface[0] && !s.seen {
		s.state, s.preface = scanPreface, 1
		return true
	}
	method, rest, _ := strings.Cut(string(line), " ")
	s.head = headFacts{get: method == http.MethodGet, http11: strings.HasSuffix(rest, " HTTP/1.1")}
	if _, after, ok := strings.Cut(rest, "://"); ok && !strings.HasPrefix(rest, "/") {
		s.head.authority = after[:strings.IndexAny(after+" ", "/?# ")]
	}
	s.state, s.seen = scanFields, true
	return true
}

func (s *headScanner) fieldLine(line []byte) bool {
	if isFolded(line) {
		return false
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return false
	}
	value = bytes.Trim(value, " \t")
	is := func(s string) bool { return strings.EqualFold(string(name), s) }
	h := &s.head
	switch {
	case is("Host"):
		return h.authority == "" || strings.EqualFold(h.authority, string(value))
	case is("Content-Length"):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || h.sized {
			return false
		}
		h.length, h.sized = int64(n), true
	case is("Transfer-Encoding"):
		if h.chunked || !strings.EqualFold(string(value), "chunked") {
			return false
		}
		h.chunked = true
	case is("Upgrade"):
		h.upgrade = h.upgrade || HasToken([]string{string(value)}, "websocket")
	case is("Connection"):
		h.connectionUp = h.connectionUp || HasToken([]string{string(value)}, "upgrade")
	}
	return true
}

// endHead decides what follows the header (RFC 9112 §6.3).
func (s *headScanner) endHead() bool {
	h := &s.head
	switch {
	case h.chunked && (h.sized || !h.http11):
		return false
	case h.get && h.upgrade && h.connectionUp:
		// upgrade.Requested says the same: no further request follows.
		s.state = scanOpaque
	case h.chunked:
		s.state = scanChunkSize
	case h.length > 0:
		s.state, s.left = scanBody, h.length
	default:
		s.state = scanRequest
	}
	return true
}

func (s *headScanner) chunkSize(line []byte) bool {
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.Trim(size, " \t")), 16, 63)
	if err != nil {
		return false
	}
	if s.state, s.left = scanChunk, int64(n); n == 0 {
		s.state = scanTrailer
	}
	return true
}
