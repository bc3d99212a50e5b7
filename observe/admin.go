package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Admin is the admin endpoint. It is for operators and probes, so it does not
// belong on an address that clients reach. Its functions may be called
// concurrently; where one is nil there is no such path.
type Admin struct {
	// Ready returns nil when the sidecar can take sessions, and otherwise why
	// not, without secrets.
	Ready func() error
	// Notes are what an operator should know of a sidecar that is ready all the
	// same, without secrets; nil: nothing.
	Notes func() []string
	// Metrics answers a scrape.
	Metrics http.Handler

	// Drain stops taking sessions, hands all over, and returns when that is
	// done. When one is under way it waits for that; when its context ends, it
	// returns and the drain goes on.
	Drain func(context.Context) error
	// DrainState returns how far that is. It goes with Drain.
	DrainState func() DrainState
	// Undrain takes a drain back, so that clients are taken again. Its error
	// says why that cannot be. It goes with Drain.
	Undrain func() error
	// Token returns what lets an operator change something from another
	// machine; "" lets nobody. nil: only from this machine.
	Token func() string

	// Views are more paths, which only read.
	Views []View
	// Home is where a browser goes that asks for /, relative to that. "": it hears
	// what there is, as others do.
	Home string
}

// A View is a path that shows something of what the sidecar does. It only reads.
type View struct {
	Path, Help string // of a pattern of net/http, without a method; a line for operators
	Handler    http.HandlerFunc

	// Public: it shows nothing of who is connected, and nothing that costs much.
	// Otherwise it is for processes of this machine or pod, and for who has the
	// Token.
	Public bool
}

// A route is one path of the endpoint. help is a line for operators.
//
// get only reads. The others change something, and are for those who may.
type route struct {
	path, help        string
	get, post, delete http.HandlerFunc // post and delete may be nil
}

func (a Admin) routes() []route {
	list := []route{ // all may ask them: probes and scrapes come from anywhere
		{path: "/livez", help: "200 while the process runs", get: func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok\n") }},
		{path: "/readyz", help: "200 when it can take sessions, otherwise 503 and why", get: a.readyz},
		{path: "/metrics", help: "counters for Prometheus", get: a.Metrics.ServeHTTP},
	}
	if a.Drain != nil {
		list = append(list, route{path: "/drain", help: "GET: how far a drain is; POST: hand all sessions over, 200 when done; DELETE: take that back",
			get: a.getDrain, post: a.postDrain, delete: a.deleteDrain})
	}
	for _, v := range a.Views {
		list = append(list, route{path: v.Path, help: v.Help, get: a.guarded(v)})
	}
	return list
}

// guarded is v for those who may see it.
func (a Admin) guarded(v View) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if refusal := a.mayRead(r); refusal != "" && !v.Public {
			answer(w, http.StatusForbidden, refusal)
			return
		}
		v.Handler(w, r)
	}
}

// Handler returns the endpoint. Timeouts are its server's, and a drain lifts
// them for itself.
func (a Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	help := "not found; there is:\n"
	for _, rt := range a.routes() {
		mux.HandleFunc(rt.path, func(w http.ResponseWriter, r *http.Request) { a.serve(rt, w, r) })
		if rt.help != "" {
			help += fmt.Sprintf("%-24s %s\n", rt.path, rt.help)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if a.Home != "" && r.URL.Path == "/" && strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Location", a.Home) // relative, as a proxy may have put something in front
			answer(w, http.StatusSeeOther, "see "+a.Home+"\n")
			return
		}
		answer(w, http.StatusNotFound, help)
	})
	return mux
}

func (a Admin) serve(rt route, w http.ResponseWriter, r *http.Request) {
	if rebound(r) {
		answer(w, http.StatusMisdirectedRequest, "from this machine only by an address or as localhost\n")
		return
	}
	change := rt.post
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		rt.get(w, r)
		return
	case r.Method == http.MethodDelete:
		change = rt.delete
	case r.Method != http.MethodPost:
		change = nil
	}
	switch {
	case change != nil:
		if refusal := a.mayChange(r); refusal != "" {
			answer(w, http.StatusForbidden, refusal)
			return
		}
		change(w, r)
	case rt.post != nil:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		answer(w, http.StatusMethodNotAllowed, "only GET, POST and DELETE here\n")
	default:
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, "only GET here\n")
	}
}

func (a Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.Ready(); err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	text := "ready\n"
	if a.Notes != nil {
		for _, note := range a.Notes() {
			text += note + "\n"
		}
	}
	answer(w, http.StatusOK, text)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client has gone
}

// answerJSON writes a value that is known to have a JSON form.
func answerJSON(w http.ResponseWriter, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		answer(w, http.StatusInternalServerError, "this cannot be told in JSON\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(text, '\n')) // the client has gone
}
