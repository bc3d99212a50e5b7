package snapshot

import "strings"

// Owed is what an app owes its client, as far as the protocol shows it.
type Owed uint8

const (
	// OwedUnknown: something that the client said may have an answer, or none.
	OwedUnknown Owed = iota
	// OwedNothing: all that the client said is answered, or has no answer.
	OwedNothing
	// OwedAnswer: a request is not answered.
	OwedAnswer
)

// Implementation limits of Requests. What is beyond them is not followed, and
// makes what is owed unknown.
const (
	maxRequests   = 256
	maxRequestKey = 256
)

// Requests are what a client has asked its app, for a Preset. The zero value has
// none.
type Requests struct {
	open    map[string]bool // by key; true: an answer is certain to come
	certain int             // of open
	unclear bool            // there was something that is not followed
}

// Asked notes a request. certain says that the protocol has an answer to each of
// its kind.
func (r *Requests) Asked(key string, certain bool) {
	r.Answered(key)
	if len(r.open) >= maxRequests || len(key) > maxRequestKey {
		r.unclear = true
		return
	}
	if r.open == nil {
		r.open = make(map[string]bool)
	}
	if r.open[key] = certain; certain {
		r.certain++
	}
}

// Answered notes the answer to a request.
func (r *Requests) Answered(key string) {
	if r.open[key] {
		r.certain--
	}
	delete(r.open, key)
}

// AnsweredAll notes that no request with that prefix will be answered any more.
func (r *Requests) AnsweredAll(prefix string) {
	for key := range r.open {
		if strings.HasPrefix(key, prefix) {
			r.Answered(key)
		}
	}
}

// Unclear notes that the client said something that may have an answer which does
// not show what it answers.
func (r *Requests) Unclear() { r.unclear = true }

// Owed returns what follows.
func (r *Requests) Owed() Owed {
	switch {
	case r.certain > 0:
		return OwedAnswer
	case r.unclear || len(r.open) > 0:
		return OwedUnknown
	}
	return OwedNothing
}
