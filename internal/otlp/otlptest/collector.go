// Package otlptest is a collector for tests: it takes what is sent to it by OTLP over
// HTTP, and refuses what a strict one would. The collector's own decoder judges the
// encoding too, in a module of its own (make test-otlp).
package otlptest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// A Span is one that has arrived. Ids are hexadecimal.
type Span struct {
	TraceID, SpanID, Parent string
	Name                    string
	Kind                    int
	Start, End              time.Time
	Attributes              map[string]any // string, int64 or bool
	Events                  []Event
	Links                   []Link
	StatusCode              int
	StatusMessage           string
	Flags                   uint32
	Resource                map[string]any
	Scope                   string
	DroppedEvents           int
	DroppedAttributes       int
}

// An Event is one of a span.
type Event struct {
	Time       time.Time
	Name       string
	Attributes map[string]any
}

// A Link is one of a span.
type Link struct {
	TraceID, SpanID string
	Flags           uint32
}

// A Collector is an HTTP server at /v1/traces. It is safe for concurrent use.
type Collector struct {
	*httptest.Server

	mu       sync.Mutex
	spans    []Span
	requests []*http.Request
	faults   []error
	answers  []http.HandlerFunc
}

// NewCollector starts one; the caller closes it.
func NewCollector() *Collector {
	c := new(Collector)
	c.Server = httptest.NewServer(c)
	return c
}

// Answer has the next requests answered by these, one each, and not taken.
func (c *Collector) Answer(next ...http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, next...)
}

// Spans returns what has arrived.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Requests returns all requests, without their bodies.
func (c *Collector) Requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Faults returns what was wrong with requests.
func (c *Collector) Faults() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.faults)
}

// ServeHTTP implements http.Handler, for a Collector that needs no server.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if len(c.answers) > 0 {
		next := c.answers[0]
		c.answers = c.answers[1:]
		next(w, r)
		return
	}
	var spans []Span
	contentType := r.Header.Get("Content-Type")
	switch {
	case err != nil:
	case r.Method != http.MethodPost || r.URL.Path != "/v1/traces":
		err = fmt.Errorf("%s %s", r.Method, r.URL.Path)
	case contentType == "application/json":
		spans, err = DecodeJSON(body)
	case contentType == "application/x-protobuf":
		spans, err = DecodeProtobuf(body)
	default:
		err = fmt.Errorf("content type %q", contentType)
	}
	for i := 0; i < len(spans) && err == nil; i++ {
		err = spans[i].check()
	}
	if err != nil {
		c.faults = append(c.faults, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.spans = append(c.spans, spans...)
	w.Header().Set("Content-Type", contentType)
	if contentType == "application/json" {
		_, _ = w.Write([]byte("{}"))
	}
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// check refuses what OTLP does not allow.
func (s *Span) check() error {
	switch {
	case len(s.TraceID) != 32 || s.TraceID == "00000000000000000000000000000000":
		return fmt.Errorf("span %q: trace id %q", s.Name, s.TraceID)
	case len(s.SpanID) != 16 || s.SpanID == "0000000000000000":
		return fmt.Errorf("span %q: span id %q", s.Name, s.SpanID)
	case s.Parent != "" && len(s.Parent) != 16 || s.Parent == s.SpanID:
		return fmt.Errorf("span %q: parent %q", s.Name, s.Parent)
	case s.Name == "":
		return fmt.Errorf("span %s without a name", s.SpanID)
	case s.Kind < 1 || s.Kind > 5:
		return fmt.Errorf("span %q: kind %d", s.Name, s.Kind)
	case s.Start.Unix() < 1 || s.End.Before(s.Start):
		return fmt.Errorf("span %q: from %v to %v", s.Name, s.Start, s.End)
	case s.StatusCode < 0 || s.StatusCode > 2:
		return fmt.Errorf("span %q: status %d", s.Name, s.StatusCode)
	}
	for _, l := range s.Links {
		if len(l.TraceID) != 32 || len(l.SpanID) != 16 {
			return fmt.Errorf("span %q: link %v", s.Name, l)
		}
	}
	return nil
}
