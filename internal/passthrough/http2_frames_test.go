package passthrough

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// A frameClient is a connection of HTTP/2 on which anything may be sent.
type frameClient struct {
	t        *testing.T
	conn     net.Conn
	f        *http2.Framer
	hold     bytes.Buffer
	enc      *hpack.Encoder
	next     uint32
	settings map[http2.SettingID]uint32
}

func newFrameClient(t *testing.T, addr string) *frameClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(proxytest.Patience))
	c := &frameClient{t: t, conn: conn, f: http2.NewFramer(conn, conn), next: 1, settings: map[http2.SettingID]uint32{}}
	c.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.enc = hpack.NewEncoder(&c.hold)
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = c.f.WriteSettings()
	return c
}

// headers sends a block of fields, each "name: value", and returns its stream.
func (c *frameClient) headers(stream uint32, ends bool, fields ...string) uint32 {
	c.t.Helper()
	if stream == 0 {
		stream = c.next
		c.next += 2
	}
	c.hold.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f[1:], ": ")
		_ = c.enc.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: value})
	}
	if err := c.f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.hold.Bytes(), EndStream: ends, EndHeaders: true}); err != nil {
		c.t.Fatal(err)
	}
	return stream
}

func (c *frameClient) data(stream uint32, ends bool, p string) {
	c.t.Helper()
	if err := c.f.WriteData(stream, ends, []byte(p)); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a request without a body, and returns what is answered.
func (c *frameClient) ask(method, path string, fields ...string) []string {
	c.t.Helper()
	return c.answer(c.headers(0, true, append(request2(method, path), fields...)...))
}

func request2(method, path string) []string {
	return []string{":method: " + method, ":scheme: http", ":authority: shop.example", ":path: " + path}
}

// answer reads frames until a stream has ended. A block of fields is a line for
// each, and END where the stream ends; data is a line, RST another.
func (c *frameClient) answer(stream uint32) (lines []string) {
	c.t.Helper()
	for {
		frame, err := c.f.ReadFrame()
		if err != nil {
			c.t.Fatalf("%v, after %q", err, lines)
		}
		if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = s.ForeachSetting(func(s http2.Setting) error { c.settings[s.ID] = s.Val; return nil })
			_ = c.f.WriteSettingsAck()
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok && g.ErrCode != 0 {
			return append(lines, "GOAWAY "+g.ErrCode.String())
		}
		if frame.Header().StreamID != stream {
			continue
		}
		ends := false
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				lines = append(lines, h.Name+": "+h.Value)
			}
			ends = f.StreamEnded()
		case *http2.DataFrame:
			lines = append(lines, fmt.Sprintf("DATA %q", f.Data()))
			ends = f.StreamEnded()
		case *http2.RSTStreamFrame:
			return append(lines, "RST "+f.ErrCode.String())
		}
		if ends {
			return append(lines, "END")
		}
	}
}
