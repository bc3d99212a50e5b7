package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/certs"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/proxy"
)

// A realClient is a program that people use, and tells what it gets.
type realClient struct {
	name    string
	install string
	// bytes reports whether what it sends is the same each time, so that what the app
	// gets can be compared too.
	bytes bool
	talk  talk
	// talkTLS is the same where TLS ends at the sidecar; nil: it is not tried.
	talkTLS talk
	// app starts what it talks to; nil: the server called gorilla.
	app func(ctx context.Context, dir string, port int) (stop func(), err error)
}

// A talk runs a client, with a folder that has the files of clients, against an
// address, and returns what it tells.
type talk func(ctx context.Context, dir, addr string) (string, error)

//go:embed clients
var clientScripts embed.FS

func realClients() []realClient {
	const npm = "npm ci in internal/differential/js"
	page := &browserPage{told: make(chan string, 1)}
	python := func(name, pkg string) realClient {
		return realClient{name: name + "-client", install: pkg, talk: script("/usr/bin/python3", strings.ReplaceAll(name, "-", "_")+"_client.py")}
	}
	return []realClient{
		{name: "gorilla-client", talk: gorillaClient}, {name: "coder-client", talk: coderClient}, {name: "gobwas-client", talk: gobwasClient},
		{name: "curl", install: "curl", bytes: true, talk: curl},
		{name: "ws-client", install: npm, talk: script("node", "ws.cjs")},
		{name: "node-client", install: "nodejs", talk: script("node", "node.cjs")},
		python("websocket", "python3-websocket"), python("websockets", "python3-websockets"),
		python("aiohttp", "python3-aiohttp"), python("tornado", "python3-tornado"),
		{name: "chromium", install: "chromium", talk: page.talk, app: page.serve},
		{name: "grpc", install: "the module of internal/differential/grpc", talk: grpcCall("call"), talkTLS: grpcCall("call-tls"), app: grpcServe},
	}
}

// compareClient has one talk to its app directly and through the sidecar.
func compareClient(ctx context.Context, c realClient, drivers []transport.Driver, tell func(string)) (differences int, err error) {
	dir, err := os.MkdirTemp("", "differential")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.CopyFS(dir, clientScripts); err != nil {
		return 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	start := c.app
	if start == nil {
		start = goServers()[1].start
	}
	stop, err := start(ctx, dir, port)
	if err != nil {
		return 0, fmt.Errorf("%w (to install: %s)", err, c.install)
	}
	defer stop()
	t, err := newTap(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return 0, err
	}
	defer t.Close()
	limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	direct, err := c.outcome(limited, c.talk, dir, t.Addr().String(), t)
	if err != nil {
		return 0, fmt.Errorf("%w (to install: %s)", err, c.install)
	}
	for _, d := range drivers {
		for _, encrypted := range []bool{false, true} {
			talk, change := c.talk, func(*proxy.Config) {}
			if encrypted {
				talk, change = c.talkTLS, withCertificate(dir)
			}
			if talk == nil {
				continue
			}
			addr, end, err := sidecar(t.Addr().String(), d, change)
			if err != nil {
				return 0, err
			}
			through, err := c.outcome(limited, talk, dir, addr, t)
			end()
			if err != nil {
				return 0, fmt.Errorf("through %s, TLS %v: %w", d, encrypted, err)
			}
			if text := difference(direct, through); text != "" {
				differences++
				tell(fmt.Sprintf("%s, %s, TLS %v: %s", c.name, d, encrypted, text))
			}
		}
	}
	return differences, nil
}

// withCertificate makes a sidecar speak TLS.
func withCertificate(dir string) func(*proxy.Config) {
	return func(c *proxy.Config) {
		c.TLSCert, c.TLSKey, _ = certs.SelfSigned("127.0.0.1").Write(dir) // or the client fails
	}
}

// boundary is what curl makes up for parts of a form.
var boundary = regexp.MustCompile(`-{20,}[0-9a-f]{16}`)

// outcome is what it tells, and what the app got if that is always the same.
func (c *realClient) outcome(ctx context.Context, talk talk, dir, addr string, t *tap) (o outcome, err error) {
	o.answer, err = talk(ctx, dir, addr)
	o.answer = strings.ReplaceAll(o.answer, addr, "app.example")
	o.request = boundary.ReplaceAllString(strings.ReplaceAll(t.take(), addr, "app.example"), "boundary")
	if !c.bytes {
		o.request = ""
	}
	if err == nil && o.answer == "" {
		err = errors.New("it tells nothing")
	}
	return o, err
}

// script runs a file of clients with the URL.
func script(command, file string) talk {
	return func(ctx context.Context, dir, addr string) (string, error) {
		return tells(ctx, filepath.Join(dir, "clients"), command, file, "ws://"+addr)
	}
}

// tells runs a command and returns what it writes.
func tells(ctx context.Context, dir, command string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command, args...)
	var said strings.Builder
	cmd.Dir, cmd.Stderr = dir, &said
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	if wd, err := os.Getwd(); err == nil {
		cmd.Env = append(cmd.Env, "NODE_PATH="+filepath.Join(wd, "internal/differential/js/node_modules"))
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", command, strings.Join(args, " "), err, said.String())
	}
	return string(out), nil
}

// curl asks by HTTP/1.0, HTTP/1.1 and HTTP/2, in the ways that it has.
func curl(ctx context.Context, dir, addr string) (string, error) {
	body := filepath.Join(dir, "body")
	if err := os.WriteFile(body, []byte(strings.Repeat("0123456789", 200_000)), 0o600); err != nil {
		return "", err
	}
	var all strings.Builder
	base := "http://" + addr
	for _, args := range [][]string{
		{base + "/"}, {"-I", base + "/"}, {"--http1.0", base + "/"}, {base + "/none", base + "/", base + "/echo"}, {"-X", "OPTIONS", "--request-target", "*", base},
		{"--path-as-is", base + "//a/../b%2f?x=|"}, {"-d", "a=1&b=2", base + "/echo"}, {"-T", body, base + "/echo"}, {"-T", body, "-H", "Transfer-Encoding: chunked", base + "/echo"},
		{"--data-binary", "@" + body, "-H", "Expect: 100-continue", base + "/echo"}, {"-F", "f=@" + body, "-H", "Content-Type: multipart/form-data; boundary=x", base + "/none"},
		{"-H", "x-lower: 1", "-H", "X-UPPER;", "-H", "Cookie: a=1", "-b", "c=2", base + "/"}, {"-N", base + "/stream"}, {"-u", "user:secret", base + "/"}, {"--compressed", "-r", "0-3", base + "/"},
		{"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", base + "/none"},
	} {
		out, err := tells(ctx, dir, "curl", append([]string{"-sS", "-i", "--max-time", "20", "-A", "curl", "-H", "Host: app.example"}, args...)...)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%s\n%s\n", strings.Join(args, " "), out)
	}
	return all.String(), nil
}
