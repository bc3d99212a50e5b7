// Package http1 knows where the messages of an HTTP/1 connection begin and end
// (RFC 9112), and nothing else: what stands between is bytes, which whoever
// forwards a message passes on as they came. It does no I/O and copies nothing.
//
// Requests are read strictly: whatever two servers could read as two different
// requests is an error. Answers are read as clients read them, since clients
// read them without us too; an answer whose end is doubtful is an error as well.
package http1

import (
	"bytes"
	"strconv"
)

// Implementation limits.
const (
	// maxBlankLines bounds the empty lines in front of a request (RFC 9112
	// §2.2). Old clients sent one behind a body.
	maxBlankLines = 4

	// maxFields bounds the header lines of a request.
	maxFields = 256
)

// An Error says what is wrong with a message. Of a request, Status is its
// answer.
type Error struct {
	Status int
	Reason string // none of the message's bytes
}

func (e *Error) Error() string { return "http1: " + e.Reason }

func bad(reason string) *Error { return &Error{400, reason} }

// A Scanner finds the end of a head, or of a trailer section, while its bytes
// come. The zero value is for a request's head.
type Scanner struct {
	// Section is set for a trailer section, whose first line may be the empty
	// one.
	Section bool
	// Lenient is set for what an app sends: a line may end in LF alone.
	Lenient bool

	at    int  // bytes that were looked at
	line  int  // of the line that is under way: bytes without its end
	blank int  // empty lines in front
	cr    bool // the byte before was CR
	begun bool // a byte came that belongs to no empty line
}

// Begun reports whether more than empty lines came.
func (s *Scanner) Begun() bool { return s.begun }

// Next looks at p, which is all that came so far, and returns where the head
// ends in it, or 0 if it does not yet. A violation is reported as soon as it is
// there.
func (s *Scanner) Next(p []byte) (end int, err error) {
	for ; s.at < len(p); s.at++ {
		switch c := p[s.at]; {
		case c == '\n':
			if !s.cr && !s.Lenient {
				return 0, bad("a line ends in LF alone")
			}
			s.cr = false
			if s.line > 0 {
				s.line = 0
				continue
			}
			if s.begun || s.Section {
				s.at++
				return s.at, nil
			}
			if s.blank++; s.blank > maxBlankLines {
				return 0, bad("empty lines in place of a request")
			}
		case s.cr:
			return 0, bad("a CR without LF")
		case c == '\r':
			s.cr = true
		case c < ' ' && c != '\t' || c == 0x7f:
			return 0, bad("a control character")
		default:
			s.line++
			s.begun = true
		}
	}
	return 0, nil
}

// A Field is one header line.
type Field struct {
	Line  []byte // with its end
	Name  []byte
	Value []byte // without the space around it
}

// Is reports whether the field has a name, which is given in small letters.
func (f *Field) Is(name string) bool { return equalFold(f.Name, name) }

// equalFold compares ASCII texts; s has small letters.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != s[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// Fields are a message's, in their order.
type Fields []Field

// Has reports whether a list field has an element, in small letters.
func (f Fields) Has(name, element string) bool {
	for i := range f {
		if f[i].Is(name) && HasElement(f[i].Value, element) {
			return true
		}
	}
	return false
}

// Count returns how many lines have the name, in small letters.
func (f Fields) Count(name string) (n int) {
	for i := range f {
		if f[i].Is(name) {
			n++
		}
	}
	return n
}

// HasElement reports whether a list has an element, in small letters.
func HasElement(list []byte, element string) bool {
	for len(list) > 0 {
		var e []byte
		e, list, _ = bytes.Cut(list, []byte(","))
		if equalFold(trim(e), element) {
			return true
		}
	}
	return false
}

// Elements calls each with the elements of a list that are not empty.
func Elements(list []byte, each func(element []byte)) {
	for len(list) > 0 {
		var e []byte
		e, list, _ = bytes.Cut(list, []byte(","))
		if e = trim(e); len(e) > 0 {
			each(e)
		}
	}
}

func trim(b []byte) []byte { return bytes.Trim(b, " \t") }

// nextLine cuts a line off and returns it without and with its end.
func nextLine(p []byte) (line, whole, rest []byte) {
	n := bytes.IndexByte(p, '\n') + 1
	whole, rest = p[:n], p[n:]
	return bytes.TrimSuffix(whole[:n-1], []byte("\r")), whole, rest
}

