package idempotency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/internal/match"
	"github.com/wsresilience/wsresilience/internal/pathpattern"
)

// Implementation limits of WSR_IDEMPOTENCY_RULES.
const (
	// maxKey bounds what a message has as its key, and maxRequest what its reply
	// repeats of it: both are held while the app works.
	maxKey     = 1024
	maxRequest = 256

	// DefaultTTL is how long a key is known, and MaxTTL the longest: a store that
	// was given up holds nothing for ever.
	DefaultTTL = time.Hour
	minTTL     = time.Second
	MaxTTL     = 7 * 24 * time.Hour
)

// ruleText is a rule as it is written in WSR_IDEMPOTENCY_RULES.
type ruleText struct {
	Path    string          `json:"path"`
	Select  *match.Text     `json:"select"`
	Key     *string         `json:"key"`
	Scope   string          `json:"scope"`
	User    string          `json:"user"`
	TTL     string          `json:"ttl"`
	Reply   *replyText      `json:"reply"`
	Repeat  json.RawMessage `json:"repeat"`
	InDoubt string          `json:"inDoubt"`
	Doubt   json.RawMessage `json:"doubt"`

	Entity      *string             `json:"entity"`
	State       *string             `json:"state"`
	Transitions map[string][]string `json:"transitions"`
}

type replyText struct {
	Select  *match.Text `json:"select"`
	Pointer *string     `json:"pointer"`
	Request *string     `json:"request"`
}

// A keySource says where a message's key comes from.
type keySource uint8

const (
	keyPointer     keySource = iota // a value in the message
	keyFingerprint                  // all of the message
	keyClient                       // the client says it beside the message
)

// A scope says whose keys are one set.
type scope uint8

const (
	scopeSession scope = iota
	scopeUser
	scopePath
)

// A Repeat says what a client hears that sends what has acted before.
type Repeat uint8

const (
	RepeatDrop   Repeat = iota // nothing
	RepeatAnswer               // what the app answered the first time
	RepeatSay                  // a message of the rule
)

// A Rule says which messages act once. It is immutable.
type Rule struct {
	id      []byte // what decides which message has which key
	path    pathpattern.Pattern
	selects *match.Matcher // nil: all messages with a key
	source  keySource
	key     []string
	scope   scope
	user    source

	TTL    time.Duration
	reply  *reply // nil: a message is done when the app has it
	Repeat Repeat
	say    *match.Template // of RepeatSay
	Again  bool            // a message in doubt is handed to the app again
	states *states         // of entities; nil: the rule is about keys
	doubt  *match.Template // what a client hears of one that is in doubt; nil: nothing
}

// A reply tells the app's message that is the outcome of a request.
type reply struct {
	selects          *match.Matcher // nil: any
	pointer, request []string
}

// parse reads WSR_IDEMPOTENCY_RULES.
func parse(data []byte) ([]*Rule, error) {
	list, err := match.ReadRules[ruleText](data)
	if err != nil {
		return nil, err
	}
	var rules []*Rule
	numbers := make(map[string]int) // by id
	for i := range list {
		r, err := list[i].compile()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if first, twice := numbers[string(r.id)]; twice {
			return nil, fmt.Errorf("rule %d: has path, select and key of rule %d", i+1, first)
		}
		rules, numbers[string(r.id)] = append(rules, r), i+1
	}
	return rules, nil
}

// compile checks a rule.
func (t *ruleText) compile() (*Rule, error) {
	r := &Rule{TTL: DefaultTTL}
	var err error
	if r.path, err = match.ParsePath(t.Path); err != nil {
		return nil, err
	}
	if r.selects, err = t.Select.Compile(); err != nil {
		return nil, fmt.Errorf("select: %w", err)
	}
	for _, part := range []func(*ruleText) error{r.compileStates, r.compileKey, r.compileScope, r.compileTTL, r.compileReply, r.compileRepeat, r.compileDoubt} {
		if err := part(t); err != nil {
			return nil, err
		}
	}
	r.id = t.id(r.path)
	return r, nil
}

// compileKey reads where the key is.
func (r *Rule) compileKey(t *ruleText) error {
	switch {
	case r.states != nil:
		return nil
	case t.Key != nil && *t.Key == "client":
		r.source = keyClient
		return nil
	case t.Key == nil:
		return errors.New(`no "key": want a pointer, "fingerprint" or "client"; or "entity", "state" and "transitions"`)
	case t.Select == nil:
		return errors.New(`no "select": which messages act once?`)
	case *t.Key == "fingerprint":
		r.source = keyFingerprint
		return nil
	}
	var err error
	r.key, err = pointer("key", *t.Key)
	if err != nil {
		return fmt.Errorf(`%w, "fingerprint" or "client"`, err)
	}
	return nil
}

