package upgrade

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/wsresilience/wsresilience/internal/httpguard"
)

// Implementation limits on Sec-WebSocket-Extensions. No client known offers
// more than three extensions or four parameters.
const (
	maxExtensions = 32
	maxParams     = 16
)

// permessageDeflate is the name of the one extension that we know, RFC 7692.
const permessageDeflate = "permessage-deflate"

// An extension is one element of Sec-WebSocket-Extensions, RFC 6455 §9.1.
type extension struct {
	Name   string
	Params []extensionParam
}

type extensionParam struct {
	Name  string
	Value string // unquoted
	Bare  bool   // no "=" at all
}

var errExtensionSyntax = errors.New("upgrade: Sec-WebSocket-Extensions does not parse")

// parseExtensions reads the lines of the header in one pass. Empty list
// elements are legal (RFC 9110 §5.6.1.2).
func parseExtensions(lines []string) ([]extension, error) {
	var list []extension
	for _, line := range lines {
		p := extensionParser{rest: line}
		for p.skipSpace(); p.rest != ""; p.skipSpace() {
			if p.take(',') {
				continue
			}
			e, ok := p.element()
			if !ok || len(list) == maxExtensions {
				return nil, errExtensionSyntax
			}
			list = append(list, e)
		}
	}
	return list, nil
}

// An extensionParser consumes a header value from its front.
type extensionParser struct{ rest string }

func (p *extensionParser) skipSpace() { p.rest = strings.TrimLeft(p.rest, " \t") }

// take consumes c and the space around it.
func (p *extensionParser) take(c byte) bool {
	p.skipSpace()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	p.skipSpace()
	return true
}

func (p *extensionParser) token() (string, bool) {
	n := 0
	for n < len(p.rest) && httpguard.IsTokenByte(p.rest[n]) {
		n++
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t, n > 0
}

// element reads an extension up to the comma or the end.
func (p *extensionParser) element() (e extension, ok bool) {
	if e.Name, ok = p.token(); !ok {
		return e, false
	}
	for p.take(';') {
		param, ok := p.param()
		if !ok || len(e.Params) == maxParams {
			return e, false
		}
		e.Params = append(e.Params, param)
	}
	return e, p.rest == "" || p.rest[0] == ','
}

func (p *extensionParser) param() (x extensionParam, ok bool) {
	if x.Name, ok = p.token(); !ok {
		return x, false
	}
	if !p.take('=') {
		x.Bare = true
		return x, true
	}
	if p.rest != "" && p.rest[0] == '"' {
		x.Value, ok = p.quoted()
	} else {
		x.Value, ok = p.token()
	}
	return x, ok
}

// quoted reads a quoted-string; "the value after quoted-string unescaping
// MUST conform to the 'token' ABNF" (RFC 6455 §9.1).
func (p *extensionParser) quoted() (string, bool) {
	var value []byte
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == '"' {
			p.rest = p.rest[i+1:]
			return string(value), len(value) > 0
		}
		if c == '\\' && i+1 < len(p.rest) {
			i++
			c = p.rest[i]
		}
		if !httpguard.IsTokenByte(c) {
			return "", false
		}
		value = append(value, c)
	}
	return "", false
}

// DeflateParams are the parameters of permessage-deflate, in an offer or in
// an answer to one (RFC 7692 §7.1).
type DeflateParams struct {
	ServerNoTakeover bool
	ClientNoTakeover bool
	ServerBits       int // 8 to 15, 0 if not named
	ClientBits       int // likewise; an offer without a value counts as 15
}

// Window bits, RFC 7692 §7.1.2.
const (
	minWindowBits = 8
	maxWindowBits = 15
)

// parse reads the parameters of e. It reports false for an unknown or doubled
// parameter or a value that is not legal: such an offer is declined and such
// an answer fails the handshake (RFC 7692 §7).
func (d *DeflateParams) parse(e extension, answer bool) bool {
	*d = DeflateParams{}
	for _, p := range e.Params {
		flag, bits := (*bool)(nil), (*int)(nil)
		switch p.Name {
		case "server_no_context_takeover":
			flag = &d.ServerNoTakeover
		case "client_no_context_takeover":
			flag = &d.ClientNoTakeover
		case "server_max_window_bits":
			bits = &d.ServerBits
		case "client_max_window_bits":
			bits = &d.ClientBits
		default:
			return false
		}
		if flag != nil {
			if *flag || !p.Bare {
				return false
			}
			*flag = true
			continue
		}
		if *bits != 0 {
			return false
		}
		if p.Bare && bits == &d.ClientBits && !answer {
			*bits = maxWindowBits
			continue
		}
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < minWindowBits || n > maxWindowBits || p.Value != strconv.Itoa(n) {
			return false
		}
		*bits = n
	}
	return true
}

