package endtoend

import (
	"net/http"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
)

// coderEcho and gorillaEcho are echo apps that we did not write. Both
// compress when they are asked to.
func coderEcho(w http.ResponseWriter, r *http.Request) {
	c, err := coder.Accept(w, r, &coder.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"echo"}, CompressionMode: coder.CompressionContextTakeover, CompressionThreshold: 1})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		typ, p, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), typ, p) != nil {
			return
		}
	}
}

func gorillaEcho(w http.ResponseWriter, r *http.Request) {
	up := gorilla.Upgrader{EnableCompression: true, Subprotocols: []string{"echo"}, CheckOrigin: func(*http.Request) bool { return true }}
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		typ, p, err := c.ReadMessage()
		if err != nil || c.WriteMessage(typ, p) != nil {
			return
		}
	}
}

var echoApps = []struct {
	name  string
	serve http.HandlerFunc
}{{"coder", coderEcho}, {"gorilla", gorillaEcho}}

func eachApp(t *testing.T, fn func(t *testing.T, app http.Handler)) {
	for _, a := range echoApps {
		t.Run(a.name, func(t *testing.T) { fn(t, a.serve) })
	}
}
