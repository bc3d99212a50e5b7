package profile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Said is one text message of a recorded session.
type Said struct {
	At   time.Duration
	Conn int  // which of the session's connections, from 0
	Up   bool // the client said it
	Text string
}

// answerWithin is how long after a message its answer is looked for.
const answerWithin = 30 * time.Second

// Record makes a profile of a recorded session: what the client said becomes
// templates, in which the numbers that came back are {{id}} or {{n}}, and what
// else varied is drawn by chance. It is a first draft: what means what only its
// reader knows.
func Record(list []Said) (*Profile, error) {
	kinds := kindsOf(list)
	if len(kinds) == 0 {
		return nil, fmt.Errorf("no text message of the client was recorded")
	}
	p := &Profile{Name: "recorded"}
	answered := false
	for _, k := range kinds {
		k.findAnswer(list)
		answered = answered || k.answer != nil
	}
	for _, k := range kinds {
		if answered && k.answer == nil && k.opens(list, kinds) {
			p.Hello = append(p.Hello, k.template())
			continue
		}
		p.Messages = append(p.Messages, Message{
			Name: k.name, Weight: float64(len(k.messages)), Send: k.template(), Answer: k.answer, Silent: k.answer == nil,
		})
	}
	p.Think = Duration(pace(list))
	return p, p.settle()
}

// A kind is what looks alike of the client's messages.
type kind struct {
	name     string
	messages []recorded
	answer   *Match
	key      string // pointer of what comes back; "": nothing does
}

// recorded is a message with its place in the recording.
type recorded struct {
	at      int
	text    string
	scalars []scalar
}

// kindsOf sorts the client's messages, in the order in which they first came.
func kindsOf(list []Said) []*kind {
	byShape := map[string]*kind{}
	var order []*kind
	for i, s := range list {
		if !s.Up {
			continue
		}
		m := recorded{i, s.Text, scalarsOf(s.Text)}
		shape, name := m.shape()
		k := byShape[shape]
		if k == nil {
			k = &kind{name: name}
			if name == "" {
				k.name = fmt.Sprint("message ", len(order)+1)
			}
			byShape[shape] = k
			order = append(order, k)
		}
		k.messages = append(k.messages, m)
	}
	return order
}

// discriminators are members whose value says what a message is.
var discriminators = []string{"/type", "/op", "/event", "/action", "/method", "/command", "/kind", "/t"}

