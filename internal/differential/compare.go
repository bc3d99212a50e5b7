package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/proxy"
)

// Patience of a client.
const (
	answerWait = 3 * time.Second        // for an answer
	soonWait   = 200 * time.Millisecond // for one that may not come
	quietWait  = 20 * time.Millisecond  // for what nobody has asked for
	longWait   = time.Second            // the same, once a difference was seen
)

// ours are the lines that the sidecar adds to a request.
var ours = regexp.MustCompile(`(?m)^X-Forwarded-(For: 127\.0\.0\.1|Host: app\.example)\r\n`)

// masked are values that differ from one answer to the next by themselves.
var masked = regexp.MustCompile(`(?mi)^(date|expires|last-modified|etag):[^\r\n]*`)

// switched is the begin of an answer.
var switched = regexp.MustCompile(`^(HTTP/1\.. 1[^ ]+ [^\r]*\r\n(.*\r\n)*?\r\n)*?HTTP/1\.. 101 `)

// A tap forwards connections to a server and keeps what clients sent.
type tap struct {
	net.Listener
	to string

	mu  sync.Mutex
	got bytes.Buffer
	wg  sync.WaitGroup
}

func newTap(to string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{Listener: l, to: to}
	go t.run()
	return t, nil
}

func (t *tap) run() {
	for {
		c, err := t.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", t.to)
		if err != nil {
			c.Close()
			continue
		}
		t.wg.Go(func() {
			relay(s, io.TeeReader(c, t), c)
			// Some servers keep a connection that the client has ended.
			_ = s.SetReadDeadline(time.Now().Add(answerWait))
		})
		t.wg.Go(func() { relay(c, s, s) })
	}
}

// Write keeps what a client sent.
func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.got.Write(p)
}

// take returns what was kept, when all connections have ended.
func (t *tap) take() string {
	t.wg.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.got.String()
	t.got.Reset()
	return s
}

// relay passes bytes and how they end.
func relay(to net.Conn, from io.Reader, conn net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		conn.Close()
		return
	}
	_ = to.(*net.TCPConn).CloseWrite()
}

// An outcome is what both ends got.
type outcome struct {
	request, answer string
	closed          bool // by the server, before the client
}

// play makes an exchange with what listens at addr.
func play(addr string, x exchange, quiet time.Duration) (outcome, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return outcome{}, err
	}
	defer conn.Close()
	var got bytes.Buffer
	var o outcome
	for i, s := range x.steps {
		if i > 0 && s.switched != switched.Match(got.Bytes()) {
			break
		}
		if s.send != "" {
			if _, err := io.WriteString(conn, s.send); err != nil {
				break
			}
		}
		if s.half {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		if len(s.answers) == 0 && s.until == "" && i < len(x.steps)-1 {
			time.Sleep(time.Millisecond) // so that it is a segment of its own
			continue
		}
		before := got.Len()
		wait := answerWait
		if len(s.answers) == 0 && s.until == "" && !s.half {
			wait = quiet
		}
		if s.soon {
			wait = max(quiet, soonWait)
		}
		if o.closed = read(conn, &got, wait, func(b []byte) bool {
			return len(s.answers) > 0 && whole(b[before:], s.answers) || s.until != "" && bytes.Contains(b[before:], []byte(s.until))
		}); o.closed {
			break
		}
	}
	if !o.closed {
		o.closed = read(conn, &got, quiet, func([]byte) bool { return false })
	}
	o.answer = got.String()
	return o, nil
}

// read reads until enough, the time is up, or the server has ended it.
func read(conn net.Conn, got *bytes.Buffer, wait time.Duration, enough func([]byte) bool) (closed bool) {
	buf := make([]byte, 64<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
		if enough(got.Bytes()) {
			return false
		}
	}
}

// whole reports whether b has the answers to requests with these methods.
func whole(b []byte, methods []string) bool {
	br := bufio.NewReader(bytes.NewReader(b))
	for _, m := range methods {
		for {
			resp, err := http.ReadResponse(br, &http.Request{Method: m}) //nolint:bodyclose // there is no connection behind it
			if err != nil {
				return false
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return false
			}
			if resp.StatusCode == http.StatusSwitchingProtocols {
				return true
			}
			if resp.StatusCode < 200 {
				continue
			}
			if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && m != "HEAD" {
				return false // up to the end
			}
			break
		}
	}
	return true
}

// cutText is as much of a difference as one reads.
func cutText(direct, through string) string {
	at := 0
	for at < min(len(direct), len(through)) && direct[at] == through[at] {
		at++
	}
	from := max(0, at-200)
	part := func(s string) string { return s[min(from, len(s)):min(at+200, len(s))] }
	return fmt.Sprintf("at byte %d\n  directly %q\n  through  %q", at, part(direct), part(through))
}

