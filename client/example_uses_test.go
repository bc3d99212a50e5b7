package client_test

import (
	"bufio"
	"context"
	"fmt"
	"log"

	"github.com/wsresilience/wsresilience/client"
)

// What becomes of the session is told while the program reads.
func ExampleConn_Events() {
	ctx := context.Background()
	c, _, err := client.Dial(ctx, "wss://chat.example.com/ws", nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for event := range c.Events() {
			switch event.Kind {
			case client.EventState:
				log.Printf("session %s is %v", c.SessionID(), event.State)
			case client.EventResumed:
				log.Printf("back after %v, nothing is missing", event.Away)
			}
		}
	}()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			log.Fatal(err)
		}
	}
}

// A message that must have been handed to the app before the program goes on.
func ExampleConn_WriteAcked() {
	ctx := context.Background()
	c, _, err := client.Dial(ctx, "wss://orders.example.com/ws", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.WriteAcked(ctx, client.MessageText, []byte(`{"order":66}`)); err != nil {
		log.Fatal(err) // the app may have got it, or not
	}
	fmt.Println("the app has it")
}

// An app that restarted knows nothing of this program, which logs in again
// ahead of all that waits.
func ExampleOptions_adopt() {
	ctx := context.Background()
	c, _, err := client.Dial(ctx, "wss://chat.example.com/ws", &client.Options{
		Restore: func(ctx context.Context, w *client.RestoreWriter) error {
			return w.Write(ctx, client.MessageText, []byte(`{"type":"login"}`))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
}

// A stream of bytes that outlives its connections, for what speaks net.Conn.
func ExampleNetConn() {
	ctx := context.Background()
	c, _, err := client.Dial(ctx, "wss://tunnel.example.com/ws", nil)
	if err != nil {
		log.Fatal(err)
	}
	conn := client.NetConn(ctx, c, client.MessageBinary)
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Println(line, err)
}
