package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// grpcProgram builds the program of internal/differential/grpc, a module of its own,
// since nothing else needs gRPC.
func grpcProgram(ctx context.Context, dir string) (string, error) {
	file := filepath.Join(dir, "grpc-peer")
	build := exec.CommandContext(ctx, "go", "build", "-C", "internal/differential/grpc", "-o", file, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build internal/differential/grpc: %w: %s", err, out)
	}
	return file, nil
}

// grpcServe starts its server.
func grpcServe(ctx context.Context, dir string, port int) (func(), error) {
	file, err := grpcProgram(ctx, dir)
	if err != nil {
		return nil, err
	}
	return process(file, "serve", "127.0.0.1:PORT")(ctx, dir, port)
}

// grpcCall makes its calls, by the mode's kind of connection.
func grpcCall(mode string) talk {
	return func(ctx context.Context, dir, addr string) (string, error) {
		return tells(ctx, dir, filepath.Join(dir, "grpc-peer"), mode, addr)
	}
}
