package profile

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Template is a text with fields:
//
//	{{id}}            the message's name, unique in the run
//	{{n}}             its number, from 0 for each client
//	{{client}}        the client's number, unique in the run
//	{{token}}         what the login gave
//	{{time}}          now, in ms since 1970
//	{{random 1 100}}  a number from 1 to 100
//	{{text 32}}       so many random letters
//	{{pick a|b|c}}    one of them
type Template string

// Fields are what fields stand for.
type Fields struct {
	Client, N int
	Token     string
	Now       time.Time
	Random    *rand.Rand
}

// maxText bounds {{text N}}.
const maxText = 1 << 20

// Check reports a field that means nothing.
func (t Template) Check() error {
	return t.walk(func(string) {}, func(field string) error {
		_, err := (&Fields{Random: rand.New(rand.NewPCG(1, 1))}).value(field)
		return err
	})
}

// Expand fills the fields in. The template was checked.
func (t Template) Expand(f *Fields) string {
	var b strings.Builder
	_ = t.walk(func(s string) { b.WriteString(s) }, func(field string) error {
		v, err := f.value(field)
		b.WriteString(v)
		return err
	})
	return b.String()
}

func (t Template) walk(text func(string), field func(string) error) error {
	rest := string(t)
	for {
		before, after, found := strings.Cut(rest, "{{")
		text(before)
		if !found {
			return nil
		}
		name, behind, closed := strings.Cut(after, "}}")
		if !closed {
			return fmt.Errorf("template %q: {{ without }}", string(t))
		}
		if err := field(strings.TrimSpace(name)); err != nil {
			return fmt.Errorf("template %q: %w", string(t), err)
		}
		rest = behind
	}
}

func (f *Fields) value(field string) (string, error) {
	name, args, _ := strings.Cut(field, " ")
	args = strings.TrimSpace(args)
	switch name {
	case "id":
		return Key(f.Client, f.N), nil
	case "n":
		return strconv.Itoa(f.N), nil
	case "client":
		return strconv.Itoa(f.Client), nil
	case "token":
		return f.Token, nil
	case "time":
		return strconv.FormatInt(f.Now.UnixMilli(), 10), nil
	case "random":
		var from, to int
		if n, err := fmt.Sscanf(args, "%d %d", &from, &to); n != 2 || err != nil || to < from {
			return "", fmt.Errorf("{{%s}}: want {{random FROM TO}}", field)
		}
		return strconv.Itoa(from + f.Random.IntN(to-from+1)), nil
	case "text":
		n, err := strconv.Atoi(args)
		if err != nil || n < 0 || n > maxText {
			return "", fmt.Errorf("{{%s}}: want {{text LENGTH}}, at most %d", field, maxText)
		}
		return letters(f.Random, n), nil
	case "pick":
		list := strings.Split(args, "|")
		return list[f.Random.IntN(len(list))], nil
	}
	return "", fmt.Errorf("{{%s}}: allowed are id, n, client, token, time, random FROM TO, text LENGTH, pick A|B", field)
}

func letters(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}
