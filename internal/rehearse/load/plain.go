package load

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/lab/reconnect"
	"github.com/wsresilience/wsresilience/internal/rehearse/tally"
)

// How plain clients behave, which is as well as such clients do.
const (
	plainQueue = 1 << 14 // messages that wait for a connection

	backoffBase   = 250 * time.Millisecond
	backoffMax    = 10 * time.Second
	handshakeWait = 20 * time.Second
)

// fly runs a plain client until ctx ends. It stops to send when loading does.
func (p *pilot) flyPlain(ctx, loading context.Context) {
	wire := &http.Transport{
		TLSClientConfig: p.all.TLS,
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dialCounted(ctx) },
	}
	defer wire.CloseIdleConnections()
	random := p.all.random("backoff", p.account.Number)
	c := reconnect.New("", reconnect.Spec{
		Dial: handshakeWait, Patience: time.Duration(p.all.Profile.Patience), Queue: plainQueue, Binary: p.all.Profile.Binary,
		Backoff: backoff.Policy{Base: backoffBase, Max: backoffMax}, Random: random.Float64,
		Handshake: func(context.Context) (string, *websocket.DialOptions, error) {
			to, h, err := p.handshake()
			return to, &websocket.DialOptions{
				HTTPClient: &http.Client{Transport: wire}, HTTPHeader: h, Host: h.Get("Host"), Subprotocols: p.all.Profile.Subprotocols,
			}, err
		},
		First:     p.hello,
		Failed:    func(err error) { p.all.failed(ctx, tally.Plain, err) },
		Connected: p.connected,
		Message:   p.hear,
		Disconnected: func(err error) {
			if ctx.Err() != nil {
				return
			}
			how := tally.Cut
			if code := websocket.CloseStatus(err); code >= 0 {
				how = strconv.Itoa(int(code))
			}
			p.account.Lost(p.all.Now(), how)
		},
	})
	p.all.loaders.Go(func() {
		p.load(loading, func(n int, payload []byte) { c.SendThen(payload, func() { p.account.Sent(n) }) })
	})
	c.Run(ctx)
}

// dialCounted connects the client's host.
func (p *pilot) dialCounted(ctx context.Context) (net.Conn, error) {
	p.account.Dialled()
	return p.all.Dial(ctx, p.account.Number)
}
