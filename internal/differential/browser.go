package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"time"
)

// A browserPage is an app whose page asks, in a browser, and tells what it gets by a
// last request.
type browserPage struct{ told chan string }

// serve starts the app: the page, and for all else the server called gorilla.
func (b *browserPage) serve(ctx context.Context, dir string, port int) (func(), error) {
	inner, err := freePort()
	if err != nil {
		return nil, err
	}
	stop, err := goServers()[1].start(ctx, dir, inner)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, "clients", "page.html"))
	})
	mux.HandleFunc("/told", func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		b.told <- string(text)
	})
	mux.Handle("/", httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: fmt.Sprint("127.0.0.1:", inner)}))
	s := &http.Server{Addr: fmt.Sprint("127.0.0.1:", port), Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.ListenAndServe() }()
	return func() { _ = s.Close(); stop() }, listens(ctx, s.Addr)
}

// talk opens the page.
func (b *browserPage) talk(ctx context.Context, dir, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+filepath.Join(dir, "profile"), "http://"+addr+"/page")
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	select {
	case text := <-b.told:
		return text, nil
	case <-ctx.Done():
		return "", errors.New("chromium tells nothing")
	}
}
