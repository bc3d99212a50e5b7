package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// appPatience is how long the app takes at most to hand one message to a
	// socket. It is longer than any silence of the demo's network.
	appPatience = 10 * time.Second

	// appBacklog is how many messages wait while a socket takes none: what
	// comes in appPatience at the highest rate.
	appBacklog = int(appPatience/time.Second) * mostRate

	// appListen is how long a restarted app tries to get its address back.
	appListen = 5 * time.Second
)

// appArg is the demo's hidden first argument: be the app.
const appArg = "app"

// pageOrigins are those that the demo's page may have. A page from anywhere else
// is refused, as by any careful app.
var pageOrigins = []string{"127.0.0.1:*", "localhost:*", `\[::1\]:*`}

// demoApp is a WebSocket app as people write it, which knows nothing of a
// sidecar, in a process of its own. Standard input names a socket for each
// message that it is to send, and standard output tells what it does. Each
// socket's messages are numbered from 1: an app knows nothing of what another
// one has said.
type demoApp struct {
	number  int
	reports io.Writer

	mu      sync.Mutex // guards all below, and reports
	opened  int
	sockets map[string]*appSocket
}

// appSocket is one socket of a user.
type appSocket struct {
	app  *demoApp
	name string
	conn *websocket.Conn
	due  chan struct{} // one for each message to send
}

// runApp serves until standard input ends, which it does when whoever
// started it is gone.
func runApp(address string, number int, stdin io.Reader, stdout io.Writer) error {
	l, err := listenAgain(address)
	if err != nil {
		return err
	}
	a := &demoApp{number: number, reports: stdout, sockets: map[string]*appSocket{}}
	if _, err := fmt.Fprintln(stdout, l.Addr()); err != nil {
		return err
	}
	server := &http.Server{Handler: a, ReadHeaderTimeout: appPatience}
	go func() { _ = server.Serve(l) }()
	for lines := bufio.NewScanner(stdin); lines.Scan(); {
		a.send(lines.Text())
	}
	return server.Close()
}

// listenAgain waits for an address that another process may still have.
func listenAgain(address string) (net.Listener, error) {
	for began := time.Now(); ; time.Sleep(settlePace) {
		l, err := net.Listen("tcp", address)
		if err == nil || time.Since(began) > appListen {
			return l, err
		}
	}
}

// report writes a line at once: a crash must hide nothing.
func (a *demoApp) report(what, sock, rest string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintln(a.reports, what, sock, rest)
}

// ServeHTTP is one socket of a user.
func (a *demoApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("user")
	if _, _, ok := userNamed(name); !ok {
		http.Error(w, "who are you?", http.StatusBadRequest)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: pageOrigins})
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = c.CloseNow() }()
	s := a.join(c)
	a.report(reportOpened, s.name, name)
	closed := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.write(closed) })
	for err == nil {
		var p []byte
		if _, p, err = c.Read(r.Context()); err == nil {
			a.report(reportRead, s.name, string(p))
		}
	}
	close(closed)
	_ = c.CloseNow()
	writer.Wait()
	a.leave(s)
}

func (a *demoApp) join(c *websocket.Conn) *appSocket {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened++
	s := &appSocket{app: a, name: socketName(a.number, a.opened), conn: c, due: make(chan struct{}, appBacklog)}
	a.sockets[s.name] = s
	return s
}

func (a *demoApp) leave(s *appSocket) {
	a.mu.Lock()
	delete(a.sockets, s.name)
	a.mu.Unlock()
	for range len(s.due) {
		a.report(reportUnsent, s.name, "")
	}
	a.report(reportClosed, s.name, "")
}

// send lets a socket send its next message. The app cannot know whether that
// reaches anybody, and does not ask.
func (a *demoApp) send(sock string) {
	a.mu.Lock()
	s := a.sockets[sock]
	if s != nil {
		select {
		case s.due <- struct{}{}:
			a.mu.Unlock()
			return
		default:
		}
	}
	a.mu.Unlock()
	a.report(reportUnsent, sock, "")
}

func (s *appSocket) write(closed <-chan struct{}) {
	for n := 1; ; n++ {
		select {
		case <-s.due:
		case <-closed:
			return
		}
		s.app.report(reportWrites, s.name, "")
		ctx, cancel := context.WithTimeout(context.Background(), appPatience)
		err := s.conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "%s %d", s.name, n))
		cancel()
		if err != nil {
			s.app.report(reportFailed, s.name, "")
			return
		}
	}
}

// appCommand is the hidden command.
func appCommand(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var number int
	err := errors.New("want an address and a number")
	if len(args) == 2 {
		_, err = fmt.Sscan(args[1], &number)
	}
	if err == nil {
		err = runApp(args[0], number, stdin, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-sidecar: demo %s: %v\n", appArg, err)
		return exitFailed
	}
	return exitOK
}
