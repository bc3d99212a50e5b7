// Libraries is a forwarder on event-loop libraries, to compare with the
// sidecar's own loop. It is a module of its own, since the product uses neither.
//
//	libraries gnet|netpoll <listen> <upstream>
//
// It forwards bytes and does nothing else: no WebSocket frames, no heartbeats.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/cloudwego/netpoll"
	"github.com/panjf2000/gnet/v2"
)

// oneLoop is what the sidecar has on two processors.
const oneLoop = 1

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: libraries gnet|netpoll <listen> <upstream>")
		os.Exit(2)
	}
	var err error
	switch kind := os.Args[1]; kind {
	case "gnet":
		err = runGnet(os.Args[2], os.Args[3])
	case "netpoll":
		err = runNetpoll(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("library %q: gnet and netpoll are known", kind)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "libraries:", err)
		os.Exit(1)
	}
}

// gnetEvents forwards between connections whose context is their peer.
type gnetEvents struct{ gnet.BuiltinEventEngine }

// gnetPeer is where a connection's bytes go to; it comes a moment after the
// connection.
type gnetPeer struct{ known chan gnet.Conn }

func (p gnetPeer) conn() gnet.Conn {
	c := <-p.known
	p.known <- c
	return c
}

func (gnetEvents) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Next(-1)
	if err == nil {
		_, err = c.Context().(gnetPeer).conn().Write(b)
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}

func (gnetEvents) OnClose(c gnet.Conn, _ error) gnet.Action {
	_ = c.Context().(gnetPeer).conn().Close()
	return gnet.None
}

func runGnet(listen, upstream string) error {
	loop, err := gnet.NewClient(&gnetEvents{}, gnet.WithNumEventLoop(oneLoop), gnet.WithTCPNoDelay(gnet.TCPNoDelay))
	if err != nil {
		return err
	}
	if err := loop.Start(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		client, err := ln.Accept()
		if err != nil {
			return err
		}
		app, err := net.Dial("tcp", upstream)
		if err != nil {
			client.Close()
			continue
		}
		toApp, toClient := gnetPeer{make(chan gnet.Conn, 1)}, gnetPeer{make(chan gnet.Conn, 1)}
		a, err := loop.EnrollContext(app, toClient)
		if err != nil {
			return err
		}
		toApp.known <- a
		c, err := loop.EnrollContext(client, toApp)
		if err != nil {
			return err
		}
		toClient.known <- c
	}
}

func runNetpoll(listen, upstream string) error {
	if err := netpoll.SetNumLoops(oneLoop); err != nil {
		return err
	}
	ln, err := netpoll.CreateListener("tcp", listen)
	if err != nil {
		return err
	}
	type peer struct{}
	dialer := netpoll.NewDialer()
	opened := func(ctx context.Context, client netpoll.Connection) context.Context {
		app, err := dialer.DialConnection("tcp", upstream, 5*time.Second)
		if err == nil {
			err = errors.Join(
				app.SetOnRequest(func(_ context.Context, app netpoll.Connection) error { return pass(app, client) }),
				app.AddCloseCallback(func(netpoll.Connection) error { return client.Close() }),
				client.AddCloseCallback(func(netpoll.Connection) error { return app.Close() }))
		}
		if err != nil {
			client.Close()
			return ctx
		}
		return context.WithValue(ctx, peer{}, app)
	}
	loop, err := netpoll.NewEventLoop(func(ctx context.Context, client netpoll.Connection) error {
		return pass(client, ctx.Value(peer{}).(netpoll.Connection))
	}, netpoll.WithOnConnect(opened))
	if err != nil {
		return err
	}
	return loop.Serve(ln)
}

// pass forwards what has come.
func pass(from, to netpoll.Connection) error {
	b, err := from.Reader().Next(from.Reader().Len())
	if err != nil {
		return err
	}
	if _, err := to.Writer().WriteBinary(b); err != nil {
		return err
	}
	if err := to.Writer().Flush(); err != nil {
		return err
	}
	return from.Reader().Release()
}