// readFields reads header lines up to the empty one.
func (f Fields) readFields(p []byte, strict bool) (Fields, error) {
	for {
		line, whole, rest := nextLine(p)
		if len(line) == 0 {
			return f, nil
		}
		p = rest
		if line[0] == ' ' || line[0] == '\t' {
			if strict || len(f) == 0 || isFraming(f[len(f)-1].Name) {
				return nil, bad("a folded line")
			}
			last := &f[len(f)-1]
			last.Line = last.Line[:len(last.Line)+len(whole)] // they lie one behind the other
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		switch {
		case !ok:
			return nil, bad("a header line without a colon")
		case strict && !isToken(name), len(name) == 0:
			return nil, bad("a header line without a name")
		case !strict && isFraming(trim(name)) && !isToken(name):
			return nil, bad("a space before a colon")
		case strict && len(f) == maxFields:
			return nil, &Error{431, "too many header fields"}
		}
		f = append(f, Field{Line: whole, Name: name, Value: trim(value)})
	}
}

// isFraming reports whether a field says where a message ends.
func isFraming(name []byte) bool {
	return equalFold(name, "content-length") || equalFold(name, "transfer-encoding")
}

// isToken reports whether b is a token (RFC 9110 §5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

var tokenBytes = byteSet("!#$%&'*+-.^_`|~")

// hostBytes are what a Host may be made of (RFC 3986 §3.2.2, without user
// information).
var hostBytes = byteSet("!$%&'()*+,-.:;=[]_~")

// byteSet is letters, digits and more.
func byteSet(more string) (set [256]bool) {
	for c := range 256 {
		b := byte(c)
		set[c] = lower(b) >= 'a' && lower(b) <= 'z' || b >= '0' && b <= '9'
	}
	for i := range len(more) {
		set[more[i]] = true
	}
	return set
}

// A Request is the head of a request, as it came.
type Request struct {
	Head   []byte // all of it, from the empty lines in front to the one that ends it
	Line   []byte // the first line with its end, and the empty lines before it
	Method []byte
	Target []byte
	Minor  int // of the version: HTTP/1.0 or HTTP/1.1
	Host   []byte
	Fields Fields
	Body   Body
}

// Preface reports whether the head is the one that every HTTP/2 connection
// begins with (RFC 9113 §3.4).
func Preface(head []byte) bool { return string(head) == "PRI * HTTP/2.0\r\n\r\n" }

// Parse reads a head that a Scanner has found. It keeps the memory of the
// fields that it read before.
func (r *Request) Parse(head []byte) error {
	fields := r.Fields[:0]
	*r = Request{Head: head, Fields: fields}
	line, whole, rest := nextLine(head)
	n := len(whole)
	for len(line) == 0 { // Scanner has bounded them, and seen another one
		line, whole, rest = nextLine(rest)
		n += len(whole)
	}
	r.Line = head[:n]
	if err := r.parseLine(line); err != nil {
		return err
	}
	var err error
	if r.Fields, err = fields.readFields(rest, true); err != nil {
		return err
	}
	return r.parseFields()
}

// parseLine reads the request line (RFC 9112 §3).
func (r *Request) parseLine(line []byte) error {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	switch {
	case !ok || !ok2 || !isToken(method) || len(target) == 0 || bytes.IndexByte(target, '\t') >= 0:
		return bad("the request line is malformed")
	case string(version) == "HTTP/1.1":
		r.Minor = 1
	case string(version) == "HTTP/1.0":
	case len(version) == 8 && bytes.HasPrefix(version, []byte("HTTP/")) && version[6] == '.' && isDigit(version[5]) && isDigit(version[7]):
		return &Error{505, "another version of HTTP"}
	default:
		return bad("the version of HTTP is malformed")
	}
	r.Method, r.Target = method, target
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseFields reads what the fields say of the message's end (RFC 9112 §6.3),
// and of its place (§3.2).
func (r *Request) parseFields() error {
	hosts, chunked, sized := 0, false, false
	var length int64
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Is("host"):
			r.Host = f.Value
			hosts++
		case f.Is("content-length"):
			n, ok := parseLength(f.Value)
			if !ok || sized {
				return bad("Content-Length is malformed or repeated")
			}
			length, sized = n, true
		case f.Is("transfer-encoding"):
			if chunked || !equalFold(f.Value, "chunked") {
				return bad("Transfer-Encoding is other than chunked")
			}
			chunked = true
		}
	}
	switch {
	case hosts > 1 || hosts == 0 && r.Minor > 0:
		return bad("Host is missing or repeated")
	case !isHost(r.Host):
		return bad("Host is malformed")
	case chunked && (sized || r.Minor == 0):
		return bad("the body is framed twice, or in chunks in HTTP/1.0")
	case hosts == 1 && !r.agrees():
		return bad("the target and Host differ")
	case chunked:
		r.Body = Body{kind: chunks}
	default:
		r.Body = Body{kind: sized64, left: length}
	}
	return nil
}

