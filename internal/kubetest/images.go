package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Images that are made here. The app is somebody else's, unchanged.
const (
	echoImage  = "example.com/echo:dev" // as examples/echo has it
	natsImage  = "docker.io/library/nats:2.15.2-alpine"
	crowdImage = "example.com/kubetest:dev"
)

// images builds what the cluster will run, and loads it into its nodes.
func (s *stage) images(ctx context.Context) error {
	if s.imageTar != "" {
		if err := s.load(ctx, s.imageTar); err != nil {
			return err
		}
	}
	gorilla, err := s.output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gorilla/websocket")
	if err != nil {
		return err
	}
	for _, b := range []struct{ image, binary, source string }{
		{echoImage, "server", filepath.Join(strings.TrimSpace(gorilla), "examples", "echo", "server.go")},
		{natsImage, "nats-server", "github.com/nats-io/nats-server/v2"},
		{crowdImage, "kubetest", "./internal/kubetest"},
	} {
		s.say("building %s", b.image)
		binary := filepath.Join(s.work, b.binary)
		if _, err := s.output(ctx, "env", "CGO_ENABLED=0", "GOOS=linux", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, b.source); err != nil {
			return err
		}
		tar := binary + ".tar"
		out, err := os.Create(tar)
		if err != nil {
			return err
		}
		err = writeImage(out, b.image, binary, runtime.GOARCH)
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("image %s: %w", b.image, err)
		}
		if err := s.load(ctx, tar); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) load(ctx context.Context, tar string) error {
	_, err := s.output(ctx, s.importer[0], append(s.importer[1:len(s.importer):len(s.importer)], tar)...)
	return err
}
