// Package profile says what the clients of a rehearsal do: how many there are,
// how they log in, what they send, and what counts as the answer.
package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Profile is one load. Its zero value is of no use: take Echo or Parse.
type Profile struct {
	Name         string            `json:"name"`
	Plain        int               `json:"plain"`                  // plain clients
	Resilient    int               `json:"resilient"`              // clients with a session
	Ramp         Duration          `json:"ramp"`                   // over which they come
	Think        Duration          `json:"think"`                  // between two messages of a client, on average
	Spread       float64           `json:"spread"`                 // share by which that varies, 0 to 1
	Headers      map[string]string `json:"headers,omitempty"`      // of each handshake; templates
	Subprotocols []string          `json:"subprotocols,omitempty"` // the app's own
	Query        string            `json:"query,omitempty"`        // added to the URL's; a template, such as token={{token}}
	Binary       bool              `json:"binary,omitempty"`       // messages are binary
	Login        *Login            `json:"login,omitempty"`        // before the first handshake of each client
	Hello        []Template        `json:"hello,omitempty"`        // what each new app socket hears first
	Adopt        *bool             `json:"adopt,omitempty"`        // clients say hello to a fresh app socket themselves; false leaves that to the sidecar's rules
	Messages     []Message         `json:"messages"`               // one of them is drawn each time
	Answer       *Match            `json:"answer,omitempty"`       // where the number stands in an answer, for messages that do not say
	Error        *Match            `json:"error,omitempty"`        // what of the app's messages is an error
	Push         *Push             `json:"push,omitempty"`         // what the app numbers by itself
	Unordered    bool              `json:"unordered,omitempty"`    // the app may answer out of order
	Late         Duration          `json:"late,omitempty"`         // from where an answer is late
	Patience     Duration          `json:"patience,omitempty"`     // without a message until a plain client connects again
	Objectives   []string          `json:"objectives,omitempty"`
}

// A Login is a request before the first handshake of a client. Cookies that it
// sets go with the handshake.
type Login struct {
	URL     Template            `json:"url,omitempty"`
	Method  string              `json:"method,omitempty"` // POST
	Headers map[string]Template `json:"headers,omitempty"`
	Body    Template            `json:"body,omitempty"`
	Token   *Match              `json:"token,omitempty"` // where {{token}} stands in the answer
}

// A Message is one kind of what clients send.
type Message struct {
	Name   string   `json:"name"`
	Weight float64  `json:"weight,omitempty"` // 1
	Send   Template `json:"send"`
	Answer *Match   `json:"answer,omitempty"`
	Silent bool     `json:"silent,omitempty"` // there is no answer
}

// A Push is where the app's own numbers stand.
type Push struct {
	Number *Match `json:"number,omitempty"`
	Stream *Match `json:"stream,omitempty"` // what is numbered apart, such as a channel; may be missing
	Socket bool   `json:"socket,omitempty"` // numbers begin anew with each app socket
}

// Duration is a time.Duration that JSON writes as "1.5s".
type Duration time.Duration

func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("%s: want a time such as \"500ms\"", b)
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q: want a time such as \"500ms\"", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Defaults of a Profile.
const (
	DefaultClients  = 50
	DefaultThink    = Duration(time.Second)
	DefaultSpread   = 0.5
	DefaultRamp     = Duration(5 * time.Second)
	DefaultLate     = Duration(time.Second)
	DefaultPatience = Duration(10 * time.Second)
	maxClients      = 50000
)

// Echo is the load of an app that answers each message with itself.
func Echo() *Profile {
	p := &Profile{
		Name:     "echo",
		Messages: []Message{{Name: "echo", Send: `{"id":"{{id}}","text":"{{text 32}}"}`}},
		Answer:   &Match{Pointer: "/id"},
	}
	_ = p.settle() // it is right
	return p
}

// Load reads a profile from a file.
func Load(file string) (*Profile, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	p, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("profile: %s: %w", file, err)
	}
	return p, nil
}

// Parse reads a profile from JSON. Fields that it does not know are refused.
func Parse(b []byte) (*Profile, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	p := new(Profile)
	if err := d.Decode(p); err != nil {
		if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			err = fmt.Errorf("there is no field %s; %s", name, fields)
		}
		return nil, err
	}
	return p, p.settle()
}

// fields lists what each part of a profile may have.
var fields = strings.Join([]string{
	"a profile has " + names(Profile{}), "a message " + names(Message{}), "a login " + names(Login{}), "a push " + names(Push{}), "an answer, an error or a token " + names(Match{}),
}, "; ")

// names are those of a struct's fields in JSON.
func names(v any) string {
	var list []string
	for f := range reflect.TypeOf(v).Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			list = append(list, name)
		}
	}
	return strings.Join(list, " ")
}

