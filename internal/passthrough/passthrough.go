// Package passthrough forwards to the app what is not a WebSocket handshake: plain
// HTTP/1.1 and HTTP/2, streamed both ways, and never a switch of protocols.
package passthrough

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
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

// A Handler forwards everything that is not a WebSocket upgrade. It is safe for
// concurrent use.
type Handler struct {
	proxy     *httputil.ReverseProxy
	transport protocolTransport
	app       *upgrade.App
	log       *slog.Logger
	scheme    string // of clients' connections: http or https
}

// New returns a Handler for clients whose connections to us are of scheme, http
// or https. It streams requests to the app and
// answers back, bodies of any size and kind, and never switches protocols.
func New(app *upgrade.App, log *slog.Logger, scheme string) *Handler {
	p := &Handler{app: app, log: log, scheme: scheme}
	p.transport = protocolTransport{
		http1: newRoundTripper(p.dialHTTP1, (*http.Protocols).SetHTTP1),
		http2: newRoundTripper(p.dialHTTP2, (*http.Protocols).SetUnencryptedHTTP2),
	}
	p.proxy = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      &p.transport,
		FlushInterval:  -1, // server-sent events and long polls: each piece at once
		BufferPool:     &copyBuffers{},
		ModifyResponse: p.checkResponse,
		ErrorHandler:   p.fail,
		ErrorLog:       stdlog.New(truncatedLog{p}, "", 0),
	}
	return p
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

// Close drops the idle connections to the app.
func (p *Handler) Close() {
	p.transport.http1.CloseIdleConnections()
	p.transport.http2.CloseIdleConnections()
}

// ServeHTTP implements http.Handler.
func (p *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		f := upgrade.Refusal{Status: http.StatusMethodNotAllowed, Reason: "no tunnels here", Label: event.RefusedConnect}
		f.Write(w)
		return
	case httpguard.TooManyFields(r.Header):
		f := upgrade.Refusal{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "too many header fields", Label: event.RefusedFields}
		f.Write(w)
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
	// net/http would guess a type for an answer that has none.
	w.Header()["Content-Type"] = nil
	p.proxy.ServeHTTP(w, r)
}

// rewrite makes the request to the app from the client's.
func (p *Handler) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header = upgrade.ForwardHeader(pr.In, p.scheme)
	pr.Out.Host = pr.In.Host
	// The client's trailers come after its body; ReverseProxy looks at them
	// before.
	pr.Out.Trailer = pr.In.Trailer
	upgrade.ForwardTarget(pr.In, pr.Out.URL, p.app.Host())

	ctx := context.WithValue(pr.Out.Context(), protocolKey{}, p.wantsHTTP2(pr.In))
	pr.Out = pr.Out.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: takeConn}))
}

// Ask makes a request of our own to the app, on a connection that is kept with
// those of clients' requests. Nothing is followed. r names the app's address
// in its URL (upgrade.App.Host).
func (p *Handler) Ask(r *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: takeConn})
	return p.transport.RoundTrip(r.WithContext(ctx))
}

// dialHTTP1 and dialHTTP2 are for an http.Transport, whose own idea of the
// address does not matter.
func (p *Handler) dialHTTP1(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := p.app.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newKeptConn(c), nil
}

func (p *Handler) dialHTTP2(ctx context.Context, _, _ string) (net.Conn, error) {
	return p.app.Connect(ctx)
}

// takeConn makes sure that a connection is clean before its next request. On
// an HTTP/2 connection answers carry their request's number.
func takeConn(info httptrace.GotConnInfo) {
	if k, ok := info.Conn.(*keptConn); ok && info.Reused {
		k.take()
	}
}

// wantsHTTP2 reports whether r goes to the app as unencrypted HTTP/2. A client
// that sent us HTTP/2 by prior knowledge knows that the app speaks it. Over
// TLS it was we who agreed to HTTP/2, so that only gRPC, which exists on
// nothing else, is sure.
func (p *Handler) wantsHTTP2(r *http.Request) bool {
	if r.ProtoMajor != 2 {
		return false
	}
	return p.scheme == "http" || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// errSwitched is an app that switches protocols without being asked: what
// followed would be a tunnel past every check (CVE-2024-23326, H14).
var errSwitched = errors.New("passthrough: upstream answered 101 to a request without Upgrade")

func (p *Handler) checkResponse(resp *http.Response) error {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched
	}
	return nil
}

// fail answers for an app that did not.
func (p *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *upgrade.Refusal
	var client *clientError
	var timeout net.Error
	switch {
	case errors.As(err, &client):
		f = &upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the request body broke off or is framed badly", Label: event.RefusedBody}
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		// The client is gone, or we are closing: returning would answer 200.
		panic(http.ErrAbortHandler)
	case errors.As(err, &timeout) && timeout.Timeout():
		f = (&upgrade.AppError{Status: http.StatusGatewayTimeout, Err: err}).Refusal()
	default:
		f = (&upgrade.AppError{Status: http.StatusBadGateway, Err: err}).Refusal()
	}
	if client == nil {
		p.log.Warn("request not forwarded", "upstream", p.app.String(), "status", f.Status, "error", upgrade.Quiet(err))
	}
	f.Write(w)
}

// truncatedLog is where ReverseProxy reports an answer that ended too early. Its
// words are dropped, since they may quote the answer (I9).
type truncatedLog struct{ p *Handler }

// Write implements io.Writer.
func (b truncatedLog) Write(line []byte) (int, error) {
	b.p.log.Warn("answer broke off", "upstream", b.p.app.String())
	return len(line), nil
}

// protocolTransport takes a request to the app by HTTP/1.1 or HTTP/2.
type protocolTransport struct{ http1, http2 *http.Transport }

type protocolKey struct{} // of a context: a bool, true for HTTP/2

// RoundTrip implements http.RoundTripper.
func (t *protocolTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if v2, _ := r.Context().Value(protocolKey{}).(bool); v2 {
		return t.http2.RoundTrip(r)
	}
	return t.http1.RoundTrip(r)
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
