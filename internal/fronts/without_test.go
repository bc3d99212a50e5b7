//go:build nginx

package fronts

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/wire"
)

// What the page promises to who leaves a line out.

func TestWithoutALineTheHandshakeFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edit
		status int
	}{
		{edit{"proxy_http_version 1.1;", "proxy_http_version 1.0;"}, http.StatusUpgradeRequired}, // the app's
		{edit{"proxy_set_header Upgrade $http_upgrade;", ""}, http.StatusUpgradeRequired},
		{edit{"proxy_set_header Connection $connection_upgrade;", ""}, http.StatusUpgradeRequired},
		{edit{"proxy_set_header Host $http_host;", ""}, http.StatusForbidden},
	} {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			n := front(t, new(app), usual, c.edit)
			_, resp, err := plain(t, n.addr, "/")
			if err == nil || resp == nil || resp.StatusCode != c.status {
				t.Fatalf("%v, %v; want %d", resp, err, c.status)
			}
		})
	}
}

// What the app is told of the client, by what nginx says.
func TestForwardedHeadersFollow(t *testing.T) {
	t.Parallel()
	const proto = "proxy_set_header X-Forwarded-Proto $scheme;"
	for _, c := range []struct {
		edit
		header, want string
	}{
		{edit{"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", ""}, "X-Forwarded-For", "127.0.0.1"}, // nginx alone
		{edit{proto, "proxy_set_header X-Forwarded-Proto https;"}, "X-Forwarded-Proto", "https"},
		{edit{proto, ""}, "X-Forwarded-Proto", ""}, // it is not known
	} {
		t.Run(c.header+" "+c.want, func(t *testing.T) {
			t.Parallel()
			a := &app{seen: make(chan http.Header, 1)}
			n := front(t, a, usual, c.edit)
			mustPlain(t, n.addr, "/seen")
			if got := (<-a.seen).Get(c.header); got != c.want {
				t.Errorf("%s is %q, want %q", c.header, got, c.want)
			}
		})
	}
}

// The longest token passes with the page's buffers, and is refused with
// smaller ones.
func TestHeaderBuffers(t *testing.T) {
	t.Parallel()
	buffers := edit{"large_client_header_buffers 4 8k;", "large_client_header_buffers 4 1k;"}
	for _, c := range []struct {
		name   string
		edits  []edit
		status int
	}{
		{"as documented", nil, http.StatusSwitchingProtocols},
		{"of 1 KiB", []edit{buffers}, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := front(t, new(app), usual, c.edits...)
			if got := present(t, n.addr, strings.Repeat("A", wire.MaxToken)); got != c.status {
				t.Errorf("%d, want %d", got, c.status)
			}
		})
	}
}

// present asks for a resume and returns the status. The sidecar takes the
// upgrade of a token that it does not know, and tells the client why.
func present(t *testing.T, addr, token string) int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := "GET / HTTP/1.1\r\nHost: " + addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Protocol: wsr, wsr.v1, wsr.resume." + token + ".4294967295.4294967295\r\n\r\n"
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