// leaves are lines of an answer that say how its connection goes on.
var leaves = regexp.MustCompile(`(?mi)^(connection|keep-alive):[^\r\n]*\r?\n`)

// sessionNames tell the app which session a handshake is of.
var sessionNames = regexp.MustCompile(`(?m)^Wsr-Session-(Id|Epoch): [0-9a-f]+\r\n`)

// refusedSession takes out what is allowed to differ where a client that offers a
// session is refused: its offer, the session's name, and that the connection ends
// (docs/APPS.md).
func refusedSession(direct, through outcome) (outcome, outcome) {
	direct.request = strings.ReplaceAll(direct.request, offer, "")
	through.request = sessionNames.ReplaceAllString(through.request, "")
	for _, o := range []*outcome{&direct, &through} {
		head, body, _ := strings.Cut(o.answer, "\r\n\r\n")
		o.answer, o.closed = leaves.ReplaceAllString(head+"\r\n", "")+"\r\n"+body, true
	}
	return direct, through
}

// difference compares, or returns "".
func difference(direct, through outcome) string {
	through.request = ours.ReplaceAllString(through.request, "")
	for _, o := range []*outcome{&direct, &through} {
		o.answer = masked.ReplaceAllString(o.answer, "$1: -")
	}
	switch {
	case direct.answer != through.answer:
		return "the client got, " + cutText(direct.answer, through.answer)
	case direct.closed && through.closed && (strings.HasPrefix(direct.request, through.request) || strings.HasPrefix(through.request, direct.request)):
		// What a client sends to a server that has ended it is lost here or there.
		return ""
	case direct.request != through.request:
		return "the server got, " + cutText(direct.request, through.request)
	case direct.closed != through.closed:
		return fmt.Sprintf("the server closes: directly %v, through %v", direct.closed, through.closed)
	}
	return ""
}

// compareServer makes all exchanges with one server, and tells of differences.
func compareServer(ctx context.Context, s server, seed uint64, n int, drivers []transport.Driver, tell func(string)) (differences, total int, err error) {
	dir, err := os.MkdirTemp("", "differential")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	port, err := freePort()
	if err != nil {
		return 0, 0, err
	}
	stop, err := s.start(ctx, dir, port)
	if err != nil {
		return 0, 0, fmt.Errorf("%w (to install: %s)", err, s.install)
	}
	defer stop()
	t, err := newTap(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return 0, 0, err
	}
	defer t.Close()
	for _, d := range drivers {
		addr, end, err := sidecar(t.Addr().String(), d)
		if err != nil {
			return 0, 0, err
		}
		list := generated(seed, n)
		if s.websocket {
			list = append(list, generatedFrames(seed, n)...)
			list = append(list, some(conformance(), 3*n)...)
		}
		for _, x := range recorded() {
			if (!x.websocket || s.websocket) && (!x.full || s.install == "") {
				list = append(list, x)
			}
		}
		for _, x := range list {
			if ctx.Err() != nil {
				break
			}
			total++
			text, err := compareOne(t, addr, x)
			if err != nil {
				end()
				return 0, 0, err
			}
			if text != "" {
				differences++
				tell(fmt.Sprintf("%s, %s, %s: %s", s.name, d, x.name, text))
			}
		}
		end()
	}
	return differences, total, nil
}

// some are n of a list, from all its parts, or as many as it has.
func some(list []exchange, n int) (picked []exchange) {
	for i := range min(n, len(list)) {
		picked = append(picked, list[i*len(list)/min(n, len(list))])
	}
	return picked
}

func compareOne(t *tap, addr string, x exchange) (string, error) {
	var d string
	for _, quiet := range []time.Duration{quietWait, longWait, longWait} { // a busy machine is slow, and servers race with what comes
		var outcomes [2]outcome
		for i, to := range []string{t.Addr().String(), addr} {
			var err error
			if outcomes[i], err = play(to, x, quiet); err != nil {
				return "", err
			}
			outcomes[i].request = t.take()
			if x.session && switched.MatchString(outcomes[i].answer) {
				return "", nil // it refuses nothing, and the session would stay for minutes
			}
		}
		if x.session {
			outcomes[0], outcomes[1] = refusedSession(outcomes[0], outcomes[1])
		}
		if d = difference(outcomes[0], outcomes[1]); d == "" {
			break
		}
	}
	return d, nil
}

// sidecar runs one in front of an app, with heartbeats that come too late to be
// seen.
func sidecar(app string, driver transport.Driver, change ...func(*proxy.Config)) (addr string, stop func(), err error) {
	ring, err := keyring.New([][]byte{keyring.Generate()})
	if err != nil {
		return "", nil, err
	}
	cfg := proxy.Config{
		Upstream: "http://" + app, Tokens: ring, Advertise: "differential:1", Driver: driver,
		Heartbeat: heartbeat.Config{Base: time.Minute, Min: time.Minute, Max: time.Minute},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := proxy.New(cfg)
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
	}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
