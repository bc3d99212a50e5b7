// Grpc is a server and a client of gRPC whose calls tell what each side gets, to
// compare them directly and through the sidecar. It is a module of its own, since
// nothing else needs gRPC. Messages are bytes, so that nothing is generated.
//
//	grpc serve <address>
//	grpc call <address>
//	grpc call-tls <address>   without a look at the certificate
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// callTime bounds all calls together.
const callTime = time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: grpc serve|call|call-tls <address>")
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	switch args[0] {
	case "serve":
		return serve(args[1])
	case "call":
		return call(ctx, args[1], insecure.NewCredentials(), os.Stdout)
	case "call-tls":
		return call(ctx, args[1], credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}), os.Stdout) //nolint:gosec // a certificate of this run
	}
	return errors.New("usage: grpc serve|call|call-tls <address>")
}

// A rawCodec passes messages as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}

func (rawCodec) Name() string { return "raw" }
