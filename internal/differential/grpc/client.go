package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A caller makes calls and tells what comes of them.
type caller struct {
	conn *grpc.ClientConn
	w    io.Writer
}

func call(ctx context.Context, address string, security credentials.TransportCredentials, w io.Writer) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(security), grpc.WithUserAgent("peer"),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return err
	}
	defer conn.Close()
	c := &caller{conn, w}
	c.unary(ctx, "hello", []byte("hello"))
	c.unary(ctx, "empty", nil)
	c.unary(ctx, "4 MB", bytes.Repeat([]byte("x"), 4<<20))
	c.unary(ctx, "compressed", bytes.Repeat([]byte("x"), 100_000), grpc.UseCompressor(gzip.Name))
	c.unary(ctx, "an error", []byte("fail"))
	md := metadata.AppendToOutgoingContext(ctx, "x-ask", "1", "x-ask", "2", "x-ask-bin", "\x00\xfe")
	limited, cancel := context.WithTimeout(md, 20*time.Second)
	c.unary(limited, "metadata", []byte("metadata"))
	cancel()
	limited, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
	in := []byte("wait")
	err = c.conn.Invoke(limited, "/test.Echo/Unary", &in, new([]byte))
	c.tell("a deadline: %s", status.Code(err)) // either side may be the first to say so
	cancel()
	c.await(ctx)
	c.method(ctx, "/test.Echo/None")
	c.method(ctx, "/none/None")
	for _, in := range []string{"numbers", "fail", "fail at once"} {
		c.serverStream(ctx, in)
	}
	c.clientStream(ctx, "last")
	c.clientStream(ctx, "enough")
	c.bothStreams(ctx)
	c.old(ctx)
	return nil
}

func (c *caller) tell(format string, args ...any) { fmt.Fprintf(c.w, format+"\n", args...) }

// outcome is how a call has ended, with what came beside its messages.
func (c *caller) outcome(err error, head, tail metadata.MD) string {
	s, _ := status.FromError(err)
	return fmt.Sprintf("%s %q, head %s, tail %s", s.Code(), s.Message(), sorted(head), sorted(tail))
}

func sorted(md metadata.MD) string {
	var list []string
	for k, v := range md {
		list = append(list, fmt.Sprintf("%s %q", k, v))
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

func (c *caller) unary(ctx context.Context, name string, in []byte, opts ...grpc.CallOption) {
	var out []byte
	var head, tail metadata.MD
	err := c.conn.Invoke(ctx, "/test.Echo/Unary", &in, &out, append(opts, grpc.Header(&head), grpc.Trailer(&tail))...)
	c.tell("%s: %.80q of %d, same %v, %s", name, out, len(out), bytes.Equal(in, out), c.outcome(err, head, tail))
}

// await tells when the server has heard of a call that was given up.
func (c *caller) await(ctx context.Context) {
	in, out := []byte("cancelled"), []byte(nil)
	for string(out) != "true" && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		_ = c.conn.Invoke(ctx, "/test.Echo/Unary", &in, &out)
	}
	c.tell("the server has heard of the end: %s", out)
}

func (c *caller) method(ctx context.Context, name string) {
	in, out := []byte("x"), []byte(nil)
	var head, tail metadata.MD
	err := c.conn.Invoke(ctx, name, &in, &out, grpc.Header(&head), grpc.Trailer(&tail))
	c.tell("%s: %s", name, c.outcome(err, head, tail))
}

func (c *caller) stream(ctx context.Context, name string) grpc.ClientStream {
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/"+name)
	if err != nil {
		c.tell("%s: %v", name, err)
		return nil
	}
	return s
}

// rest tells what still comes.
func (c *caller) rest(name string, s grpc.ClientStream) {
	for {
		var out []byte
		err := s.RecvMsg(&out)
		if err == nil {
			c.tell("%s: %q", name, out)
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		head, _ := s.Header()
		c.tell("%s: %s", name, c.outcome(err, head, s.Trailer()))
		return
	}
}

func (c *caller) serverStream(ctx context.Context, in string) {
	if s := c.stream(ctx, "Server"); s != nil {
		b := []byte(in)
		_ = s.SendMsg(&b)
		_ = s.CloseSend()
		c.rest("server stream, "+in, s)
	}
}

func (c *caller) clientStream(ctx context.Context, last string) {
	if s := c.stream(ctx, "Client"); s != nil {
		for i := range 50 {
			b := bytes.Repeat([]byte("y"), i*100)
			_ = s.SendMsg(&b)
		}
		b := []byte(last)
		_ = s.SendMsg(&b)
		if last != "enough" {
			_ = s.CloseSend()
		}
		c.rest("client stream, "+last, s)
	}
}

func (c *caller) bothStreams(ctx context.Context) {
	s := c.stream(ctx, "Both")
	if s == nil {
		return
	}
	for i := range 20 {
		b, out := fmt.Appendf(nil, "turn %d", i), []byte(nil)
		if err := errors.Join(s.SendMsg(&b), s.RecvMsg(&out)); err != nil || !bytes.Equal(b, out) {
			c.tell("both: %q, %v", out, err)
			return
		}
	}
	_ = s.CloseSend()
	c.rest("both", s)
}

// old calls for longer than the server keeps a connection, with a stream that goes on
// over its GOAWAY.
func (c *caller) old(ctx context.Context) {
	s := c.stream(ctx, "Both")
	if s == nil {
		return
	}
	failed := 0
	for end := time.Now().Add(3 * maxAge); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		b, out := []byte("still"), []byte(nil)
		if err := errors.Join(s.SendMsg(&b), s.RecvMsg(&out)); err != nil {
			c.tell("a stream over GOAWAY: %v", err)
			return
		}
		if err := c.conn.Invoke(ctx, "/test.Echo/Unary", &b, &out); err != nil {
			failed++
		}
	}
	_ = s.CloseSend()
	c.rest("a stream over GOAWAY", s)
	c.tell("calls over GOAWAY: %d failed", failed)
}
