//go:build nginx

package fronts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// frame is what every nginx.conf has around the part that the page shows:
// files that are nobody else's, and two workers. The documented part stands
// in the main context and in http, split at its first blank line.
const frame = `daemon off;
worker_processes 2;
pid DIR/nginx.pid;
error_log DIR/log info;
events { worker_connections 256; }
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

// patience bounds what must happen, and is never what is measured.
const patience = 30 * time.Second

// nginx is a running master with its workers.
type nginx struct {
	*proc.Process
	addr string
	log  string // file
}

// startNginx runs the documented configuration, edited, in front of upstream,
// and waits until it listens.
func startNginx(t *testing.T, upstream string, edits ...edit) *nginx {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		t.Fatal("nginx is missing: install it (apt-get install nginx)")
	}
	addr, dir := freeAddr(t), t.TempDir()
	conf := edited(t, documented(t), append(edits,
		edit{"listen 80;", "listen " + addr + ";"},
		edit{"server my-app:80;", "server " + upstream + ";"})...)
	inMain, inHTTP, ok := strings.Cut(conf, "\n\n")
	if !ok {
		t.Fatalf("%s: no blank line between what stands in the main context and what stands in http", pagePath)
	}
	text := strings.NewReplacer("DIR", dir, "MAIN", inMain, "HTTP", inHTTP).Replace(frame)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := &nginx{addr: addr, log: filepath.Join(dir, "log")}
	var starter proc.Starter
	if n.Process, err = starter.Start("nginx", exec.Command(bin, "-p", dir, "-e", n.log, "-c", file)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Terminate(patience); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("nginx.conf:\n%s\nnginx's log:\n%s", text, n.logged(t))
		}
	})
	err = proc.Until(t.Context(), patience, 5*time.Millisecond, func() bool { return n.Ended() || proc.Listens(addr) })
	if err != nil || n.Ended() {
		t.Fatalf("nginx does not listen: %v\n%s", err, n.logged(t))
	}
	return n
}

// logged is what nginx has written to its log.
func (n *nginx) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil {
		t.Errorf("nginx's log: %v", err)
	}
	return string(text)
}

// reload is what `nginx -s reload` does.
func (n *nginx) reload(t *testing.T) {
	t.Helper()
	if err := n.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// workers are the processes of the master, old ones included.
func (n *nginx) workers(t *testing.T) []string {
	t.Helper()
	pid := strconv.Itoa(n.Pid())
	list, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(list))
}

// freeAddr is a loopback address that nobody listens on at the moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	free, err := proc.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	return free[0]
}
