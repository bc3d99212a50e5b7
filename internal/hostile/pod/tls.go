package pod

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
)

// tlsAttacks are what a client tries of a sidecar that speaks TLS.
var tlsAttacks = []attack{
	{"hellos without an end", func(ctx context.Context, t *target) { t.crowd(ctx, 1500, time.Second, helloWithoutEnd) }},
	{"half of a hello", func(ctx context.Context, t *target) { t.crowd(ctx, 1500, time.Second, halfHello) }},
	{"messages of a handshake without an end", func(ctx context.Context, t *target) { t.crowd(ctx, 300, 0, messageWithoutEnd) }},
	{"the same on sessions", func(ctx context.Context, t *target) { t.crowd(ctx, 300, 0, messageOnSession) }},
	{"records without an end", func(ctx context.Context, t *target) { t.crowd(ctx, 500, 0, recordWithoutEnd) }},
	{"handshakes and resets", func(ctx context.Context, t *target) { t.crowd(ctx, 20, 0, shakeAndReset) }},
}

// stranger trusts any sidecar.
var stranger = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is an attacker

func helloWithoutEnd(ctx context.Context, t *target) {
	c := t.dial(ctx)
	if c == nil {
		return
	}
	defer reset(c)
	_, _ = c.Write(certs.PlainRecords(certs.Claimed(certs.ClientHello, 64<<10, 60<<10))) // it may have to go before
	rest(ctx, holds)
}

func halfHello(ctx context.Context, t *target) {
	c := t.dial(ctx)
	if c == nil {
		return
	}
	defer reset(c)
	b := certs.PlainRecords(certs.Claimed(certs.ClientHello, 500, 500))
	_, _ = c.Write(b[:rand.N(len(b))])
	rest(ctx, holds)
}

// keyed shakes hands, and does not say anything.
func (t *target) keyed(ctx context.Context) *certs.Keyed {
	c := t.dial(ctx)
	if c == nil {
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(holds))
	k, err := certs.KeyedClient(c, stranger)
	if err != nil {
		reset(c)
		rest(ctx, 500*time.Millisecond)
		return nil
	}
	return k
}

func messageWithoutEnd(ctx context.Context, t *target) { holdMessage(ctx, t.keyed(ctx)) }

func messageOnSession(ctx context.Context, t *target) { holdMessage(ctx, t.session(ctx)) }

// holdMessage begins the largest message of TLS and never ends it. k may be nil.
func holdMessage(ctx context.Context, k *certs.Keyed) {
	if k == nil {
		return
	}
	defer reset(k.NetConn())
	_ = k.SendMessage(certs.Claimed(certs.Certificate, 256<<10, 256<<10-1)) // it may have to go before
	rest(ctx, holds)
}

// session begins one by TLS.
func (t *target) session(ctx context.Context) *certs.Keyed {
	k := t.keyed(ctx)
	if k == nil {
		return nil
	}
	err := k.SendData(fmt.Appendf(nil, head, "/echo/tls", "wsr, wsr.v1", ""), 0)
	if err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(bufio.NewReader(k), nil); err == nil && resp.StatusCode != http.StatusSwitchingProtocols { //nolint:bodyclose // there is none
			err = fmt.Errorf("refused: %s", resp.Status)
		}
	}
	if err != nil {
		reset(k.NetConn())
		rest(ctx, 500*time.Millisecond)
		return nil
	}
	return k
}

func recordWithoutEnd(ctx context.Context, t *target) {
	k := t.session(ctx)
	if k == nil {
		return
	}
	defer reset(k.NetConn())
	_ = k.SendData(make([]byte, 16<<10), 1+rand.N(16<<10)) // it may have to go before
	rest(ctx, holds)
}

func shakeAndReset(ctx context.Context, t *target) {
	if k := t.keyed(ctx); k != nil {
		reset(k.NetConn())
	}
}
