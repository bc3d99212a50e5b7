package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// nginxConf is the WebSocket proxy of nginx's own documentation. Its
// connections are laid out at its start, two for each session.
const nginxConf = `daemon off;
%[4]s
pid %[1]s/nginx.pid;
error_log stderr;
worker_rlimit_nofile %[6]d;
events { worker_connections %[5]d; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s%[7]s
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

// An NginxKind says how nginx is run.
type NginxKind struct {
	Workers     string // lines of the main context
	Connections int    // of each worker
}

// nginxAlone is one process, so that its time and memory are those of one pid,
// for at most 4,096 sessions.
var nginxAlone = NginxKind{"master_process off;", 8192}

// StartNginx starts nginx in front of upstream and waits until it listens.
func (r *Rig) StartNginx(upstream string) (*proc.Process, string, error) {
	return r.StartNginxAs(nginxAlone, upstream)
}

// StartNginxAs is StartNginx with workers of a kind.
func (r *Rig) StartNginxAs(kind NginxKind, upstream string) (*proc.Process, string, error) {
	free, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, "", err
	}
	addr := free[0]
	dir, err := r.Scratch("nginx")
	if err != nil {
		return nil, "", err
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, upstream, kind.Workers, kind.Connections, kind.Connections+300, r.TLS.nginx()), 0o600); err != nil {
		return nil, "", err
	}
	cmd := exec.Command(r.Nginx, "-p", dir, "-e", "stderr", "-c", conf)
	c, err := r.Start("nginx", cmd)
	if err != nil {
		return nil, "", err
	}
	return c, addr, r.AwaitListener(c, addr)
}
