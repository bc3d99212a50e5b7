package passthrough

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/httpguard"
	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// A client is one HTTP/1 connection of a client, with the connection to the app
// that belongs to it and to nobody else: what the app knows of one, be it an
// identity that it has negotiated (NTLM), holds for the other. Requests go one
// way and answers the other, each on a goroutine of its own, so that an app may
// answer whenever it likes. How one end closes its connection, the other learns.
//
// serve reads requests. answers, which runs as long as there is a connection to
// the app, reads what the app says. A request is under way from before its head
// is written until its answer has ended; there is one at a time, and its body
// may outlast it.
type client struct {
	h         *Handler
	conn      net.Conn
	head      requestHead
	elsewhere *listener // of net/http

	// Of serve.
	in   buffer
	scan http1.Scanner
	req  http1.Request
	out  []byte // a head for the app

	verdicts chan verdict  // from answers, one for each request
	ended    chan struct{} // closed when answers has; nil: never began
	parked   chan struct{} // closed when serve reads no more
	taken    bool          // then: answers has the connection

	mu      sync.Mutex
	app     net.Conn
	current exchange
	pending bool      // a request is under way
	begins  bool      // its answer has begun to reach the client
	failing bool      // serve answers it: answers leaves the client alone
	sending bool      // its body is: no deadline then
	ending  bool      // there will be no other answer: what still comes is read, and dropped
	shaking bool      // a handshake of a WebSocket is under way
	parting bool      // answers wants the connection for another protocol
	begun   bool      // a head has begun to come
	since   time.Time // when what is waited for began: a head, the rest of it, the client's end
}

// An exchange is what has to be known of a request to read its answer.
type exchange struct {
	method    string
	websocket bool   // a WebSocket handshake
	upgrades  bool   // to another protocol, which may be switched to
	key       string // of the handshake
	last      bool   // the client says that no other request follows
	began     time.Time
	subject   *event.Subject // of a handshake
	from      netip.Addr     // of a handshake
	page      *page.Request  // it may be for a page that gets the page client
}

// A verdict is what becomes of a connection when an answer has ended.
type verdict uint8

const (
	verdictNext     verdict = iota // another request may come
	verdictLast                    // none
	verdictSwitched                // answers has taken it over
)

// lingerTime is how long bytes of a client are still taken, and dropped, when it
// has been told that nothing more comes: or a reset would destroy the last answer
// on its way (RFC 9112 §9.6).
const lingerTime = 2 * time.Second

var (
	errParting   = errors.New("passthrough: switched to another protocol")
	errIdle      = errors.New("passthrough: nothing came in time")
	errDrained   = errors.New("passthrough: no other request is taken")
	errRefused   = errors.New("passthrough: a request was refused")
	errElsewhere = errors.New("passthrough: handed to net/http")
)

func (h *Handler) newClient(conn net.Conn) *client {
	return &client{
		h: h, conn: conn, head: newRequestHead(conn.RemoteAddr(), h.proto), verdicts: make(chan verdict, 1),
		parked: make(chan struct{}), since: time.Now(),
	}
}

// serve is the life of the connection.
func (c *client) serve() {
	first := true
	for {
		err := c.readHead(first)
		if err == nil {
			err = c.request()
		}
		first = false
		switch {
		case err == nil:
		case errors.Is(err, errParting):
			c.taken = true // answers closes it, or whoever has it now
			close(c.parked)
			return
		case errors.Is(err, errElsewhere):
			c.in.release()
			return
		default:
			c.finish(err)
			return
		}
	}
}

// readHead reads until a whole head is held, and the request before it is over.
// A request that would be read in more than one way is refused.
func (c *client) readHead(first bool) error {
	c.scan = http1.Scanner{}
	waited := false
	for {
		end, err := c.scan.Next(c.in.held())
		if end > 0 || err != nil {
			if werr := c.awaitAnswer(&waited); werr != nil {
				return werr
			}
		}
		if err != nil {
			return c.refuseRequest(err)
		}
		if end > 0 {
			head := c.in.held()[:end]
			if first && http1.Preface(head) {
				return c.preface(end)
			}
			if err := c.req.Parse(head); err != nil {
				return c.refuseRequest(err)
			}
			return nil
		}
		if !c.scan.Begun() && c.in.r == c.in.w {
			c.in.shrink()
		}
		c.arm()
		err = c.in.fill(c.conn, httpguard.MaxHeadBytes+1)
		switch {
		case err == nil && c.in.w-c.in.r > httpguard.MaxHeadBytes, errors.Is(err, errFull):
			if werr := c.awaitAnswer(&waited); werr != nil {
				return werr
			}
			return c.refuseRequest(&http1.Error{Status: 431, Reason: "the request head is too large"})
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := c.late(&waited); err != nil {
				return err
			}
		default:
			return readError{err}
		}
	}
}

