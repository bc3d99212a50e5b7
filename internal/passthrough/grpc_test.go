package passthrough

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// An answer may end before the request has: the client hears of that at once, as a
// gRPC client must that goes on to send.
func TestHTTP2AnswerEndsFirst(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		w.Header()["Date"], w.Header()["Content-Type"], w.Header()["Content-Length"] = nil, nil, nil
		_, _ = io.WriteString(w, "early")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "9")
	})
	for scheme, field := range map[string]string{"http": "x: y", "https": "content-type: application/grpc"} {
		c := newFrameClient(t, newFront(t, a.URL, func(c *Config) { c.Scheme = scheme }).addr)
		for range 20 {
			s := c.headers(0, false, append(request2("POST", "/"), field)...)
			c.data(s, false, "hello")
			c.data(s, false, "hello")
			if got, want := c.answer(s), []string{":status: 200", `DATA "early"`, "grpc-status: 9", "END"}; !slices.Equal(got, want) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	// To an app of HTTP/1 likewise.
	_, f := newApp1(t, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
	c := newFrameClient(t, f.addr)
	s := c.headers(0, false, append(request2("POST", "/"), "content-length: 100000")...)
	c.data(s, false, "hello")
	got := slices.DeleteFunc(c.answer(s), func(s string) bool { return s == `DATA ""` })
	if want := []string{":status: 401", "content-length: 2", `DATA "no"`, "END"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// resetApp resets each stream with a code, or breaks the connection, before or behind
// its answer has begun.
func resetApp(t *testing.T, code http2.ErrCode, begun, breaks bool) net.Listener {
	return byteApp(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		f := http2.NewFramer(c, c)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
				_ = f.WriteSettingsAck()
			}
			h, ok := frame.(*http2.HeadersFrame)
			if !ok {
				continue
			}
			if begun {
				var b bytes.Buffer
				e := hpack.NewEncoder(&b)
				_ = e.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				_ = e.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/grpc"})
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: b.Bytes(), EndHeaders: true})
				_ = f.WriteData(h.StreamID, false, []byte("message"))
				time.Sleep(20 * time.Millisecond) // so that it is passed on
			}
			if breaks {
				return
			}
			_ = f.WriteRSTStream(h.StreamID, code)
		}
	})
}

// What the app's reset would have been taken for is what the client is told.
func TestGRPCResets(t *testing.T) {
	for _, tc := range []struct {
		code    http2.ErrCode
		timeout string
		want    string
	}{
		{http2.ErrCodeCancel, "10S", "1"}, {http2.ErrCodeCancel, "1n", "4"}, {http2.ErrCodeInternal, "10S", "13"},
		{http2.ErrCodeEnhanceYourCalm, "10S", "8"}, {http2.ErrCodeInadequateSecurity, "10S", "7"},
	} {
		for _, begun := range []bool{false, true} {
			c := newFrameClient(t, newFront(t, urlOf(resetApp(t, tc.code, begun, false))).addr)
			got := c.ask("POST", "/", "content-type: application/grpc", "grpc-timeout: "+tc.timeout)
			want := []string{":status: 200", "content-type: application/grpc"}
			if begun {
				want = append(want, `DATA "message"`)
			}
			if want = append(want, "grpc-status: "+tc.want, "END"); !slices.Equal(got, want) {
				t.Errorf("%v, begun %v: %q, want %q", tc.code, begun, got, want)
			}
		}
	}
	c := newFrameClient(t, newFront(t, urlOf(resetApp(t, 0, true, true))).addr)
	if got, want := c.ask("POST", "/", "content-type: application/grpc"), []string{":status: 200", "content-type: application/grpc", `DATA "message"`, "grpc-status: 14", "END"}; !slices.Equal(got, want) {
		t.Errorf("a broken connection: %q, want %q", got, want)
	}
	c = newFrameClient(t, newFront(t, urlOf(resetApp(t, 0, false, true))).addr)
	if got := c.ask("POST", "/", "content-type: application/grpc"); got[0] != ":status: 502" { // UNAVAILABLE to gRPC
		t.Errorf("no answer: %q", got)
	}
}

func TestParseTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "99999999m": 99999999 * time.Millisecond, "5u": 5 * time.Microsecond, "6n": 6,
		"": -1, "S": -1, "1": -1, "1s": -1, "-1S": -1, "123456789S": -1, "1.5S": -1,
	} {
		if d, ok := parseTimeout(s); ok != (want >= 0) || ok && d != want {
			t.Errorf("%q: %v, %v", s, d, ok)
		}
	}
}
