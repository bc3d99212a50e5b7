package graphql

import "strings"

// isSubscription reports whether executing a GraphQL document would begin a
// subscription, as far as its text says: the operation of that name, or the
// only one. It looks at what stands outside of all brackets, strings and
// comments (GraphQL §2.1), and takes a document that it does not understand
// for something else.
func isSubscription(document, operationName string) bool {
	d := definitions{text: document}
	operations, subscriptions := 0, 0
	for {
		kind, name, ok := d.next()
		if !ok {
			break
		}
		switch kind {
		case "fragment":
			continue
		case "query", "mutation", "subscription":
		default:
			return false
		}
		if operationName != "" && name != operationName {
			continue
		}
		operations++
		if kind == "subscription" {
			subscriptions++
		}
	}
	return operations == 1 && subscriptions == 1
}

// definitions walks over the definitions of a document.
type definitions struct {
	text string
	at   int
}

// next returns the keyword and the name of the next definition and passes over
// it. Without a keyword it is a query.
func (d *definitions) next() (kind, name string, ok bool) {
	switch d.space(); {
	case d.at >= len(d.text):
		return "", "", false
	case d.text[d.at] == '{':
		return "query", "", d.body()
	}
	kind = d.word()
	d.space()
	name = d.word()
	if kind == "" || !d.body() {
		return "", "", kind != "" // an unfinished definition ends the walk at the next call
	}
	return kind, name, true
}

// word takes a name, or nothing.
func (d *definitions) word() string {
	from := d.at
	for d.at < len(d.text) {
		c := d.text[d.at]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		d.at++
	}
	return d.text[from:d.at]
}

// space passes over what means nothing: white space, commas, a byte order
// mark, comments.
func (d *definitions) space() {
	for d.at < len(d.text) {
		switch c := d.text[d.at]; {
		case strings.IndexByte(" \t\r\n,\uFEFF", c) >= 0:
			d.at++
		case c == '#':
			d.comment()
		default:
			return
		}
	}
}

// comment passes over the rest of a line.
func (d *definitions) comment() {
	for d.at < len(d.text) && d.text[d.at] != '\n' && d.text[d.at] != '\r' {
		d.at++
	}
}

// body passes over the rest of a definition, which ends with the brace that
// closes its selection: variables and directives stand before that, and may
// have braces inside of their parentheses.
func (d *definitions) body() bool {
	for depth := 0; d.at < len(d.text); {
		switch d.text[d.at] {
		case '#':
			d.comment()
		case '"':
			d.quoted()
		case '{', '(', '[':
			depth++
			d.at++
		case '}', ')', ']':
			depth--
			d.at++
			if depth < 0 {
				return false
			}
			if depth == 0 && d.text[d.at-1] == '}' {
				return true
			}
		default:
			d.at++
		}
	}
	return false
}

// quoted passes over a string or a block string.
func (d *definitions) quoted() {
	const block = `"""`
	if strings.HasPrefix(d.text[d.at:], block) {
		for d.at += len(block); d.at < len(d.text) && !strings.HasPrefix(d.text[d.at:], block); d.at++ {
			if strings.HasPrefix(d.text[d.at:], `\`+block) {
				d.at += len(block)
			}
		}
		d.at = min(d.at+len(block), len(d.text))
		return
	}
	for d.at++; d.at < len(d.text) && d.text[d.at] != '"' && d.text[d.at] != '\n'; d.at++ {
		if d.text[d.at] == '\\' {
			d.at++
		}
	}
	d.at = min(d.at+1, len(d.text))
}