// pointer reads a pointer that is not empty.
func pointer(name, s string) ([]string, error) {
	p, ok := jsonpointer.Parse(s)
	if !ok || len(p) == 0 {
		return nil, fmt.Errorf("%s %q: not an RFC 6901 pointer of 1 to %d bytes and at most %d names", name, s, jsonpointer.MaxLength, jsonpointer.MaxTokens)
	}
	return p, nil
}

// compileScope reads whose keys are one set.
func (r *Rule) compileScope(t *ruleText) error {
	switch t.Scope {
	case "":
		switch {
		case t.User != "":
			r.scope = scopeUser
		case r.states != nil:
			r.scope = scopePath
		}
	case "session":
	case "user":
		r.scope = scopeUser
	case "path":
		r.scope = scopePath
	default:
		return fmt.Errorf("scope %q: not user, session or path", t.Scope)
	}
	switch {
	case r.scope != scopeUser && t.User != "":
		return fmt.Errorf(`"user" goes with the scope user, and not with %s`, t.Scope)
	case r.scope == scopeUser && t.User == "":
		return errors.New(`scope user: no "user": want header:NAME, cookie:NAME or query:NAME, of an identity that the client cannot choose`)
	case r.scope == scopeUser:
		var err error
		r.user, err = parseSource(t.User)
		return err
	}
	return nil
}

func (r *Rule) compileTTL(t *ruleText) error {
	if t.TTL == "" {
		return nil
	}
	ttl, err := time.ParseDuration(t.TTL)
	if err != nil || ttl < minTTL || ttl > MaxTTL {
		return fmt.Errorf("ttl %q: not a duration of %v to %v, such as 90s or 1h", t.TTL, minTTL, MaxTTL)
	}
	r.TTL = ttl
	return nil
}

// compileReply reads which of the app's messages is the outcome.
func (r *Rule) compileReply(t *ruleText) error {
	if t.Reply == nil {
		return nil
	}
	if t.Reply.Pointer == nil {
		return errors.New(`reply: no "pointer" into the app's message`)
	}
	request := t.Reply.Request
	if request == nil {
		request = t.Reply.Pointer
	}
	r.reply = &reply{}
	var err error
	if r.reply.pointer, err = pointer("reply: pointer", *t.Reply.Pointer); err != nil {
		return err
	}
	if r.reply.request, err = pointer("reply: request", *request); err != nil {
		return err
	}
	if r.reply.selects, err = t.Reply.Select.Compile(); err != nil {
		return fmt.Errorf("reply: select: %w", err)
	}
	return nil
}

// compileRepeat reads what a client hears of a repetition.
func (r *Rule) compileRepeat(t *ruleText) error {
	switch s := string(t.Repeat); {
	case s == "":
		if r.reply != nil {
			r.Repeat = RepeatAnswer
		}
	case s == `"drop"`:
	case s == `"answer"` && r.reply == nil:
		return errors.New(`repeat "answer": no "reply" says which of the app's messages is the answer`)
	case s == `"answer"`:
		r.Repeat = RepeatAnswer
	default:
		var err error
		if r.say, err = match.ParseTemplate(t.Repeat); err != nil {
			return fmt.Errorf(`repeat: %w, or want "answer" or "drop"`, err)
		}
		r.Repeat = RepeatSay
	}
	return nil
}

// compileDoubt reads what becomes of a message in doubt.
func (r *Rule) compileDoubt(t *ruleText) error {
	switch t.InDoubt {
	case "", "refuse":
	case "repeat":
		r.Again = true
	default:
		return fmt.Errorf("inDoubt %q: not repeat or refuse", t.InDoubt)
	}
	if t.Doubt == nil {
		return nil
	}
	var err error
	if r.doubt, err = match.ParseTemplate(t.Doubt); err != nil {
		return fmt.Errorf("doubt: %w", err)
	}
	return nil
}

// id is what decides which message has which key.
func (t *ruleText) id(path pathpattern.Pattern) []byte {
	var id bytes.Buffer
	if t.Key != nil {
		fmt.Fprintf(&id, "%q %q", path, *t.Key)
	} else {
		fmt.Fprintf(&id, "%q entity %q", path, *t.Entity)
	}
	if s := t.Select; s != nil {
		text, _ := json.Marshal(s) // it was decoded
		_ = json.Compact(&id, text)
	}
	return id.Bytes()
}
