package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
)

func Example() {
	// Any WebSocket server will do; with a sidecar in front of it the session
	// outlives its connections.
	app := httptest.NewServer(http.HandlerFunc(greeter))
	defer app.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, _, err := client.Dial(ctx, app.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()

	if err := c.Write(ctx, client.MessageText, []byte("world")); err != nil {
		fmt.Println(err)
		return
	}
	_, msg, err := c.Read(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, resilient: %v\n", msg, c.Resilient())
	fmt.Println(c.Close(1000, "done"))
	// Output:
	// hello world, resilient: false
	// <nil>
}

func greeter(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		typ, name, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), typ, append([]byte("hello "), name...)) != nil {
			return
		}
	}
}
