package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// nginxConf is the WebSocket proxy of nginx's own documentation, in one
// process, so that its time and memory are those of one pid. Its connections
// are laid out at its start, two for each of at most 4,096 sessions.
const nginxConf = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr;
worker_rlimit_nofile 65536;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s;
		location / {
			proxy_pass http://%[3]s;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_read_timeout 1h;
		}
	}
}
`

// startNginx starts nginx in front of upstream and waits until it listens.
func (r *rig) startNginx(upstream string) (*child, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp(r.dir, "nginx-")
	if err != nil {
		return nil, "", err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, upstream), 0o600); err != nil {
		return nil, "", err
	}
	c, err := r.start("nginx", exec.CommandContext(r.ctx, r.nginx, "-p", dir, "-e", "stderr", "-c", conf))
	if err != nil {
		return nil, "", err
	}
	for begin := time.Now(); time.Since(begin) < readyLimit; time.Sleep(readyPoll) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return c, addr, conn.Close()
		}
		select {
		case <-c.over:
			return nil, "", c.failure(fmt.Sprint("ended at its start: ", c.err))
		default:
		}
	}
	c.stop()
	return nil, "", c.failure("does not listen")
}
