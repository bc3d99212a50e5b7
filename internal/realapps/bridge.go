package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
)

// A bridge lets a stock client library run over our Go socket: each plain
// WebSocket that it accepts becomes a session with the sidecar. Messages pass
// with their types, and so do closes with their codes. It is safe for
// concurrent use.
type bridge struct {
	sidecar string                           // "ws://host:port"
	trace   func(format string, args ...any) // never nil

	dialled, adopted, resumed atomic.Int64
}

func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The library's own protocols are offered, and what the app chose of them
	// is answered, as if the library had dialled the app.
	remote, answer, err := client.Dial(r.Context(), b.sidecar+r.URL.RequestURI(), &client.Options{Subprotocols: offered(r.Header)})
	if err != nil {
		status := http.StatusBadGateway
		if answer != nil {
			status = answer.StatusCode
		}
		b.trace("dial: %v", err)
		http.Error(w, err.Error(), status)
		return
	}
	defer func() { _ = remote.CloseNow() }()
	if !remote.Resilient() {
		b.trace("dial: there is no sidecar at %s", b.sidecar)
		http.Error(w, "no sidecar", http.StatusBadGateway)
		return
	}
	b.dialled.Add(1)
	accept := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if chosen := remote.Subprotocol(); chosen != "" {
		accept.Subprotocols = []string{chosen}
	}
	local, err := websocket.Accept(w, r, accept)
	if err != nil {
		b.trace("accept: %v", err)
		return
	}
	defer func() { _ = local.CloseNow() }()
	local.SetReadLimit(client.DefaultMaxMessage)
	b.join(r.Context(), local, remote)
}

// offered lists the subprotocols of a handshake.
func offered(h http.Header) []string {
	var list []string
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(p))
		}
	}
	return list
}

// join copies until either side is over.
func (b *bridge) join(ctx context.Context, local *websocket.Conn, remote *client.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		defer cancel()
		b.inbound(ctx, local, remote)
	})
	pumps.Go(func() {
		defer cancel()
		b.outbound(ctx, local, remote)
	})
	pumps.Go(func() { b.count(ctx, remote.Events()) })
	pumps.Wait()
}

// inbound copies from the library to the session.
func (b *bridge) inbound(ctx context.Context, local *websocket.Conn, remote *client.Conn) {
	for {
		typ, p, err := local.Read(ctx)
		if err != nil {
			b.trace("library: %v", err)
			b.closeRemote(remote, err)
			return
		}
		to := client.MessageBinary
		if typ == websocket.MessageText {
			to = client.MessageText
		}
		b.trace("→ %s %.200q", to, p)
		if err := remote.Write(ctx, to, p); err != nil {
			return // outbound is told the same, and passes it on
		}
	}
}

// closeRemote passes the library's close on. What it did not say is not said
// for it: a connection that broke breaks the app's.
func (b *bridge) closeRemote(remote *client.Conn, err error) {
	var said websocket.CloseError
	if !errors.As(err, &said) {
		_ = remote.CloseNow()
		return
	}
	code := int(said.Code)
	if said.Code == websocket.StatusNoStatusRcvd {
		code = int(websocket.StatusNormalClosure) // 1005 cannot be sent
	}
	if err := remote.Close(code, said.Reason); err != nil {
		b.trace("close %d: %v", code, err)
	}
}

// outbound copies from the session to the library.
func (b *bridge) outbound(ctx context.Context, local *websocket.Conn, remote *client.Conn) {
	for {
		typ, p, err := remote.Read(ctx)
		if err != nil {
			b.trace("session: %v", err)
			closeLocal(local, err)
			return
		}
		to := websocket.MessageBinary
		if typ == client.MessageText {
			to = websocket.MessageText
		}
		b.trace("← %s %.200q", typ, p)
		if err := local.Write(ctx, to, p); err != nil {
			return
		}
	}
}

// closeLocal passes the end of the session on. A code that no frame may carry
// is an end without one.
func closeLocal(local *websocket.Conn, err error) {
	var said *client.CloseError
	if errors.As(err, &said) && said.Remote && said.Code != int(websocket.StatusAbnormalClosure) {
		_ = local.Close(websocket.StatusCode(said.Code), said.Reason)
		return
	}
	_ = local.CloseNow()
}

// count tallies what became of the session.
func (b *bridge) count(ctx context.Context, events <-chan client.Event) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			b.trace("session: %s %s, %s", e.Kind, e.Reason, e.State)
			switch e.Kind {
			case client.EventAdopted:
				b.adopted.Add(1)
			case client.EventResumed:
				b.resumed.Add(1)
			}
		}
	}
}
