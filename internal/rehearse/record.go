package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/rehearse/load"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/wire"
)

const recordUsage = `usage: wsresilience-sidecar rehearse record [flags] ws://… or wss://…

Listens, passes WebSockets on to the URL, and writes a profile of what was said
when it is stopped (ctrl-C): point your own client or page at it, do what users
do, and look the profile over before you rehearse with it. Cookies and
Authorization pass and are not written.

`

const (
	// recordLimit is the largest message that passes.
	recordLimit = 16 << 20

	// recordWait is what a client's handshake may take.
	recordWait = 20 * time.Second
)

// A recorder is a proxy that listens to what it passes on.
type recorder struct {
	target *url.URL
	http   *http.Client
	say    func(format string, args ...any)
	began  time.Time

	mu        sync.Mutex
	conns     int
	said      []profile.Said
	binary    int
	origin    string
	protocols []string
}

// recordCommand is "rehearse record".
func recordCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	var listen string
	f := flag.NewFlagSet("record", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&listen, "listen", "127.0.0.1:15810", "`address` to listen at")
	f.StringVar(&o.out, "out", "profile.json", "`file` to write")
	f.BoolVar(&o.insecure, "insecure", false, "take any certificate of the server")
	f.StringVar(&o.ca, "ca", "", "`file` of certificates (PEM) to check the server's against")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, recordUsage)
		f.SetOutput(stdout)
		f.PrintDefaults()
		return exitMet
	}
	if err == nil && f.NArg() != 1 {
		err = fmt.Errorf("%q: want one URL, behind the flags", f.Args())
	}
	if err == nil {
		o.target = f.Arg(0)
		err = o.record(ctx, listen, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "wsresilience-sidecar: rehearse record: %v (-h for help)\n", err)
		return exitUsage
	}
	return exitMet
}

// record listens until ctx ends, and writes the profile.
func (o *options) record(ctx context.Context, listen string, stdout, stderr io.Writer) error {
	r := &recorder{began: time.Now(), say: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}
	var err error
	if r.target, err = parseTarget(o.target); err != nil {
		return err
	}
	config, err := o.tls()
	if err != nil {
		return err
	}
	r.http = &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: recordWait, BaseContext: func(net.Listener) context.Context { return ctx }}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	r.say("connect to ws://%s instead of %s; ctrl-C ends the recording and writes %s", ln.Addr(), shown(r.target), o.out)
	select {
	case <-ctx.Done():
	case err := <-served:
		return err
	}
	_ = server.Close()
	p, err := r.profile()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, append(text, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d kinds of messages, %d said once on each connection\n", o.out, len(p.Messages), len(p.Hello))
	for _, m := range p.Messages {
		answer := "no answer was recognised: it is not judged"
		if m.Answer != nil {
			answer = "answered at " + m.Answer.Pointer
		}
		fmt.Fprintf(stdout, "  %s: %s\n", m.Name, answer)
	}
	return nil
}

func (r *recorder) profile() (*profile.Profile, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := profile.Record(r.said)
	if err != nil {
		return nil, fmt.Errorf("%w; %d connections, %d binary messages, which are not recorded", err, r.conns, r.binary)
	}
	if r.origin != "" {
		p.Headers = map[string]string{"Origin": r.origin}
	}
	p.Subprotocols = r.protocols
	if r.binary > 0 {
		r.say("%d binary messages passed and are not in the profile", r.binary)
	}
	return p, nil
}

// passed are headers of the client that the app gets.
var passed = []string{"Origin", "Cookie", "Authorization", "User-Agent", "Accept-Language"}

// ServeHTTP passes one WebSocket on. A client of ours is not offered a session: it
// is the app's own protocol that is recorded.
func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := http.Header{}
	for _, name := range passed {
		if v := req.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	var protocols []string
	for name := range strings.SplitSeq(strings.Join(req.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if name = strings.TrimSpace(name); name != "" && !wire.IsOwn(name) {
			protocols = append(protocols, name)
		}
	}
	to := *r.target
	if req.URL.RawQuery != "" {
		to.RawQuery = req.URL.RawQuery
	}
	app, answer, err := websocket.Dial(req.Context(), to.String(), &websocket.DialOptions{HTTPClient: r.http, HTTPHeader: h, Subprotocols: protocols}) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		status := http.StatusBadGateway
		if answer != nil {
			status = answer.StatusCode
		}
		r.say("the app refused: %s", load.Reason(err))
		http.Error(w, load.Reason(err), status)
		return
	}
	defer func() { _ = app.CloseNow() }()
	chosen := []string{}
	if app.Subprotocol() != "" {
		chosen = append(chosen, app.Subprotocol())
	}
	client, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: chosen, InsecureSkipVerify: true}) // the app has judged the Origin
	if err != nil {
		return
	}
	defer func() { _ = client.CloseNow() }()
	r.mu.Lock()
	number := r.conns
	r.conns++
	r.origin, r.protocols = req.Header.Get("Origin"), protocols
	r.mu.Unlock()
	r.say("a connection began")
	var up sync.WaitGroup
	up.Go(func() { r.pass(req.Context(), client, app, number, true) })
	r.pass(req.Context(), app, client, number, false)
	_ = client.CloseNow()
	up.Wait()
	r.say("a connection ended")
}

// pass takes messages from one side to the other until one of them ends, and tells
// the other why.
func (r *recorder) pass(ctx context.Context, from, to *websocket.Conn, number int, up bool) {
	from.SetReadLimit(recordLimit)
	for {
		typ, p, err := from.Read(ctx)
		if err != nil {
			code, why := websocket.StatusGoingAway, ""
			if ce, ok := errors.AsType[websocket.CloseError](err); ok && ce.Code != websocket.StatusNoStatusRcvd {
				code, why = ce.Code, ce.Reason
			}
			_ = to.Close(code, why)
			return
		}
		r.mu.Lock()
		if typ == websocket.MessageText {
			r.said = append(r.said, profile.Said{At: time.Since(r.began), Conn: number, Up: up, Text: string(p)})
		} else {
			r.binary++
		}
		r.mu.Unlock()
		if to.Write(ctx, typ, p) != nil {
			return
		}
	}
}