// shape is the same for messages of a kind; name is what says which it is.
func (m *recorded) shape() (shape, name string) {
	if len(m.scalars) == 0 {
		return m.text, "" // text is one of its kind, unless it is repeated
	}
	var parts []string
	for _, s := range m.scalars {
		part := s.pointer + ":" + s.form()
		if slices.Contains(discriminators, s.pointer) {
			part += "=" + s.value
			name = s.value
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " "), name
}

// findAnswer looks for a value of each message that comes back in an answer, and
// differs from one message of the kind to the next.
func (k *kind) findAnswer(list []Said) {
	votes := map[[2]string]int{} // from pointer, to pointer
	for _, m := range k.messages {
		seen := map[[2]string]bool{}
		for _, s := range m.scalars {
			if !k.mayBeKey(&s) {
				continue
			}
			for _, later := range list[m.at+1:] {
				if later.Conn != list[m.at].Conn || later.At-list[m.at].At > answerWithin {
					continue
				}
				if later.Up {
					continue
				}
				for _, back := range scalarsOf(later.Text) {
					if back.value == s.value && back.form() == s.form() {
						seen[[2]string{s.pointer, back.pointer}] = true
					}
				}
			}
		}
		for pair := range seen {
			votes[pair]++
		}
	}
	best, most := [2]string{}, 0
	for _, pair := range slices.SortedFunc(maps.Keys(votes), comparePairs) {
		if votes[pair] > most {
			best, most = pair, votes[pair]
		}
	}
	// Half of them: others may have been cut off, or were the last.
	if most*2 >= len(k.messages) && most > 0 {
		k.key, k.answer = best[0], &Match{Pointer: best[1]}
	}
}

// idNames are members that are likely to be numbers of messages.
var idNames = []string{"id", "ref", "seq", "n", "nonce", "requestId", "request_id", "correlationId"}

// idRank is the lower, the likelier a member is a number of messages.
func idRank(pointer string) int {
	at := slices.Index(idNames, pointer[strings.LastIndexByte(pointer, '/')+1:])
	if at < 0 {
		return len(idNames)
	}
	return at
}

// mayBeKey reports whether a value can be what tells a message from the others of
// its kind. Of a single message only the name can say so.
func (k *kind) mayBeKey(s *scalar) bool {
	switch {
	case s.form() == "other" || slices.Contains(discriminators, s.pointer):
		return false
	case len(k.messages) == 1:
		return idRank(s.pointer) < len(idNames)
	}
	return k.varies(s.pointer)
}

// comparePairs puts likely numbers first, so that of equal votes they win.
func comparePairs(a, b [2]string) int {
	rank := func(pair [2]string) int { return idRank(pair[0]) }
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// varies reports whether no two messages have the same value there.
func (k *kind) varies(pointer string) bool {
	seen := map[string]bool{}
	for _, m := range k.messages {
		for _, s := range m.scalars {
			if s.pointer != pointer {
				continue
			}
			if seen[s.value] {
				return false
			}
			seen[s.value] = true
		}
	}
	return true
}

// opens reports whether a kind comes once on each connection, before any that is
// answered.
func (k *kind) opens(list []Said, kinds []*kind) bool {
	first := map[int]int{} // of each connection, the first message that is answered
	for _, o := range kinds {
		for _, m := range o.messages {
			conn := list[m.at].Conn
			if at, ok := first[conn]; o.answer != nil && (!ok || m.at < at) {
				first[conn] = m.at
			}
		}
	}
	conns := map[int]bool{}
	for _, m := range k.messages {
		conn := list[m.at].Conn
		at, ok := first[conn]
		if conns[conn] || ok && m.at > at {
			return false
		}
		conns[conn] = true
	}
	return true
}

// template is the kind's first message, with fields where it varies.
func (k *kind) template() Template {
	first := k.messages[0]
	var b strings.Builder
	last := 0
	for _, s := range first.scalars {
		field := k.field(s)
		if field == "" {
			continue
		}
		b.WriteString(first.text[last:s.from])
		b.WriteString(field)
		last = s.to
	}
	b.WriteString(first.text[last:])
	return Template(b.String())
}

// field is what a template has in the place of a value; "": the value.
func (k *kind) field(s scalar) string {
	if s.pointer == k.key {
		if s.form() == "string" {
			return `"{{id}}"`
		}
		return "{{n}}"
	}
	low, high, length, different := 0, 0, 0, false
	for i, m := range k.messages {
		for _, o := range m.scalars {
			if o.pointer != s.pointer {
				continue
			}
			different = different || o.value != s.value
			length = max(length, len(o.value))
			n, err := strconv.Atoi(o.value)
			if o.form() == "number" && err != nil {
				return "" // no whole number
			}
			if i == 0 {
				low, high = n, n
			}
			low, high = min(low, n), max(high, n)
		}
	}
	switch {
	case !different || s.form() == "other":
		return ""
	case s.form() == "number":
		return fmt.Sprintf("{{random %d %d}}", low, high)
	}
	return fmt.Sprintf(`"{{text %d}}"`, min(length, maxText))
}

// pace is the mean time between two messages of the client on a connection.
func pace(list []Said) time.Duration {
	last := map[int]time.Duration{}
	var sum time.Duration
	n := 0
	for _, s := range list {
		if !s.Up {
			continue
		}
		if before, ok := last[s.Conn]; ok {
			sum += s.At - before
			n++
		}
		last[s.Conn] = s.At
	}
	if n == 0 {
		return time.Duration(DefaultThink)
	}
	return max(sum/time.Duration(n), 10*time.Millisecond).Round(time.Millisecond)
}
