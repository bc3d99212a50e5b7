package demo

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// pagePatience bounds what a browser takes for a request's header, and
	// pageEnd what the last answers take when the demo ends.
	pagePatience = 10 * time.Second
	pageEnd      = 2 * time.Second
)

//go:embed page
var pageFiles embed.FS

// pagePolicy allows the page what it needs: what comes from where it came from,
// its sockets among it.
const pagePolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page is the server of the page: its files, and what a visit needs beside the
// network that is broken in it.
type page struct {
	url      string
	others   string // where other machines may find it, "" if nowhere
	server   *http.Server
	visitors *visitors
	serving  sync.WaitGroup
}

// servePage listens and serves.
func servePage(w *tallies, f *fleet) (*page, error) {
	l, err := listen(w.options.listen, w.options.listenGiven)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	p := &page{visitors: newVisitors(f)}
	p.url, p.others = pageURLs(l.Addr().(*net.TCPAddr).AddrPort(), machineAddress())
	p.server = &http.Server{Handler: p.handler(files), ReadHeaderTimeout: pagePatience}
	p.serving.Go(func() { _ = p.server.Serve(l) }) // until close
	return p, nil
}

// handler serves the page's files, and its requests. Those that change
// something must come from the page itself. Its host may have any name, which is
// that of a container, a tunnel or a forwarding proxy: who chooses a name to read
// the demo in a foreign page (DNS rebinding) reads numbers, and breaks what is
// there to be broken.
func (p *page) handler(files fs.FS) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /code.svg", p.code)
	mux.HandleFunc("POST /visit", p.visit)
	mux.HandleFunc("GET /visit/{name}/events", p.known((*visitor).stream))
	mux.HandleFunc("GET /visit/{name}/plain", p.known(plain.socket))
	mux.HandleFunc("GET /visit/{name}/resilient", p.known(resilient.socket))
	mux.HandleFunc("POST /visit/{name}/{button}", p.known((*visitor).pressed))
	mux.HandleFunc("PUT /visit/{name}/auto", p.known(func(v *visitor, w http.ResponseWriter, _ *http.Request) { v.auto(true) }))
	mux.HandleFunc("DELETE /visit/{name}/auto", p.known(func(v *visitor, w http.ResponseWriter, _ *http.Request) { v.auto(false) }))
	sameSite := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // the next demo may be another one
		sameSite.ServeHTTP(w, r)
	})
}

// known finds the visitor that a request is about.
func (p *page) known(act func(*visitor, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := p.visitors.named(r.PathValue("name"))
		if v == nil {
			http.Error(w, "this visit is over", http.StatusNotFound)
			return
		}
		act(v, w, r)
	}
}

// visit begins one, and answers with what the browser needs.
func (p *page) visit(w http.ResponseWriter, _ *http.Request) {
	v, err := p.visitors.open()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(visitInfo{
		Name: v.name, Others: p.others,
		Rate: v.tally.options.rate, LastWords: lastWords * v.tally.options.rate,
	}) // if it cannot be written, the visit is swept
}

// visitInfo is the answer to a new visit.
type visitInfo struct {
	Name      string `json:"name"`      // its sockets are at visit/NAME/plain and visit/NAME/resilient
	Others    string `json:"others"`    // where other machines may find the page, "" if nowhere
	Rate      int    `json:"rate"`      // messages a second, each way
	LastWords int    `json:"lastWords"` // that a killed app may take along
}

// pressed is the press of a button.
func (v *visitor) pressed(w http.ResponseWriter, r *http.Request) {
	switch err := v.press(r.PathValue("button")); {
	case errors.Is(err, errNotNow):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// close ends all visits and returns when nothing is left of the server.
func (p *page) close() error {
	p.visitors.close()
	ctx, cancel := context.WithTimeout(context.Background(), pageEnd)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if err != nil {
		err = p.server.Close()
	}
	p.serving.Wait()
	return err
}