// arm sets the deadline of the next read of the client.
func (c *client) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if begun := c.scan.Begun(); begun != c.begun {
		c.begun, c.since = begun, time.Now()
	}
	c.armLocked()
}

func (c *client) armLocked() {
	var until time.Time
	switch {
	case c.parting:
		until = time.Unix(1, 0)
	case c.ending:
		until = c.since.Add(lingerTime)
	case c.pending || c.sending:
	case c.begun, c.ended == nil:
		until = c.since.Add(c.h.cfg.HeadTimeout)
	default:
		until = c.since.Add(c.h.cfg.IdleTimeout)
	}
	_ = c.conn.SetReadDeadline(until)
}

// late decides what a deadline that has passed means.
func (c *client) late(waited *bool) error {
	c.mu.Lock()
	parting, ending, pending := c.parting, c.ending, c.pending
	c.mu.Unlock()
	switch {
	case parting:
		return c.awaitAnswer(waited)
	case ending:
		return errDrained
	case pending:
		return nil // it was set before the request began
	}
	return errIdle
}

// awaitAnswer waits until the request that is under way has been answered, if
// there is one and that was not waited for.
func (c *client) awaitAnswer(waited *bool) error {
	if *waited || c.ended == nil {
		return nil
	}
	*waited = true
	select {
	case v := <-c.verdicts:
		return c.obey(v)
	case <-c.ended:
	}
	select {
	case v := <-c.verdicts:
		return c.obey(v)
	default:
		return errDrained
	}
}

func (c *client) obey(v verdict) error {
	switch v {
	case verdictSwitched:
		return errParting
	case verdictLast:
		return errDrained
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return errDrained
	}
	return nil
}

// preface hands a connection of HTTP/2 to net/http, if the rest of the preface
// is there: without it, it is a request of a strange version.
func (c *client) preface(end int) error {
	const rest = "SM\r\n\r\n"
	for {
		held := c.in.held()[end:]
		n := min(len(held), len(rest))
		if string(held[:n]) != rest[:n] {
			return c.refuseRequest(&http1.Error{Status: 505, Reason: "another version of HTTP"})
		}
		if n == len(rest) {
			return c.handOn()
		}
		c.arm()
		if err := c.in.fill(c.conn, httpguard.MaxHeadBytes); err != nil {
			return readError{err}
		}
	}
}

// handOn gives the connection, with what was read of it, to net/http.
func (c *client) handOn() error {
	c.mu.Lock()
	c.failing = true
	ending := c.ending
	c.mu.Unlock()
	if ending {
		return errDrained
	}
	c.closeApp()
	if c.ended != nil {
		<-c.ended
	}
	_ = c.conn.SetReadDeadline(time.Time{})
	c.h.handOn(c)
	return errElsewhere
}

// request forwards the request whose head is held.
func (c *client) request() error {
	r := &c.req
	websocket := isHandshake(r)
	switch {
	case string(r.Method) == "CONNECT":
		return c.refuse(&upgrade.Refusal{Status: 405, Reason: "no tunnels here", Label: event.RefusedConnect})
	case websocket && !r.Body.Empty():
		// Body bytes would be taken for frames, or frames for a body (RFC 9931).
		return c.refuse(&upgrade.Refusal{Status: 400, Reason: "an upgrade has no body", Label: event.RefusedBody})
	case c.h.cfg.Elsewhere != nil && c.h.cfg.Elsewhere(r, websocket):
		return c.handOn()
	}
	var from netip.Addr
	if websocket && c.h.cfg.From != nil {
		from = c.h.cfg.From(r, c.conn.RemoteAddr())
	}
	if websocket && c.h.cfg.Admit != nil {
		if f, retry := c.h.cfg.Admit(from); f != nil {
			return c.refuse(f, retry...)
		}
	}
	x := exchange{
		method: string(r.Method), websocket: websocket, upgrades: !websocket && r.Body.Empty() && c.h.mayUpgrade(r),
		last: r.Closes(), began: time.Now(), from: from,
	}
	if websocket {
		x.key = handshakeKey(r)
		if c.h.cfg.Subject != nil {
			x.subject = c.h.cfg.Subject(r, from)
		}
		c.handshake(true)
	}
	x.page = c.pageRequest(r)
	if err := c.dial(&x); err != nil {
		return c.refuse(c.h.failed(err))
	}
	c.out = c.head.appendTo(c.out[:0], r, websocket || x.upgrades, x.page)
	return c.forward(x)
}