func parseLength(b []byte) (int64, bool) {
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(b), 10, 63)
	return int64(n), err == nil
}

// IsHost reports whether a Host is one that all servers read alike, or empty.
func IsHost(host string) bool { return isHost([]byte(host)) }

func isHost(b []byte) bool {
	for _, c := range b {
		if !hostBytes[c] {
			return false
		}
	}
	return true
}

// agrees reports whether an absolute-form target names the Host (RFC 9112
// §3.2.2): servers differ in which of the two they look at.
func (r *Request) agrees() bool {
	if r.Target[0] == '/' {
		return true
	}
	_, rest, ok := bytes.Cut(r.Target, []byte("://"))
	if !ok {
		return true
	}
	if n := bytes.IndexAny(rest, "/?#"); n >= 0 {
		rest = rest[:n]
	}
	return bytes.EqualFold(rest, r.Host)
}

// Path is the target without its query; of the absolute form, the part behind
// the authority.
func (r *Request) Path() string {
	path, _, _ := bytes.Cut(r.Target, []byte("?"))
	if len(path) > 0 && path[0] != '/' {
		if _, rest, ok := bytes.Cut(path, []byte("://")); ok {
			if n := bytes.IndexByte(rest, '/'); n >= 0 {
				return string(rest[n:])
			}
			return "/"
		}
	}
	return string(path)
}

// Closes reports whether the client says that this is its last request (RFC
// 9112 §9.3).
func (r *Request) Closes() bool {
	return r.Fields.Has("connection", "close") || r.Minor == 0 && !r.Fields.Has("connection", "keep-alive")
}

// A Response is the head of an answer, as it came.
type Response struct {
	Head   []byte
	Line   []byte // with its end
	Minor  int
	Status int
	Fields Fields
	// Overridden is set where Content-Length stands beside Transfer-Encoding:
	// whoever passes the answer on must leave it out (RFC 9112 §6.3).
	Overridden bool

	chunked, sized, coded bool
	length                int64
}

// Parse reads a head that a lenient Scanner has found. It keeps the memory of
// the fields that it read before.
func (r *Response) Parse(head []byte) error {
	fields := r.Fields[:0]
	*r = Response{Head: head, Fields: fields}
	line, whole, rest := nextLine(head)
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || !isDigit(line[7]) || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return bad("malformed status line")
	}
	for _, c := range line[9:12] {
		if !isDigit(c) {
			return bad("malformed status line")
		}
		r.Status = r.Status*10 + int(c-'0')
	}
	if r.Status < 100 {
		return bad("malformed status line")
	}
	r.Line, r.Minor = whole, int(line[7]-'0')
	var err error
	if r.Fields, err = fields.readFields(rest, false); err != nil {
		return err
	}
	return r.parseFields()
}

func (r *Response) parseFields() error {
	final := []byte(nil) // transfer coding
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case f.Is("content-length"):
			n, ok := parseLength(f.Value)
			if !ok || r.sized && n != r.length {
				return bad("bad Content-Length")
			}
			r.length, r.sized = n, true
		case f.Is("transfer-encoding"):
			r.coded = true
			Elements(f.Value, func(e []byte) {
				if equalFold(final, "chunked") {
					r.chunked = true // and something behind it
				}
				final = e
			})
		}
	}
	if r.coded && r.chunked {
		return bad("Transfer-Encoding has chunked before another coding")
	}
	r.chunked = equalFold(final, "chunked")
	r.Overridden = r.coded && r.sized
	return nil
}

// Framed returns how the body of the answer to a request with that method ends
// (RFC 9112 §6.3).
func (r *Response) Framed(method string) Body {
	switch {
	case method == "HEAD", r.Status < 200, r.Status == 204, r.Status == 304:
		return Body{kind: sized64}
	case r.chunked && r.Minor > 0:
		return Body{kind: chunks, lenient: true}
	case r.sized && !r.coded:
		return Body{kind: sized64, left: r.length}
	}
	return Body{kind: untilClose}
}

// Closes reports whether the app says that this is its last answer (RFC 9112
// §9.3).
func (r *Response) Closes() bool {
	return r.Fields.Has("connection", "close") || r.Minor == 0 && !r.Fields.Has("connection", "keep-alive")
}

// ParseSection reads a trailer section that a Scanner has found.
func ParseSection(section []byte, strict bool) (Fields, error) {
	return Fields(nil).readFields(section, strict)
}
