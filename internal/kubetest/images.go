package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Images that are made here. The app is a public example, unchanged.
const (
	echoImage   = "example.com/echo:dev" // as examples/echo has it
	natsImage   = "docker.io/library/nats:2.15.2-alpine"
	clientImage = "example.com/kubetest:dev"
)

// images builds what the cluster will run, and loads it into its nodes.
func (c *cluster) images(ctx context.Context) error {
	if c.imageTar != "" {
		if err := c.load(ctx, c.imageTar); err != nil {
			return err
		}
	}
	gorilla, err := c.output(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gorilla/websocket")
	if err != nil {
		return err
	}
	for _, b := range []struct{ image, binary, source string }{
		{echoImage, "server", filepath.Join(strings.TrimSpace(gorilla), "examples", "echo", "server.go")},
		{natsImage, "nats-server", "github.com/nats-io/nats-server/v2"},
		{clientImage, "kubetest", "./internal/kubetest"},
	} {
		c.say("building %s", b.image)
		binary := filepath.Join(c.work, b.binary)
		if _, err := c.output(ctx, "env", "CGO_ENABLED=0", "GOOS=linux", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, b.source); err != nil {
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
		if err := c.load(ctx, tar); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) load(ctx context.Context, tar string) error {
	_, err := c.output(ctx, c.importer[0], append(c.importer[1:len(c.importer):len(c.importer)], tar)...)
	return err
}
