package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// defaults is what a WebSocket needs of nginx at all, and no more: all times are
// nginx's own.
const defaults = `

map $http_upgrade $connection_upgrade {
	default upgrade;
	''      '';
}
server {
	listen 80;
	location / {
		proxy_pass http://my-app:80;
		proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
	}
}
`

const proxiesPage = "docs/PROXIES.md"

var nginxBlock = regexp.MustCompile("(?ms)^```nginx\n(.*?)^```$")

// documented is the configuration that docs/PROXIES.md shows.
func documented() (string, error) {
	text, err := os.ReadFile(proxiesPage)
	if err != nil {
		return "", fmt.Errorf("%w: run this in the root of the source", err)
	}
	found := nginxBlock.FindSubmatch(text)
	if found == nil {
		return "", errors.New(proxiesPage + " shows no configuration of nginx")
	}
	return string(found[1]), nil
}

// nginxFrame is what is around either.
const nginxFrame = `daemon off;
worker_processes 1;
pid DIR/nginx.pid;
error_log DIR/log error;
events { worker_connections 2048; }
MAIN
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
HTTP
}
`

// nginxWait bounds its start.
const nginxWait = 30 * time.Second

type nginx struct {
	*proc.Process
	addr string
}

// startNginx starts it in front of upstream and waits until it listens. What
// stands in front of the first blank line of conf is for the main context.
func (b *runner) startNginx(ctx context.Context, conf, upstream string) (*nginx, error) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errors.New("nginx is missing: install it")
	}
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return nil, err
	}
	inMain, inHTTP, _ := strings.Cut(conf, "\n\n")
	inHTTP = strings.NewReplacer("listen 80;", "listen "+free[0]+";", "my-app:80", upstream).Replace(inHTTP)
	text := strings.NewReplacer("DIR", dir, "MAIN", inMain, "HTTP", inHTTP).Replace(nginxFrame)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	// Its worker is another user, who has to reach the folders.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return nil, err
	}
	p, err := b.starter.Start("nginx", exec.Command(bin, "-p", dir, "-e", "stderr", "-c", file))
	if err != nil {
		return nil, err
	}
	err = proc.Until(ctx, nginxWait, 20*time.Millisecond, func() bool { return p.Ended() || proc.Listens(free[0]) })
	if err != nil || p.Ended() {
		p.Kill()
		return nil, p.Failure("does not listen")
	}
	return &nginx{p, free[0]}, nil
}
