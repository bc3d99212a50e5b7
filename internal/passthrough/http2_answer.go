package passthrough

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// asCame leaves out of an answer what net/http would add to it. Of HTTP/2, an
// answer of ours says nothing of the connection, on which there are other
// requests, unless the connection is to end.
type asCame struct {
	http.ResponseWriter
	ends  bool
	whole bool // the answer has no body: its head ends it
}

// WriteHeader implements http.ResponseWriter.
func (w *asCame) WriteHeader(status int) {
	h := w.Header()
	if !w.ends {
		delete(h, "Connection")
	}
	if status >= http.StatusOK {
		for _, name := range [...]string{"Content-Length", "Content-Type", "Date"} {
			if len(h[name]) == 0 {
				h[name] = nil
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// FlushError is for an http.ResponseController. ReverseProxy flushes a head at once,
// in case that its body is slow. Where there is none the end would come in a frame of
// its own then, and to gRPC an error that has no such frame is another one.
func (w *asCame) FlushError() error {
	if w.whole {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is for an http.ResponseController.
func (w *asCame) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type asCameKey struct{} // of a context: an *asCame

func (p *http2Proxy) checkResponse(resp *http.Response) error {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched
	}
	if as, ok := resp.Request.Context().Value(asCameKey{}).(*asCame); ok {
		as.whole = resp.ContentLength == 0 || resp.Request.Method == http.MethodHead
	}
	sent := sentOf(resp.Request.Context())
	if isGRPC(resp.Header) && sent.v2 {
		resp.Body = &grpcBody{resp.Body, resp}
	}
	return insertInto(resp, sent.page)
}

// fail answers for an app that did not.
func (p *http2Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *upgrade.Refusal
	var client *clientError
	switch {
	case errors.As(err, &client):
		f = &upgrade.Refusal{Status: http.StatusBadRequest, Reason: "the request body broke off or is framed badly", Label: event.RefusedBody}
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		// The client is gone, or we are closing: returning would answer 200.
		panic(http.ErrAbortHandler)
	case isGRPC(r.Header):
		if status, reset := failedStatus(err, isLate(r, time.Now())); reset {
			p.h.cfg.Log.Warn("call was reset", "upstream", p.h.cfg.App.String(), "grpc_status", status)
			writeStatus(w, r, status)
			return
		}
		f = p.h.failed(err)
	default:
		f = p.h.failed(err)
	}
	p.h.refused(f)
	f.Write(w)
}

// truncatedLog is where ReverseProxy reports an answer that ended too early. Its
// words are dropped, since they may quote the answer (I9).
type truncatedLog struct{ p *http2Proxy }

// Write implements io.Writer.
func (b truncatedLog) Write(line []byte) (int, error) {
	b.p.h.cfg.Log.Warn("answer broke off", "upstream", b.p.h.cfg.App.String())
	return len(line), nil
}
