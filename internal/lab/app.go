package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

const (
	// sockBits is how many sockets one app may have at a time: the number of the
	// app stands above.
	sockBits = 16

	// appListen is how long an app tries to get an address that another process
	// may still have.
	appListen = 5 * time.Second

	// appPatience bounds one write: longer than any silence of a network here.
	appPatience = 10 * time.Second

	// appBacklog is how many messages wait while a socket takes none.
	appBacklog = 5000
)

// An App is a WebSocket app as people write it, in a process of its own: each
// socket counts for itself, and it knows of no sidecar.
//
//	/?k=7&every=500000  a stream: numbered messages, one every so many µs (0: by
//	                    Send only), and a record of them and of all that is read
//	/answer/300?k=7     answers each message 300 ms after it was read, while it
//	                    reads on, with a numbered message that names it; a record
//	                    of both
//	/echo               answers each message with itself
//	/count              answers each message with how many the socket has read
type App struct {
	*proc.Process
	Addr   string
	Number int
}

// An AppSpec says what app to start.
type AppSpec struct {
	Addr    string // "": a free one
	Number  int    // unique among all apps of a run, from 0; all its sockets have it
	Records string // a file; "": standard output, see StartApp

	Delay        time.Duration // before each answer of /echo and /count, and each message that /stream reads
	LocalOrigins bool          // refuse pages from elsewhere, as any careful app does
}

// AppOf returns the number of the app that a socket was of.
func AppOf(sock uint32) int { return int(sock >> sockBits) }

// StartApp starts an app and returns when it listens. Without a file, take is
// given each record when it comes.
func StartApp(ctx context.Context, s *proc.Starter, spec AppSpec, take func(ledger.Record)) (*App, error) {
	if spec.Addr == "" {
		free, err := proc.FreeAddrs(1)
		if err != nil {
			return nil, err
		}
		spec.Addr = free[0]
	}
	arg, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd, err := proc.InRole("app", string(arg))
	if err != nil {
		return nil, err
	}
	if spec.Records == "" {
		cmd.Stdout = &recordReader{take: take}
	}
	p, err := s.Start(fmt.Sprint("app-", spec.Number), cmd)
	if err != nil {
		return nil, err
	}
	a := &App{Process: p, Addr: spec.Addr, Number: spec.Number}
	err = proc.Until(ctx, natsWait, natsLook, func() bool { return p.Ended() || proc.Listens(a.Addr) })
	if err != nil || p.Ended() {
		p.Kill()
		return nil, p.Failure("does not listen")
	}
	return a, nil
}

// Send lets a socket send its next message.
func (a *App) Send(sock uint32) { a.Tell(strconv.FormatUint(uint64(sock), 10)) }

// StopSending ends all streams; their sockets stay.
func (a *App) StopSending() { a.Tell(stopWord) }

// stopWord is what StopSending tells.
const stopWord = "stop"

// recordReader takes an app's records from its standard output.
type recordReader struct {
	take func(ledger.Record)
	rest []byte
}

func (r *recordReader) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	list, rest, err := ledger.ParseRecords(r.rest)
	if err != nil {
		return 0, err
	}
	for _, rec := range list {
		r.take(rec)
	}
	r.rest = append(r.rest[:0], rest...)
	return len(p), nil
}

// app is the process's side.
type app struct {
	spec     AppSpec
	opened   atomic.Uint32
	stopped  chan struct{}
	upgrader websocket.Upgrader

	mu      sync.Mutex // guards all below
	records io.Writer
	sockets map[uint32]*stream
}

