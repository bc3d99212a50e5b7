//go:build nginx

package fronts

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
	addr string
	log  string // file
	cmd  *exec.Cmd
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
	n := &nginx{addr: addr, log: filepath.Join(dir, "log"), cmd: exec.Command(bin, "-p", dir, "-e", filepath.Join(dir, "log"), "-c", file)}
	// Its own group, so that no worker outlives a master that had to be killed.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- n.cmd.Wait() }()
	t.Cleanup(func() {
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-over:
		case <-time.After(patience):
			_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
			<-over
			t.Error("nginx did not stop")
		}
		if t.Failed() {
			t.Logf("nginx.conf:\n%s\nnginx's log:\n%s", text, n.logged(t))
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return n
		}
		select {
		case err := <-over:
			over <- err
			t.Fatalf("nginx ended at its start: %v\n%s", err, n.logged(t))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not listen")
		}
	}
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
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// workers are the processes of the master, old ones included.
func (n *nginx) workers(t *testing.T) []string {
	t.Helper()
	pid := strconv.Itoa(n.cmd.Process.Pid)
	list, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(list))
}

// freeAddr is a loopback address that nobody listens on at the moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
