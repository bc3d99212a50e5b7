package idempotency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxSay bounds a message of a rule.
const maxSay = 4 << 10

// keyMark stands in a message of a rule for the key of the client's message.
var keyMark = []byte(`"$key"`)

// A template is a message that a rule has a client told: JSON, in which "$key"
// stands for the key as the client's message has it.
type template struct{ text []byte }

// parseTemplate reads {"say": value}.
func parseTemplate(data json.RawMessage) (*template, error) {
	var t struct {
		Say json.RawMessage `json:"say"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || len(t.Say) == 0 {
		return nil, errors.New(`want {"say": MESSAGE}`)
	}
	if len(t.Say) > maxSay {
		return nil, fmt.Errorf("a message of %d bytes: at most %d", len(t.Say), maxSay)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, t.Say); err != nil {
		return nil, err
	}
	return &template{text.Bytes()}, nil
}

// fill returns the message about a key, which is JSON.
func (t *template) fill(key []byte) []byte { return bytes.ReplaceAll(t.text, keyMark, key) }