// appRole serves until standard input ends, which it does when the lab is gone.
func appRole(args []string) error {
	a := &app{records: os.Stdout, stopped: make(chan struct{}), sockets: map[uint32]*stream{}}
	if err := json.Unmarshal([]byte(strings.Join(args, " ")), &a.spec); err != nil {
		return err
	}
	if a.spec.Number < 0 || a.spec.Number >= 1<<(32-sockBits) {
		return fmt.Errorf("lab: app number %d: too high", a.spec.Number)
	}
	if a.spec.Records != "" {
		f, err := os.OpenFile(a.spec.Records, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		a.records = f
	}
	ln, err := listenAgain(a.spec.Addr)
	if err != nil {
		return err
	}
	a.upgrader.CheckOrigin = func(r *http.Request) bool { return !a.spec.LocalOrigins || isLocal(r) }
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.stream)
	mux.HandleFunc("/answer/{after}", a.answers)
	mux.HandleFunc("/echo", a.answering(func(_ int, p []byte) []byte { return p }))
	mux.HandleFunc("/count", a.answering(func(n int, _ []byte) []byte { return strconv.AppendInt(nil, int64(n), 10) }))
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(ln, mux) }() // no timeouts: its peers are ours
	go func() { failed <- a.readCommands(os.Stdin) }()
	return <-failed
}

// listenAgain waits for an address that another process may still have.
func listenAgain(addr string) (net.Listener, error) {
	for began := time.Now(); ; time.Sleep(natsLook) {
		ln, err := net.Listen("tcp", addr)
		if err == nil || time.Since(began) > appListen {
			return ln, err
		}
	}
}

// isLocal reports whether a request comes from no page, or one of this machine.
func isLocal(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	return origin == "" || err == nil && slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname())
}

// readCommands does what the lines of standard input say, until they end.
func (a *app) readCommands(in io.Reader) error {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if lines.Text() == stopWord {
			close(a.stopped)
			continue
		}
		sock, err := strconv.ParseUint(lines.Text(), 10, 32)
		if err != nil {
			return err
		}
		a.mu.Lock()
		s := a.sockets[uint32(sock)]
		asked := s != nil && s.ask() // before stream counts what is left
		a.mu.Unlock()
		if !asked {
			a.note(ledger.Record{Kind: ledger.Unsent, Sock: uint32(sock)})
		}
	}
	return nil
}

// note writes a record at once: a crash must hide nothing.
func (a *app) note(r ledger.Record) {
	r.At = time.Now().UnixNano()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := r.Write(a.records); err != nil {
		panic(err) // a run without its records proves nothing
	}
}

// answering serves sockets of which each message has an answer.
func (a *app) answering(answer func(n int, p []byte) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := a.upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it has been answered
		}
		defer func() { _ = c.Close() }()
		for n := 1; ; n++ {
			typ, p, err := c.ReadMessage()
			time.Sleep(a.spec.Delay)
			if err != nil || c.WriteMessage(typ, answer(n, p)) != nil {
				return
			}
		}
	}
}

// A stream is one socket that sends and reads numbered messages.
type stream struct {
	app     *app
	conn    *websocket.Conn
	id, key uint32
	due     chan struct{} // one for each message that Send asked for
	asked   chan question // what is to be answered; nil: nothing is
	after   time.Duration // until an answer
	over    chan struct{}
}

// A question is a message that waits for its answer.
type question struct {
	n   uint32
	due time.Time
}

func (a *app) stream(w http.ResponseWriter, r *http.Request) {
	every, err := strconv.ParseUint(r.URL.Query().Get("every"), 10, 32)
	if err != nil {
		http.Error(w, "want every", http.StatusBadRequest)
		return
	}
	s := &stream{due: make(chan struct{}, appBacklog)}
	s.serve(a, w, r, func() { s.write(time.Duration(every) * time.Microsecond) })
}

func (a *app) answers(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.PathValue("after"), 10, 32)
	if err != nil {
		http.Error(w, "want milliseconds", http.StatusBadRequest)
		return
	}
	s := &stream{asked: make(chan question, appBacklog), after: time.Duration(after) * time.Millisecond}
	s.serve(a, w, r, s.answer)
}

