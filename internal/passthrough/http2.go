package passthrough

import (
	"context"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// Implementation limits of the pass-through.
const (
	// copySize is how much of a body is under way at a time.
	copySize = 32 << 10

	// idleTimeout is how long a connection to the app is kept for another
	// request. It must end before the app's own patience does (gunicorn has
	// 2 s, Node and uvicorn 5 s), or a POST meets a connection that is just
	// being closed; and a new one to a neighbour is cheap.
	idleTimeout = time.Second

	// maxIdleConns bounds those connections.
	maxIdleConns = 256
)

// An http2Proxy forwards HTTP/2, and what little else net/http serves that is
// for the app.
type http2Proxy struct {
	h     *Handler
	proxy *httputil.ReverseProxy
	spare appConns // of requests without a connection of their own
}

func (p *http2Proxy) init(h *Handler) {
	p.h = h
	p.spare.h = h
	p.proxy = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p,
		FlushInterval:  -1, // each piece at once
		BufferPool:     &copyBuffers{},
		ModifyResponse: p.checkResponse,
		ErrorHandler:   p.fail,
		ErrorLog:       stdlog.New(truncatedLog{p}, "", 0),
	}
}

func (p *http2Proxy) close() { p.spare.close() }

// appConns are the connections to the app of one client's connection. They are
// nobody else's: what the app knows of a connection is that client's.
type appConns struct {
	h            *Handler
	once         [2]sync.Once
	http1, http2 *http.Transport
}

type appConnsKey struct{} // of a context

// ConnContext is for an http.Server that accepts from a Listener.
func (h *Handler) ConnContext(ctx context.Context, c net.Conn) context.Context {
	a := &appConns{h: h}
	httpguard.OnClose(c, a.close)
	return context.WithValue(upgrade.WithNames(ctx, httpguard.Early(c)), appConnsKey{}, a)
}

func (p *http2Proxy) connsOf(ctx context.Context) *appConns {
	if a, ok := ctx.Value(appConnsKey{}).(*appConns); ok {
		return a
	}
	return &p.spare
}

func (a *appConns) transport(v2 bool) *http.Transport {
	if v2 {
		a.once[1].Do(func() {
			a.http2 = newRoundTripper(a.h.dialApp, (*http.Protocols).SetUnencryptedHTTP2)
			a.http2.IdleConnTimeout = 0 // as long as the client's
		})
		return a.http2
	}
	a.once[0].Do(func() { a.http1 = newRoundTripper(a.dialHTTP1, (*http.Protocols).SetHTTP1) })
	return a.http1
}

// close drops the idle connections. Requests that are under way end theirs.
func (a *appConns) close() {
	for i := range a.once {
		a.once[i].Do(func() {})
	}
	for _, t := range []*http.Transport{a.http1, a.http2} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}

// dialFunc is http.Transport's DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// newRoundTripper speaks one protocol to the app, as the client wrote it: no
// proxy of the environment, no compression of ours, no redirects followed.
func newRoundTripper(dial dialFunc, set func(*http.Protocols, bool)) *http.Transport {
	t := &http.Transport{
		DialContext:         dial,
		DisableCompression:  true,
		MaxIdleConns:        maxIdleConns,
		MaxIdleConnsPerHost: maxIdleConns,
		IdleConnTimeout:     idleTimeout,
		// A client that asked for 100-continue gets the app's own answer to
		// that; an app that ignores the matter gets the body soon after.
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: upgrade.MaxAnswerBytes,
		Protocols:              new(http.Protocols),
	}
	set(t.Protocols, true)
	return t
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	as := &asCame{ResponseWriter: w, ends: h.draining() || r.ProtoMajor < 2}
	if f := checkRequest(r, h.http2.wantsHTTP2(r)); f != nil {
		h.refused(f)
		f.Write(as)
		return
	}
	// No protocol but WebSocket is switched to (RFC 9110 §7.8 lets a server
	// ignore the header), and that is not done here.
	r.Header.Del("Upgrade")
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = clientBody{r.Body}
		// Or net/http would take the rest of the body for itself when the
		// answer begins, and close it, while it is still on its way to the
		// app. HTTP/2 is full duplex anyway, and says so by an error.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	if h.draining() {
		w.Header().Set("Connection", "close") // of HTTP/2, GOAWAY
	}
	h.http2.proxy.ServeHTTP(as, r.WithContext(context.WithValue(r.Context(), asCameKey{}, as)))
}

// rewrite makes the request to the app from the client's.
func (p *http2Proxy) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header = upgrade.ForwardHeader(pr.In, p.h.proto)
	pr.Out.Host = pr.In.Host
	// The client's trailers come after its body; ReverseProxy looks at them
	// before.
	pr.Out.Trailer = pr.In.Trailer
	v2 := p.wantsHTTP2(pr.In)
	of := p.pageRequest(pr.In)
	for name := range pr.Out.Header {
		if of.Drops(name) {
			delete(pr.Out.Header, name)
		}
	}
	if match := of.Match(); match != "" {
		pr.Out.Header.Set("If-None-Match", match)
	}
	a := attempt{mark: setTarget(pr.Out.URL, pr.In, p.h.cfg.App.Host(), v2)}
	if pr.In.ProtoMajor == 2 && pr.Out.Body != nil {
		// ReverseProxy's own goes on to wait for the client when it is closed, and an
		// answer that ends before the body would not end.
		pr.Out.Body = pr.In.Body
	}
	ctx := context.WithValue(pr.Out.Context(), sentKey{}, sentRequest{v2, time.Now(), of})
	pr.Out = pr.Out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.gotConn}))
}

// dialHTTP1 is for an http.Transport, whose own idea of the address does not
// matter.
func (a *appConns) dialHTTP1(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := a.h.cfg.App.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newKeptConn(c), nil
}

// wantsHTTP2 reports whether r goes to the app as unencrypted HTTP/2. A client
// that sent us HTTP/2 by prior knowledge knows that the app speaks it. Over
// TLS it was we who agreed to HTTP/2, so that only gRPC, which exists on
// nothing else, is sure.
func (p *http2Proxy) wantsHTTP2(r *http.Request) bool {
	if r.ProtoMajor != 2 {
		return false
	}
	return p.h.cfg.Scheme == "http" || isGRPC(r.Header)
}

// RoundTrip implements http.RoundTripper.
func (p *http2Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.connsOf(r.Context()).transport(sentOf(r.Context()).v2).RoundTrip(r)
}

// A clientBody marks the errors of the client's body, so that they are not
// taken for the app's.
type clientBody struct{ io.ReadCloser }

func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &clientError{err}
	}
	return n, err
}

type clientError struct{ err error }

func (e *clientError) Error() string { return "passthrough: read request body: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// copyBuffers is an httputil.BufferPool. Arrays go through the pool, since a
// slice in an interface would be allocated each time.
type copyBuffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *copyBuffers) Get() []byte {
	if p, ok := b.pool.Get().(*[copySize]byte); ok {
		return p[:]
	}
	return new([copySize]byte)[:]
}

// Put implements httputil.BufferPool.
func (b *copyBuffers) Put(p []byte) { b.pool.Put((*[copySize]byte)(p)) }
