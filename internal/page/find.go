package page

import (
	"bytes"
	"strings"
)

// Implementation limits on where a page's head may begin.
const (
	// maxLook bounds what is held back of a page until it is known where the tag
	// goes.
	maxLook = 64 << 10

	// maxLookCoded bounds the same as it comes, compressed: that may stand for
	// nothing, however long it is.
	maxLookCoded = 2 * maxLook

	// sniffed is where browsers look for a declaration of the character encoding
	// (HTML, "prescan a byte stream to determine its encoding").
	sniffed = 1024
)

// A place is what find has found.
type place uint8

const (
	placeMore  place = iota // the page has to go on first
	placeFound              // the tag goes there
	placeNone               // nowhere
)

// A finder knows what has to be known to find the tag's place in a page.
type finder struct {
	charset bool // the answer's head says the character encoding
	xml     bool // the page is XHTML
	length  int  // of the tag
}

// find returns where in a page the tag goes: behind what must stay first, and in
// front of every script. text is how the page begins; whole is set if that is all
// of it.
func (f finder) find(text []byte, whole bool) (at int, is place, why reason) {
	s := scanner{text: text, whole: whole}
	at, is = s.head(f.xml)
	if is == placeNone {
		if bytes.HasPrefix(text, []byte("\xfe\xff")) || bytes.HasPrefix(text, []byte("\xff\xfe")) {
			return 0, placeNone, leftEncoding
		}
		return 0, placeNone, leftNoPage
	}
	if is != placeFound || f.charset || bytes.HasPrefix(text, []byte(byteOrderMark)) {
		return at, is, ""
	}
	return f.besideCharset(&s, at)
}

// besideCharset moves the place so that a declaration of the character encoding
// stays where browsers look for it.
func (f finder) besideCharset(s *scanner, at int) (int, place, reason) {
	s.at = at
	script := false
	for s.at < sniffed {
		if !s.next('<') {
			break
		}
		name, more := s.name()
		switch {
		case more:
			return 0, placeMore, ""
		case name == "!--":
			if !s.past("-->") {
				return f.unlessWhole(s, at)
			}
			continue
		case name == "/head", name == "body":
			return at, placeFound, ""
		}
		begin := s.at
		if !s.pastTag() || isText[name] && !s.pastEnd(name) {
			return f.unlessWhole(s, at)
		}
		script = script || name == "script"
		if name != "meta" || !bytes.Contains(bytes.ToLower(s.text[begin:s.at]), []byte("charset")) {
			continue
		}
		switch {
		case s.at > sniffed || s.at+f.length <= sniffed:
			return at, placeFound, ""
		case script:
			return 0, placeNone, leftCharset
		}
		return s.at, placeFound, ""
	}
	if s.at >= sniffed || len(s.text) >= sniffed {
		return at, placeFound, ""
	}
	return f.unlessWhole(s, at)
}

// unlessWhole returns what there is to say when the text has ended.
func (f finder) unlessWhole(s *scanner, at int) (int, place, reason) {
	if s.whole || len(s.text) >= sniffed {
		return at, placeFound, ""
	}
	return 0, placeMore, ""
}

// isText are elements of a head whose content is no markup.
var isText = map[string]bool{"script": true, "style": true, "title": true}

// A scanner walks over the beginning of a page, as far as HTML lets anything
// stand in front of a head.
type scanner struct {
	text  []byte
	at    int
	whole bool
}

// byteOrderMark says that a page is UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// firsts are elements that begin a page which leaves out html and head.
var firsts = map[string]bool{
	"title": true, "meta": true, "script": true, "link": true, "style": true, "base": true,
	"body": true, "noscript": true, "frameset": true,
}

// head returns the place behind head's tag, or where head would be.
func (s *scanner) head(xml bool) (at int, is place) {
	switch {
	case !s.whole && len(s.text) < len(byteOrderMark) && strings.HasPrefix(byteOrderMark, string(s.text)):
		return 0, placeMore
	case bytes.HasPrefix(s.text, []byte(byteOrderMark)):
		s.at = len(byteOrderMark)
	}
	isPage := false // a doctype or html was there
	for {
		s.space()
		begin := s.at
		if s.at == len(s.text) {
			return s.end()
		}
		if s.text[s.at] != '<' {
			if isPage && !xml {
				return begin, placeFound
			}
			return 0, placeNone
		}
		s.at++
		name, more := s.name()
		switch {
		case more:
			return s.end()
		case name == "!--":
			if !s.past("-->") {
				return s.end()
			}
		case name == "!doctype", name == "html", name == "head":
			if !s.pastTag() {
				return s.end()
			}
			if name == "head" {
				return s.at, placeFound
			}
			isPage = true
		case name != "" && (name[0] == '!' || name[0] == '?'):
			if !s.past(">") {
				return s.end()
			}
		case !xml && name != "" && name[0] != '/' && (isPage || firsts[name]):
			return begin, placeFound
		default:
			return 0, placeNone
		}
	}
}

// end is the answer where the text has ended too early.
func (s *scanner) end() (int, place) {
	if s.whole {
		return 0, placeNone
	}
	return 0, placeMore
}

func (s *scanner) space() {
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// name reads what follows "<", in small letters: a tag's name with the slash of
// an end tag, "!--", or another name behind "!" or "?". more is set if it may be
// longer than the text.
func (s *scanner) name() (name string, more bool) {
	if bytes.HasPrefix(s.text[s.at:], []byte("!--")) {
		s.at += 3
		return "!--", false
	}
	begin := s.at
	for s.at < len(s.text) && s.at-begin < 16 {
		c := s.text[s.at]
		if isSpace(c) || c == '>' || c == '/' && s.at > begin {
			break
		}
		s.at++
	}
	return string(bytes.ToLower(s.text[begin:s.at])), s.at == len(s.text) && !s.whole
}

// next goes behind the next c, and reports whether there is one.
func (s *scanner) next(c byte) bool {
	n := bytes.IndexByte(s.text[s.at:], c)
	if n < 0 {
		s.at = len(s.text)
		return false
	}
	s.at += n + 1
	return true
}

// past goes behind the next end, and reports whether there is one.
func (s *scanner) past(end string) bool {
	n := bytes.Index(s.text[s.at:], []byte(end))
	if n < 0 {
		return false
	}
	s.at += n + len(end)
	return true
}

// pastEnd goes behind the name of an element's end tag, and reports whether it is
// there.
func (s *scanner) pastEnd(name string) bool {
	n := bytes.Index(bytes.ToLower(s.text[s.at:]), []byte("</"+name))
	if n < 0 {
		return false
	}
	s.at += n + len("</") + len(name)
	return true
}

// pastTag goes behind the end of a tag, whose attributes may hold ">" in quotes,
// and reports whether it is there.
func (s *scanner) pastTag() bool {
	quote, value := byte(0), false
	for i := s.at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			s.at = i + 1
			return true
		case value && (c == '"' || c == '\''):
			quote = c
			value = false
		case c == '=':
			value = true
		case !isSpace(c):
			value = false
		}
	}
	return false
}
