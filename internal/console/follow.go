package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Implementation limits of a stream of events.
const (
	// stillHere is how often a stream without events says that it is there, so that
	// a proxy keeps it, and a reader that has gone is found.
	stillHere = 10 * time.Second

	// writeTimeout is how long a reader may take for what it is sent at once.
	writeTimeout = 10 * time.Second
)

// events streams what happens, as server-sent events, until the reader goes: an
// event of the default type for each, and one of type lost where some were left
// out, because the reader was slow.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := parseFilter(q, "notable", "last")
	if err != nil {
		refuse(w, err)
		return
	}
	told, err := c.parseSince(r, q.Get("last"))
	if err != nil {
		refuse(w, err)
		return
	}
	all := q.Get("notable") == ""
	wanted := func(r *record) bool { return (all || weigh(&r.e) == notable) && f.meant(r) }
	follower := c.history.followers.add(wanted)
	if follower == nil {
		w.Header().Set("Retry-After", "10")
		answer(w, http.StatusServiceUnavailable, fmt.Sprintf("%d readers follow the events already: try again when one has gone\n", maxFollowers))
		return
	}
	defer c.history.followers.remove(follower)
	header(w, "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	s := &stream{w: w, out: http.NewResponseController(w), run: c.run()}
	_ = s.out.SetReadDeadline(time.Time{}) // it would end the request; a server may have none to lift
	s.tell(c.history.since(told.since, told.limit, wanted))
	s.follow(r, follower)
}

// A start is where a stream begins: behind number since, with up to limit of what
// is remembered.
type start struct {
	since uint64
	limit int
}

// run names this run of the process in the ids of events, which are numbered anew in
// each.
func (c *Console) run() string { return strconv.FormatInt(c.began.UnixMilli(), 36) }

// parseSince reads where a reader wants to begin: where it was, if it has been here,
// or so many events back. One that was told of a run before has seen nothing of
// this one.
func (c *Console) parseSince(r *http.Request, last string) (s start, err error) {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		run, n, _ := strings.Cut(id, "-")
		if s.since, err = strconv.ParseUint(n, 10, 64); err != nil {
			return s, fmt.Errorf("Last-Event-ID: %q is no id of an event", id)
		}
		if run != c.run() {
			s.since = 0
		}
		s.limit = maxListed
		return s, nil
	}
	if last == "" || last == "0" {
		return s, nil
	}
	s.limit, err = parseLimit(r.URL.Query(), "last", 0)
	return s, err
}

// A stream is what one reader is sent.
type stream struct {
	w      http.ResponseWriter
	out    *http.ResponseController
	run    string
	before map[uint64]bool // sent from what was remembered: some of it comes again
	err    error
}

// tell sends what is remembered.
func (s *stream) tell(list []record) {
	s.before = make(map[uint64]bool, len(list))
	s.begin()
	s.comment("wsresilience events")
	for i := range list {
		s.event(&list[i])
		s.before[list[i].n] = true
	}
	s.flush()
}

// follow sends what happens until the reader goes.
func (s *stream) follow(r *http.Request, f *follower) {
	quiet := time.NewTicker(stillHere)
	defer quiet.Stop()
	for s.err == nil {
		select {
		case <-r.Context().Done():
			return
		case e := <-f.events:
			s.begin()
			s.event(&e)
			s.waiting(f)
		case <-quiet.C:
			s.begin()
			s.comment("still here")
		}
		if n := f.lost.Swap(0); n > 0 {
			s.printf("event: lost\ndata: {\"lost\": %d}\n\n", n)
		}
		s.flush()
	}
}

// waiting sends what has happened meanwhile, to be flushed once.
func (s *stream) waiting(f *follower) {
	for range maxBehind {
		select {
		case e := <-f.events:
			s.event(&e)
		default:
			return
		}
	}
}

func (s *stream) begin() { _ = s.out.SetWriteDeadline(time.Now().Add(writeTimeout)) } // likewise

func (s *stream) event(r *record) {
	if s.before[r.n] {
		delete(s.before, r.n)
		return
	}
	text, err := json.Marshal(eventOf(r))
	if err != nil {
		s.err = err
		return
	}
	s.printf("id: %s-%d\ndata: %s\n\n", s.run, r.n, text)
}

func (s *stream) comment(text string) { s.printf(": %s\n\n", text) }

func (s *stream) printf(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format, args...)
	}
}

func (s *stream) flush() {
	if s.err == nil {
		s.err = s.out.Flush()
	}
}
