package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
)

// A server answers /echo with a request's body, anything else with a page or 404,
// and, if it can, WebSockets at /ws by echoing messages.
type server struct {
	name      string
	websocket bool
	install   string // what gives it on Debian
	// start runs it on a port until stop is called.
	start func(ctx context.Context, dir string, port int) (stop func(), err error)
}

//go:embed servers
var scripts embed.FS

// servers are all that there are, the quick ones first.
func servers() []server {
	const npm = "npm ci in internal/differential/js"
	python := func(name, pkg string, sockets bool) server {
		return server{name, sockets, pkg, process("/usr/bin/python3", "servers/"+name+".py")}
	}
	return append(goServers(),
		server{"node", false, "nodejs", process("node", "servers/node.cjs")},
		server{"ws", true, npm, process("node", "servers/ws.cjs")},
		server{"websocket", true, npm, process("node", "servers/websocket.cjs")},
		server{"faye", true, npm, process("node", "servers/faye.cjs")},
		server{"python", false, "python3", process("/usr/bin/python3", "servers/python.py")},
		python("tornado", "python3-tornado", true),
		python("aiohttp", "python3-aiohttp", true),
		python("websockets", "python3-websockets", true),
		server{"gunicorn", false, "gunicorn", process("/usr/bin/gunicorn", "-b", "127.0.0.1:PORT", "--chdir", "DIR/servers", "--threads", "2", "--keep-alive", "30", "wsgi:app")},
		server{"uwsgi", false, "uwsgi-core uwsgi-plugin-python3", process("/usr/bin/uwsgi", "--plugin", "python3", "--http11-socket", "127.0.0.1:PORT", "--chdir", "DIR/servers", "-w", "wsgi:app", "--disable-logging")},
		server{"puma", false, "puma", process("/usr/bin/puma", "-q", "-b", "tcp://127.0.0.1:PORT", "DIR/servers/config.ru")},
		server{"unicorn", false, "unicorn", process("/usr/bin/unicorn", "-l", "127.0.0.1:PORT", "DIR/servers/config.ru")},
		server{"nginx", false, "nginx", process("/usr/sbin/nginx", "-p", "DIR", "-c", "DIR/servers/nginx.conf")},
		server{"apache", false, "apache2-bin", process("/usr/sbin/apache2", "-X", "-d", "DIR", "-f", "DIR/servers/apache.conf")},
	)
}

// goServers run in this process.
func goServers() []server {
	echo := func(sockets http.HandlerFunc) func(context.Context, string, int) (func(), error) {
		mux := http.NewServeMux()
		mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			w.Header()["X-Trailers"] = []string{r.Trailer.Get("X-Sum")}
			_, _ = w.Write(body)
		})
		mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-End")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set("X-End", "1")
		})
		mux.HandleFunc("/duplex", func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_ = http.NewResponseController(w).Flush()
			for buf := make([]byte, 4096); ; {
				n, err := r.Body.Read(buf)
				_, _ = w.Write(buf[:n])
				_ = http.NewResponseController(w).Flush()
				if err != nil {
					return
				}
			}
		})
		mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			http.Error(w, "who are you?", http.StatusUnauthorized)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		})
		if sockets != nil {
			mux.HandleFunc("/ws", sockets)
		}
		return func(_ context.Context, _ string, port int) (func(), error) {
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				return nil, err
			}
			s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
			go func() { _ = s.Serve(l) }()
			return func() { _ = s.Close() }, nil
		}
	}
	up := gorilla.Upgrader{EnableCompression: true, Subprotocols: []string{"chat"}, CheckOrigin: func(*http.Request) bool { return true }}
	return []server{
		{"net/http", false, "", echo(nil)},
		{"gorilla", true, "", echo(func(w http.ResponseWriter, r *http.Request) {
			c, err := up.Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			for {
				kind, p, err := c.ReadMessage()
				if err != nil || c.WriteMessage(kind, p) != nil {
					return
				}
			}
		})},
		{"coder", true, "", echo(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
			if err != nil {
				return
			}
			defer func() { _ = c.CloseNow() }()
			for {
				kind, p, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, p) != nil {
					return
				}
			}
		})},
		{"gobwas", true, "", echo(func(w http.ResponseWriter, r *http.Request) {
			c, _, _, err := ws.UpgradeHTTP(r, w)
			if c != nil {
				defer c.Close() // one that it refused, too
			}
			for err == nil {
				p, op, err := wsutil.ReadClientData(c)
				if err != nil || wsutil.WriteServerMessage(c, op, p) != nil {
					return
				}
			}
		})},
	}
}

// process runs a command whose words PORT and DIR stand for a port and for a
// folder with the scripts. A script's first argument is the port.
func process(command string, args ...string) func(context.Context, string, int) (func(), error) {
	return func(ctx context.Context, dir string, port int) (func(), error) {
		if err := os.CopyFS(dir, scripts); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		for _, conf := range []string{"nginx.conf", "apache.conf"} {
			file := filepath.Join(dir, "servers", conf)
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(file, []byte(place(string(b), dir, port)), 0o600); err != nil {
				return nil, err
			}
		}
		list := make([]string, len(args), len(args)+1)
		for i, a := range args {
			list[i] = place(a, dir, port)
			if strings.HasPrefix(a, "servers/") {
				list[i] = filepath.Join(dir, a)
				list = append(list[:i+1:i+1], fmt.Sprint(port))
			}
		}
		cmd := exec.CommandContext(ctx, command, list...)
		var said strings.Builder
		cmd.Stderr = &said
		cmd.Dir = dir
		if wd, err := os.Getwd(); err == nil {
			cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(wd, "internal/differential/js/node_modules"))
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		stop := func() {
			_ = cmd.Process.Signal(os.Interrupt)
			select {
			case <-ended: //nolint:errcheck // it was told to end
			case <-time.After(3 * time.Second):
				_ = cmd.Process.Kill()
				<-ended //nolint:errcheck // the same
			}
		}
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // a process has no other sign
			select {
			case err := <-ended:
				return nil, fmt.Errorf("did not start: %s: %s", fmt.Sprint(err), said.String())
			default:
			}
			if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
				c.Close()
				return stop, nil
			}
		}
		stop()
		return nil, fmt.Errorf("does not listen: %s", said.String())
	}
}

func place(s, dir string, port int) string {
	return strings.NewReplacer("PORT", fmt.Sprint(port), "DIR", dir).Replace(s)
}