// offer returns d as an element of the header. Offering 15 bits and offering
// no number mean the same; the shorter form is what browsers send.
func (d DeflateParams) offer() string { return d.element(true) }

// answer returns d likewise, where a number is always needed.
func (d DeflateParams) answer() string { return d.element(false) }

func (d DeflateParams) element(offer bool) string {
	var b strings.Builder
	b.WriteString(permessageDeflate)
	if d.ServerNoTakeover {
		b.WriteString("; server_no_context_takeover")
	}
	if d.ClientNoTakeover {
		b.WriteString("; client_no_context_takeover")
	}
	if d.ServerBits != 0 {
		fmt.Fprintf(&b, "; server_max_window_bits=%d", d.ServerBits)
	}
	switch {
	case d.ClientBits == maxWindowBits && offer:
		b.WriteString("; client_max_window_bits")
	case d.ClientBits != 0:
		fmt.Fprintf(&b, "; client_max_window_bits=%d", d.ClientBits)
	}
	return b.String()
}

// deflateOffers returns the legal offers of permessage-deflate, in the
// client's order. A header that does not parse offers nothing: an endpoint
// that ignores extensions would have ignored it too (I10).
func deflateOffers(lines []string) []DeflateParams {
	list, err := parseExtensions(lines)
	if err != nil {
		return nil
	}
	var offers []DeflateParams
	for _, e := range list {
		var d DeflateParams
		if e.Name == permessageDeflate && d.parse(e, false) {
			offers = append(offers, d)
		}
	}
	return offers
}

// withoutTakeover is what the app is offered for a resilient client
// (PROTOCOL §2.4): the client's window bits, and no context takeover either
// way, so that every message can be replayed on its own.
func withoutTakeover(offers []DeflateParams) []DeflateParams {
	out := make([]DeflateParams, len(offers))
	for i, d := range offers {
		d.ServerNoTakeover, d.ClientNoTakeover = true, true
		out[i] = d
	}
	return out
}

// extensionHeader joins offers to a header value.
func extensionHeader(offers []DeflateParams) string {
	elements := make([]string, len(offers))
	for i, d := range offers {
		elements[i] = d.offer()
	}
	return strings.Join(elements, ", ")
}

// permits reports whether answer is legal for the offer d.
func (d DeflateParams) permits(answer DeflateParams) bool {
	switch {
	case d.ServerNoTakeover && !answer.ServerNoTakeover: // RFC 7692 §7.1.1.1
		return false
	case d.ServerBits != 0 && (answer.ServerBits == 0 || answer.ServerBits > d.ServerBits): // §7.1.2.1
		return false
	case d.ClientBits == 0 && answer.ClientBits != 0: // §7.1.2.2
		return false
	}
	return true
}

// AnswerFor returns what to answer a resilient client whose app's socket
// compresses by d, or false if no offer of the client can read or write what
// the app does: that connection then goes without compression. It holds for a
// resume as well, where the client's offers are new and d is old.
func (d DeflateParams) AnswerFor(offers []DeflateParams) (string, bool) {
	d.ServerNoTakeover, d.ClientNoTakeover = true, true
	for _, o := range offers {
		if !o.permits(d) {
			continue
		}
		if o.ServerBits == 0 {
			// The client is prepared for 15 bits and did not ask for a
			// number; some clients fail on one.
			d.ServerBits = 0
		}
		return d.answer(), true
	}
	return "", false
}

// checkExtensions judges the app's answer against what it was offered
// (RFC 6455 §4.1 item 5, RFC 7692 §7.1), and returns the parameters of
// permessage-deflate, or nil if that was not chosen.
func checkExtensions(offered, answered []string) (*DeflateParams, error) {
	answers, err := parseExtensions(answered)
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, nil
	}
	offers, err := parseExtensions(offered)
	if err != nil {
		return nil, fmt.Errorf("upgrade: app chose an extension from an offer that does not parse: %w", err)
	}
	names := make(map[string]bool, len(offers))
	for _, o := range offers {
		names[o.Name] = true
	}
	var deflate *DeflateParams
	for _, a := range answers {
		if !names[a.Name] {
			return nil, fmt.Errorf("upgrade: app chose extension %q: it was not offered", a.Name)
		}
		names[a.Name] = false // a second time is one too many
		if a.Name == permessageDeflate {
			if deflate, err = checkDeflate(offered, a); err != nil {
				return nil, err
			}
		}
	}
	return deflate, nil
}

func checkDeflate(offered []string, answer extension) (*DeflateParams, error) {
	var d DeflateParams
	if !d.parse(answer, true) {
		return nil, fmt.Errorf("upgrade: app answered %s with parameters that are not legal", permessageDeflate)
	}
	for _, o := range deflateOffers(offered) {
		if o.permits(d) {
			return &d, nil
		}
	}
	return nil, fmt.Errorf("upgrade: app answered %q: no offer permits that", d.answer())
}
