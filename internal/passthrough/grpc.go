package passthrough

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/page"
)

// gRPC tells how a call has ended by fields behind its messages, and its clients make
// a status of an HTTP/2 stream that is reset. net/http resets ours with one code
// whatever the app's was, and would say 502 where none came yet: to a client one
// failed and the other is worth a retry. So what the reset would have been taken for
// is said in gRPC's own words.

// Status codes of gRPC.
const (
	grpcCancelled         = 1
	grpcDeadlineExceeded  = 4
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcInternal          = 13
	grpcUnavailable       = 14
)

// A streamError is an error of net/http's HTTP/2 about one stream (its As knows the
// shape).
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error " + strconv.Itoa(int(e.Code)) }

// resetStatus is what clients of gRPC make of RST_STREAM with a code. late: the
// call's deadline has passed.
func resetStatus(code uint32, late bool) int {
	switch code {
	case 0x7: // REFUSED_STREAM
		return grpcUnavailable
	case 0x8: // CANCEL
		if late {
			return grpcDeadlineExceeded
		}
		return grpcCancelled
	case 0xb: // ENHANCE_YOUR_CALM
		return grpcResourceExhausted
	case 0xc: // INADEQUATE_SECURITY
		return grpcPermissionDenied
	}
	return grpcInternal
}

// failedStatus is the status of a call whose app failed with err. ok reports whether
// it was the app that has reset the stream.
func failedStatus(err error, late bool) (status int, ok bool) {
	var reset streamError
	if errors.As(err, &reset) {
		return resetStatus(reset.Code, late), true
	}
	return grpcUnavailable, false
}

// isGRPC reports whether a message has the content of gRPC.
func isGRPC(h http.Header) bool { return strings.HasPrefix(h.Get("Content-Type"), "application/grpc") }

// A sentRequest is what is known of one on its way to the app.
type sentRequest struct {
	v2    bool // by HTTP/2
	began time.Time
	page  *page.Request // it may be for a page that gets the page client
}

type sentKey struct{} // of a context: a sentRequest

func sentOf(ctx context.Context) sentRequest {
	s, _ := ctx.Value(sentKey{}).(sentRequest)
	return s
}

// isLate reports whether the deadline of a call has passed.
func isLate(r *http.Request, now time.Time) bool {
	timeout, ok := parseTimeout(r.Header.Get("Grpc-Timeout"))
	return ok && now.Sub(sentOf(r.Context()).began) >= timeout
}

// parseTimeout reads a grpc-timeout: up to eight digits and a unit.
func parseTimeout(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 9 {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	return time.Duration(n) * unit, ok && err == nil
}

// writeStatus answers a call that has had no answer.
func writeStatus(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	h.Set("Content-Type", r.Header.Get("Content-Type"))
	h.Set("Grpc-Status", strconv.Itoa(status))
	w.WriteHeader(http.StatusOK)
}

// A grpcBody ends an answer that breaks off with a status.
type grpcBody struct {
	io.ReadCloser
	resp *http.Response
}

func (b *grpcBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	r := b.resp.Request
	if err == nil || errors.Is(err, io.EOF) || r.Context().Err() != nil {
		return n, err
	}
	status, _ := failedStatus(err, isLate(r, time.Now()))
	b.resp.Trailer = http.Header{"Grpc-Status": {strconv.Itoa(status)}}
	return n, io.EOF
}
