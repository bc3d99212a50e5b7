//go:build nginx

package fronts

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/clientaddr"
	"github.com/wsresilience/wsresilience/proxy"
)

// Behind nginx each client has a limit of its own, since the page's configuration
// says which client it is; and none that nobody set. Where nginx is not trusted all
// are one client.
func TestLimitOfEachClient(t *testing.T) {
	t.Parallel()
	const clients, limit = 30, 2
	nginx := clientaddr.Proxies{netip.MustParsePrefix("127.0.0.1/32")} // the clients are at other addresses of loopback
	for name, c := range map[string]struct {
		limit   int
		trusted clientaddr.Proxies
		taken   int // sessions, when each client tries one more than its limit
	}{
		"as delivered":         {0, clientaddr.Private(), clients * (limit + 1)},
		"limited":              {limit, nginx, clients * limit},
		"limited, not trusted": {limit, nil, limit},
	} {
		n := startNginx(t, startChanged(t, new(app), func(cfg *proxy.Config) {
			cfg.MaxSessionsPerClient, cfg.TrustedProxies = c.limit, c.trusted
		}))
		taken := 0
		for i := range clients {
			from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(i+1))}}
			direct := &http.Client{Transport: &http.Transport{DialContext: from.DialContext}}
			for range limit + 1 {
				conn, resp, err := websocket.Dial(timed(t), "ws://"+n.addr+"/", &websocket.DialOptions{
					HTTPClient: direct,
					HTTPHeader: http.Header{"X-Forwarded-For": {fmt.Sprint("198.51.100.", taken)}}, // its own word
				})
				switch {
				case err == nil:
					taken++
					t.Cleanup(func() { conn.CloseNow() })
				case resp == nil || resp.StatusCode != http.StatusServiceUnavailable:
					t.Fatal(err)
				}
			}
		}
		if taken != c.taken {
			t.Errorf("%s: %d sessions, want %d", name, taken, c.taken)
		}
	}
}
