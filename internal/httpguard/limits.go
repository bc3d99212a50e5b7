package httpguard

import "net/http"

// Implementation limits on a request.
const (
	// MaxHeadBytes bounds a request head; the server's MaxHeaderBytes is set
	// from it. Proxies in front cap a head at 8 to 32 KiB.
	MaxHeadBytes = 60 << 10

	// maxHeaderFields bounds the header lines of a request. Each costs far
	// more memory than its bytes.
	maxHeaderFields = 256
)

// TooManyFields reports whether a request has more header lines than are
// taken.
func TooManyFields(h http.Header) bool {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n > maxHeaderFields
}