// forward writes the head and passes the body on.
func (c *client) forward(x exchange) error {
	body := c.req.Body
	c.in.take(len(c.req.Head)) // r is not looked at any more
	c.mu.Lock()
	c.current, c.pending, c.begins, c.sending = x, true, false, !body.Empty()
	c.begun, c.scan = false, http1.Scanner{}
	app := c.app
	c.armLocked()
	c.mu.Unlock()
	if x.websocket || x.upgrades {
		_ = app.SetReadDeadline(time.Now().Add(c.h.cfg.HandshakeTimeout))
	}
	err := c.sendBody(app, &body)
	c.mu.Lock()
	c.sending = false
	if c.ending {
		c.since = time.Now()
	}
	c.mu.Unlock()
	if cap(c.out) > restSize {
		c.out = nil
	}
	var write writeError
	if errors.As(err, &write) {
		// The app reads no more. What it said before, answers passes on.
		<-c.ended
		return errDrained
	}
	return err
}

// sendBody sends what is in out, and the body behind it.
func (c *client) sendBody(app net.Conn, body *http1.Body) error {
	f := flow{from: c.conn, to: app, in: &c.in}
	if err := f.body(body, c.out); err != nil {
		return c.badBody(err)
	}
	if !body.Trailer() {
		return nil
	}
	end, err := f.section(false, httpguard.MaxHeadBytes)
	if err != nil {
		return c.badBody(err)
	}
	fields, err := http1.ParseSection(c.in.held()[:end], true)
	if err != nil {
		return c.badBody(err)
	}
	c.out = appendTrailer(c.out[:0], fields)
	c.in.take(end)
	return f.write(nil, c.out)
}

// badBody refuses a body that is framed badly, if its answer has not begun.
func (c *client) badBody(err error) error {
	var framing *http1.Error
	if !errors.As(err, &framing) {
		return err
	}
	c.mu.Lock()
	c.failing = true
	begun := c.begins || !c.pending
	c.mu.Unlock()
	c.abortApp() // nothing of it may look complete
	<-c.ended
	if begun {
		return readError{err} // nor of the answer
	}
	return c.refuseRequest(framing)
}

// dial makes the connection to the app, unless there is one.
func (c *client) dial(x *exchange) error {
	c.mu.Lock()
	app := c.app
	c.mu.Unlock()
	if app != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.h.life, c.h.cfg.HandshakeTimeout)
	defer cancel()
	app, err := c.h.cfg.App.Connect(ctx)
	if err != nil {
		c.dialled(event.AppFailed, x)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.app, c.ended = app, make(chan struct{})
	go c.answers(app)
	return nil
}

// handshake notes the beginning or the end of one, once each.
func (c *client) handshake(begins bool) {
	c.mu.Lock()
	changes := c.shaking != begins
	c.shaking = begins
	c.mu.Unlock()
	if changes && c.h.cfg.Handshake != nil {
		c.h.cfg.Handshake(begins)
	}
}

// dialled notes what the app made of a handshake.
func (c *client) dialled(as event.AppAnswer, x *exchange) {
	if !x.websocket {
		return
	}
	c.handshake(false)
	if c.h.cfg.Dialled != nil {
		c.h.cfg.Dialled(as, time.Since(x.began))
	}
}

// refuseRequest answers a request that is read in more than one way.
func (c *client) refuseRequest(err error) error {
	status, reason := 400, "the request is malformed"
	var e *http1.Error
	if errors.As(err, &e) {
		status, reason = e.Status, e.Reason
	}
	label := event.RefusedBody
	switch status {
	case 431:
		label = event.RefusedFields
	case 505:
		label = event.RefusedProto
	}
	return c.refuse(&upgrade.Refusal{Status: status, Reason: reason, Label: label})
}

// refuse answers the request that is held, or that has just failed, and ends
// the connection.
func (c *client) refuse(f *upgrade.Refusal, fields ...string) error {
	c.h.refused(f)
	_ = c.conn.SetWriteDeadline(time.Now().Add(lingerTime))
	_, _ = c.conn.Write(f.Append(nil, fields...))
	return errRefused
}
