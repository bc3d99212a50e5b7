package match

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxSay bounds a message of a rule.
const MaxSay = 4 << 10

// keyMark stands in a message of a rule for the key of the client's message.
var keyMark = []byte(`"$key"`)

// A Template is a message that a rule has a client told: JSON, in which "$key"
// stands for the key as the client's message has it.
type Template struct{ text []byte }

// ParseTemplate reads {"say": value}.
func ParseTemplate(data json.RawMessage) (*Template, error) {
	var t struct {
		Say json.RawMessage `json:"say"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || len(t.Say) == 0 {
		return nil, errors.New(`want {"say": MESSAGE}`)
	}
	if len(t.Say) > MaxSay {
		return nil, fmt.Errorf("a message of %d bytes: at most %d", len(t.Say), MaxSay)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, t.Say); err != nil {
		return nil, err
	}
	return &Template{text.Bytes()}, nil
}

// Fill returns the message about a key, which is JSON.
func (t *Template) Fill(key []byte) []byte { return bytes.ReplaceAll(t.text, keyMark, key) }
