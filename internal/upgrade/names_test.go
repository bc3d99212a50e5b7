package upgrade

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// The app gets names as the client wrote them, in their order; what is ours
// comes behind, as RFCs write it.
func TestNamesAsTheyCame(t *testing.T) {
	const head = "GET /chat HTTP/1.1\r\nHost: x\r\nupgrade: websocket\r\nCONNECTION: Upgrade\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n" +
		"x-b: 1\r\nX-A: 2\r\nX-B: 3\r\nSec-WebSocket-Protocol: chat, wsr.v1\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatal(err)
	}
	hs := Offer{Protocols: []string{"chat"}, Offers: []DeflateParams{{}}}
	kept := r.WithContext(KeepNames(t.Context(), WithNames(t.Context(), []byte(head))))
	const want = "GET /chat HTTP/1.1\r\nHost: x\r\nupgrade: websocket\r\nCONNECTION: Upgrade\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n" +
		"x-b: 1\r\nx-b: 3\r\nX-A: 2\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\nX-Forwarded-Host: x\r\n\r\n"
	if got := string(RequestHead(kept, handshakeHeader(kept, "", hs))); got != want {
		t.Errorf("%q, want\n%q", got, want)
	}
	if got := string(RequestHead(r, handshakeHeader(r, "", hs))); !strings.Contains(got, "\r\nSec-WebSocket-Key: ") || !strings.Contains(got, "\r\nSec-WebSocket-Protocol: chat\r\n") {
		t.Errorf("without names: %q", got)
	}
}