// settle fills in defaults and checks.
func (p *Profile) settle() error {
	if p.Plain == 0 && p.Resilient == 0 {
		p.Plain, p.Resilient = DefaultClients, DefaultClients
	}
	for _, d := range []struct{ at, to *Duration }{
		{&p.Ramp, ptr(DefaultRamp)}, {&p.Think, ptr(DefaultThink)}, {&p.Late, ptr(DefaultLate)}, {&p.Patience, ptr(max(DefaultPatience, 3*p.Think))},
	} {
		if *d.at == 0 {
			*d.at = *d.to
		}
	}
	if p.Spread == 0 {
		p.Spread = DefaultSpread
	}
	if err := p.Check(); err != nil {
		return err
	}
	return p.settleTexts()
}

func ptr[T any](v T) *T { return &v }

// Check reports what is out of bounds.
func (p *Profile) Check() error {
	switch {
	case p.Plain < 0 || p.Resilient < 0 || p.Plain+p.Resilient > maxClients || p.Plain+p.Resilient == 0:
		return fmt.Errorf("%d plain and %d resilient clients: allowed are 1 to %d together", p.Plain, p.Resilient, maxClients)
	case p.Spread < 0 || p.Spread > 1:
		return fmt.Errorf("spread %v: allowed are 0 to 1", p.Spread)
	case time.Duration(p.Think) < time.Millisecond:
		return fmt.Errorf("think %v: allowed is from 1ms", time.Duration(p.Think))
	case len(p.Messages) == 0:
		return fmt.Errorf(`no messages: want at least one, such as {"send": "{\"id\":\"{{id}}\"}", "answer": {"pointer": "/id"}}`)
	}
	return nil
}

// settleTexts compiles what is text.
func (p *Profile) settleTexts() error {
	for i := range p.Messages {
		m := &p.Messages[i]
		if m.Name == "" {
			m.Name = fmt.Sprint("message ", i+1)
		}
		if m.Weight == 0 {
			m.Weight = 1
		}
		if m.Answer == nil && !m.Silent {
			m.Answer = p.Answer
		}
		switch {
		case m.Weight < 0:
			return fmt.Errorf("%s: weight %v: want a number above 0", m.Name, m.Weight)
		case m.Answer == nil && !m.Silent:
			return fmt.Errorf(`%s: where does the number stand in its answer? Want "answer": {"pointer": "/id"} or {"regexp": "id=(\\S+)"}, or "silent": true if there is none`, m.Name)
		case m.Answer != nil && !m.Silent && !strings.Contains(string(m.Send), "{{id}}") && !strings.Contains(string(m.Send), "{{n}}"):
			return fmt.Errorf("%s: its answer cannot be told from others: put {{id}} or {{n}} into \"send\"", m.Name)
		}
	}
	if p.Push != nil && p.Push.Number == nil {
		return fmt.Errorf(`push: where does the number stand? Want "number": {"pointer": "/seq"}`)
	}
	if p.Login != nil && p.Login.Method == "" {
		p.Login.Method = http.MethodPost
	}
	for _, m := range p.matches() {
		if err := m.compile(); err != nil {
			return err
		}
	}
	for _, t := range p.templates() {
		if err := t.Check(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Profile) matches() []*Match {
	list := []*Match{p.Answer, p.Error}
	for i := range p.Messages {
		list = append(list, p.Messages[i].Answer)
	}
	if p.Push != nil {
		list = append(list, p.Push.Number, p.Push.Stream)
	}
	if p.Login != nil {
		list = append(list, p.Login.Token)
	}
	return slices.DeleteFunc(list, func(m *Match) bool { return m == nil })
}

func (p *Profile) templates() []Template {
	list := append([]Template{Template(p.Query)}, p.Hello...)
	for i := range p.Messages {
		list = append(list, p.Messages[i].Send)
	}
	for _, h := range p.Headers {
		list = append(list, Template(h))
	}
	if p.Login != nil {
		list = append(list, p.Login.URL, p.Login.Body)
		for _, h := range p.Login.Headers {
			list = append(list, h)
		}
	}
	return list
}

// Answers are the different places where a number may stand.
func (p *Profile) Answers() []*Match {
	var list []*Match
	for i := range p.Messages {
		if m := p.Messages[i].Answer; m != nil && !p.Messages[i].Silent && !slices.ContainsFunc(list, m.same) {
			list = append(list, m)
		}
	}
	return list
}

// Pick draws a message by weight; r is random in [0, 1).
func (p *Profile) Pick(r float64) *Message {
	total := 0.0
	for i := range p.Messages {
		total += p.Messages[i].Weight
	}
	at := r * total
	for i := range p.Messages {
		if at -= p.Messages[i].Weight; at < 0 {
			return &p.Messages[i]
		}
	}
	return &p.Messages[len(p.Messages)-1]
}

// Pause draws the time to the next message; r is random in [0, 1).
func (p *Profile) Pause(r float64) time.Duration {
	return time.Duration(float64(p.Think) * (1 + p.Spread*(2*r-1)))
}
