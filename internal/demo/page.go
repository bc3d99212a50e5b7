package demo

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// pageAddress is where the page is found unless -page says otherwise or
	// another program is there.
	pageAddress = "127.0.0.1:15800"

	// pagePatience bounds what a browser takes for a request's header, and
	// pageEnd what the last answers take when the demo ends.
	pagePatience = 10 * time.Second
	pageEnd      = 2 * time.Second
)

//go:embed page
var pageFiles embed.FS

// pagePolicy allows the page what it needs: its own files, and the visitor's
// network, whose port is not known before the visit.
const pagePolicy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page is the server of the page: its files, and what a visit needs beside the
// network that is broken in it.
type page struct {
	url      string
	server   *http.Server
	visitors *visitors
	serving  sync.WaitGroup
}

// servePage listens and serves.
func servePage(w *tallies, f *fleet) (*page, error) {
	l, err := net.Listen("tcp", w.options.page)
	if err != nil && w.options.page == pageAddress && !w.options.pageGiven {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	p := &page{url: "http://" + l.Addr().String() + "/", visitors: newVisitors(f)}
	p.server = &http.Server{Handler: p.handler(files, l.Addr().(*net.TCPAddr)), ReadHeaderTimeout: pagePatience}
	p.serving.Go(func() { _ = p.server.Serve(l) }) // until close
	return p, nil
}

// handler serves the page's files, and its requests. Those that change
// something must come from the page itself.
func (p *page) handler(files fs.FS, at *net.TCPAddr) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("POST /visit", p.visit)
	mux.HandleFunc("GET /visit/{name}/events", p.known((*visitor).stream))
	mux.HandleFunc("POST /visit/{name}/{button}", p.known((*visitor).pressed))
	mux.HandleFunc("PUT /visit/{name}/auto", p.known(func(v *visitor, w http.ResponseWriter, _ *http.Request) { v.auto(true) }))
	mux.HandleFunc("DELETE /visit/{name}/auto", p.known(func(v *visitor, w http.ResponseWriter, _ *http.Request) { v.auto(false) }))
	sameSite := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isPageHost(r.Host, at) {
			http.Error(w, "the demo's page is at "+p.url, http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // the next demo may be another one
		sameSite.ServeHTTP(w, r)
	})
}

// isPageHost reports whether a request was meant for the page. Another host that
// leads here is a name that an attacker chose, to read it in a foreign page (DNS
// rebinding).
func isPageHost(host string, at *net.TCPAddr) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil || port != strconv.Itoa(at.Port) {
		return false
	}
	return name == "localhost" || name == at.IP.String()
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
		Name: v.name, Plain: v.address(plain), Resilient: v.address(resilient),
		Rate: v.tally.options.rate, LastWords: lastWords * v.tally.options.rate,
	}) // if it cannot be written, the visit is swept
}

// visitInfo is the answer to a new visit.
type visitInfo struct {
	Name      string `json:"name"`
	Plain     string `json:"plain"` // URLs
	Resilient string `json:"resilient"`
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
