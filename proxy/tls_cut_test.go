package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// An answer without a length ends with its connection: one that an app breaks off
// must not look as if it had ended, by TLS either.
func TestAnswerBrokenOffByTLS(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of it")
		if r.URL.Path == "/broken" {
			time.Sleep(50 * time.Millisecond) // or the reset takes the half back
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}))
	defer app.Close()
	authority := certs.NewAuthority()
	cert, key, err := authority.Issue("app").Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, addr := startServer(t, app.URL, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	for path, whole := range map[string]bool{"/whole": true, "/broken": false} {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: authority.Pool(), ServerName: "app"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app\r\n\r\n", path)
		text, err := io.ReadAll(c)
		if (err == nil) != whole {
			t.Errorf("%s: read %q, %v", path, text, err)
		}
	}
}
