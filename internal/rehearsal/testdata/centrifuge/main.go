// Centrifuge is a server on the library of Centrifugo, with recovery, that answers
// each message with itself, or as many clients of it as are asked for. It is a
// module of its own, since the product uses neither. It speaks JSON lines:
//
//	centrifuge server 127.0.0.1:8080   {"ready":true}
//	centrifuge clients                 in:  {"c":1,"connect":"127.0.0.1:8080"}, {"c":1,"n":5}
//	                                   out: {"c":1,"is":"up"}, "resumed", "down" or "lost"; {"c":1,"n":5} for an answer
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	server "github.com/centrifugal/centrifuge"
	client "github.com/centrifugal/centrifuge-go"
)

// What a channel keeps for those who come back.
const (
	historySize = 1000
	historyTime = 2 * time.Minute
)

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == "server" {
		err = serve(os.Args[2])
	} else {
		err = clients()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge:", err)
		os.Exit(1)
	}
}

var out sync.Mutex

func say(line any) {
	text, _ := json.Marshal(line) // of ints and strings
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

// serve has a channel for each client, which publishes into it and hears itself.
func serve(addr string) error {
	node, err := server.New(server.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, server.ConnectEvent) (server.ConnectReply, error) {
		return server.ConnectReply{Credentials: &server.Credentials{}}, nil
	})
	node.OnConnect(func(c *server.Client) {
		c.OnSubscribe(func(_ server.SubscribeEvent, done server.SubscribeCallback) {
			done(server.SubscribeReply{Options: server.SubscribeOptions{EnableRecovery: true}}, nil)
		})
		c.OnPublish(func(e server.PublishEvent, done server.PublishCallback) {
			r, err := node.Publish(e.Channel, e.Data, server.WithHistory(historySize, historyTime))
			done(server.PublishReply{Result: &r}, err)
		})
	})
	if err := node.Run(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	say(map[string]bool{"ready": true})
	return http.Serve(ln, server.NewWebsocketHandler(node, server.WebsocketConfig{})) // its peers are ours
}

type order struct {
	C       int    `json:"c"`
	N       int    `json:"n"`
	Connect string `json:"connect"`
}

type event struct {
	C  int    `json:"c"`
	Is string `json:"is"`
}

type answer struct {
	C int `json:"c"`
	N int `json:"n"`
}

// waiting is how many messages of a client may wait to be published.
const waiting = 1 << 16

func clients() error {
	queues := map[int]chan answer{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		if o.Connect != "" {
			sub, err := connect(o.C, o.Connect)
			if err != nil {
				return err
			}
			queue := make(chan answer, waiting)
			queues[o.C] = queue
			go publish(sub, queue)
			continue
		}
		queues[o.C] <- answer{o.C, o.N}
	}
	return nil
}

// publish publishes one message after the other, so that they keep their order.
// While there is no connection it waits for one, for its ReadTimeout.
func publish(sub *client.Subscription, queue <-chan answer) {
	for a := range queue {
		text, _ := json.Marshal(a) // of ints
		_, _ = sub.Publish(context.Background(), text)
	}
}

func connect(c int, to string) (*client.Subscription, error) {
	conn := client.NewJsonClient("ws://"+to, client.Config{})
	sub, err := conn.NewSubscription(fmt.Sprint("own", c), client.SubscriptionConfig{Recoverable: true})
	if err != nil {
		return nil, err
	}
	conn.OnConnecting(func(client.ConnectingEvent) { say(event{c, "down"}) })
	before := false
	sub.OnSubscribed(func(e client.SubscribedEvent) {
		if before && !e.Recovered {
			say(event{c, "lost"})
		}
		is := "up"
		if before && e.Recovered {
			is = "resumed"
		}
		before = true
		say(event{c, is})
	})
	sub.OnPublication(func(e client.PublicationEvent) {
		var a answer
		if json.Unmarshal(e.Data, &a) == nil {
			say(a)
		}
	})
	if err := sub.Subscribe(); err != nil {
		return nil, err
	}
	return sub, conn.Connect()
}
