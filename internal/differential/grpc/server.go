package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // a compression that both sides have
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxAge is how long the server keeps a connection before it says GOAWAY.
const maxAge = 500 * time.Millisecond

// cancelled counts the calls whose client went away.
var cancelled atomic.Int64

func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.MaxRecvMsgSize(16<<20),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: maxAge, MaxConnectionAgeGrace: 10 * time.Second}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Server", Handler: serverStream, ServerStreams: true},
			{StreamName: "Client", Handler: clientStream, ClientStreams: true},
			{StreamName: "Both", Handler: bothStreams, ServerStreams: true, ClientStreams: true},
		},
	}, struct{}{})
	return s.Serve(l)
}

// unary answers with the message and what it knows of the call, or fails as the
// message says.
func unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in []byte
	if err := decode(&in); err != nil {
		return nil, err
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", "1", "x-head", "2", "x-head-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "grüße"))
	switch text := string(in); {
	case strings.HasPrefix(text, "fail"):
		return nil, status.Error(codes.FailedPrecondition, "it says so: 100% – ü\n")
	case text == "wait":
		<-ctx.Done()
		cancelled.Add(1)
		return nil, status.FromContextError(ctx.Err()).Err()
	case text == "cancelled":
		out := []byte(fmt.Sprint(cancelled.Load() > 0))
		return &out, nil
	case text == "metadata":
		md, _ := metadata.FromIncomingContext(ctx)
		end, ok := ctx.Deadline()
		out := fmt.Appendf(nil, "%q %q %q, deadline %v", md.Get("x-ask"), md.Get("x-ask-bin"), md.Get("user-agent"), ok && time.Until(end) > 0)
		return &out, nil
	}
	return &in, nil
}

// serverStream sends ten messages, and then fails if it was asked to.
func serverStream(_ any, s grpc.ServerStream) error {
	var in []byte
	if err := s.RecvMsg(&in); err != nil {
		return err
	}
	if string(in) == "fail at once" { // trailers only
		return status.Error(codes.NotFound, "none")
	}
	for i := range 10 {
		out := fmt.Appendf(nil, "%s %d", in, i)
		if err := s.SendMsg(&out); err != nil {
			return err
		}
	}
	s.SetTrailer(metadata.Pairs("x-sent", "10"))
	if string(in) == "fail" {
		return status.Error(codes.DataLoss, "behind ten")
	}
	return nil
}

func clientStream(_ any, s grpc.ServerStream) error {
	total, n := 0, 0
	for {
		var in []byte
		err := s.RecvMsg(&in)
		if errors.Is(err, io.EOF) {
			out := fmt.Appendf(nil, "%d messages, %d bytes", n, total)
			return s.SendMsg(&out)
		}
		if err != nil {
			return err
		}
		n, total = n+1, total+len(in)
		if string(in) == "enough" { // an answer before the client has ended
			out := []byte("early")
			return s.SendMsg(&out)
		}
	}
}

// bothStreams answers each message before it reads the next.
func bothStreams(_ any, s grpc.ServerStream) error {
	for {
		var in []byte
		if err := s.RecvMsg(&in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := s.SendMsg(&in); err != nil {
			return err
		}
	}
}