// serve is the life of a socket, on which write sends.
func (s *stream) serve(a *app, w http.ResponseWriter, r *http.Request, write func()) {
	key, err := strconv.ParseUint(r.URL.Query().Get("k"), 10, 32)
	if err != nil {
		http.Error(w, "want k", http.StatusBadRequest)
		return
	}
	c, err := a.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has been answered
	}
	defer func() { _ = c.Close() }()
	s.app, s.conn, s.over = a, c, make(chan struct{})
	s.id, s.key = uint32(a.spec.Number)<<sockBits|a.opened.Add(1)&(1<<sockBits-1), uint32(key)
	a.mu.Lock()
	a.sockets[s.id] = s
	a.mu.Unlock()
	s.note(ledger.Opened, 0)
	var writer sync.WaitGroup
	writer.Go(write)
	code := s.read()
	close(s.over)
	_ = c.Close() // a write that waits does not wait longer
	writer.Wait()
	a.mu.Lock()
	delete(a.sockets, s.id)
	a.mu.Unlock()
	for range len(s.due) {
		s.note(ledger.Unsent, 0)
	}
	s.note(ledger.Closed, uint32(code))
}

func (s *stream) note(k ledger.Kind, n uint32) {
	s.app.note(ledger.Record{Kind: k, Sock: s.id, Key: s.key, N: n})
}

// ask reports whether another message has room among those that are due.
func (s *stream) ask() bool {
	select {
	case s.due <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *stream) read() (code int) {
	for {
		_, p, err := s.conn.ReadMessage()
		if err != nil {
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				return ce.Code
			}
			return websocket.CloseAbnormalClosure
		}
		time.Sleep(s.app.spec.Delay)
		s.take(p)
	}
}

// take notes what was read: a tag, or a bare number of this session.
func (s *stream) take(p []byte) {
	if t, ok := ledger.ParseTag(p); ok && t.Stream == s.key {
		s.note(ledger.Read, t.N)
		if s.asked != nil {
			s.asked <- question{t.N, time.Now().Add(s.after)}
		}
	} else if n, err := strconv.ParseUint(string(p), 10, 32); err == nil {
		s.note(ledger.Read, uint32(n))
	} else {
		s.note(ledger.Foreign, 0)
	}
}

// write sends at a steady rate, from a random moment on so that the sockets of
// an app are not in step; with every 0 it sends when it is asked to.
func (s *stream) write(every time.Duration) {
	tick := new(time.Timer) // never
	if every > 0 {
		tick = time.NewTimer(rand.N(every))
		defer tick.Stop()
	}
	for n := uint32(1); s.next(tick.C) && s.send(n, 0); n++ {
		if every > 0 {
			tick.Reset(every)
		}
	}
}

// answer answers what is asked, each in its time, also after StopSending.
func (s *stream) answer() {
	for n := uint32(1); ; n++ {
		var q question
		select {
		case q = <-s.asked:
		case <-s.over:
			return
		}
		wait := time.NewTimer(time.Until(q.due))
		select {
		case <-wait.C:
		case <-s.over:
			wait.Stop()
			return
		}
		if !s.send(n, q.n) {
			_ = s.conn.Close() // who cannot be answered is not read from either
			return
		}
	}
}

// next waits until a message is due, and reports whether there will be one.
func (s *stream) next(tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-s.due:
		return true
	case <-s.over:
		return false
	case <-s.app.stopped:
		return false
	}
}

// send sends message n, an answer if asked is not 0.
func (s *stream) send(n, asked uint32) bool {
	s.note(ledger.Writes, n)
	p := ledger.Tag{Stream: s.id, N: n}.Append(nil)
	if asked != 0 {
		p = ledger.Tag{Stream: s.id, N: n}.AppendAnswer(nil, asked)
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(appPatience))
	if s.conn.WriteMessage(websocket.TextMessage, p) != nil {
		s.note(ledger.Failed, n)
		return false
	}
	return true
}
