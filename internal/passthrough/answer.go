package passthrough

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/wsresilience/wsresilience/event"
	"github.com/wsresilience/wsresilience/internal/http1"
	"github.com/wsresilience/wsresilience/internal/page"
	"github.com/wsresilience/wsresilience/internal/transport"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// An answerer reads what an app says on one connection.
type answerer struct {
	*client
	app  net.Conn
	in   buffer
	resp http1.Response
	out  []byte // a head for the client
}

var (
	// errUnasked is an answer without a request: what follows an answer could
	// pass for that to the next request (H30).
	errUnasked = errors.New("passthrough: upstream sent more than its answer")

	// errSwitched is an app that switches protocols without being asked: what
	// followed would be a tunnel past every check (CVE-2024-23326, H14).
	errSwitched = errors.New("passthrough: upstream answered 101 to a request without Upgrade, or to another one")

	// errSilent is an app that has ended its connection in place of an answer.
	errSilent = errors.New("passthrough: upstream closed the connection without an answer")
)

// answers passes on what the app says, until its connection ends.
func (c *client) answers(app net.Conn) {
	defer close(c.ended)
	a := &answerer{client: c, app: app}
	for {
		if !a.answer() {
			break
		}
		a.in.shrink()
		a.out = nil
	}
	a.in.release()
}

// answer passes one answer on, or an informational one, and reports whether the
// connection goes on.
func (a *answerer) answer() bool {
	head, err := a.readHead()
	if err != nil {
		a.noAnswer(err, head)
		return false
	}
	x, ok := a.asked()
	if !ok {
		a.noAnswer(errUnasked, true)
		return false
	}
	switch {
	case a.resp.Status == 101:
		return a.switches(&x)
	case a.resp.Status < 200:
		return a.pass(&x, nil)
	}
	if x.websocket || x.upgrades {
		_ = a.app.SetReadDeadline(time.Time{})
		a.dialled(event.AppRefused, &x)
	}
	body := a.resp.Framed(x.method)
	if n := a.insertion(&x, &body); n != nil {
		defer n.Close()
		if n.HeadOnly() {
			return a.passAs(&x, &body, n)
		}
		if done, goesOn := a.passInserted(&x, body, n); done {
			return goesOn
		}
	}
	return a.pass(&x, &body)
}

// readHead reads and checks the head of an answer. began reports whether any of
// it came.
func (a *answerer) readHead() (began bool, err error) {
	scan := http1.Scanner{Lenient: true}
	for {
		end, err := scan.Next(a.in.held())
		if err != nil {
			return true, err
		}
		if end > 0 {
			return true, a.resp.Parse(a.in.held()[:end])
		}
		if err := a.in.fill(a.app, maxAnswerHead); err != nil {
			return a.in.r < a.in.w, readError{err}
		}
	}
}

// asked returns the request that is under way.
func (a *answerer) asked() (exchange, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, a.pending && !a.failing
}

// begin notes that the client is about to hear an answer, and reports whether it
// may.
func (a *answerer) begin(informational bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begins = !informational
	return !a.failing
}

// pass writes the head of an answer, with its body unless it is informational.
func (a *answerer) pass(x *exchange, body *http1.Body) bool { return a.passAs(x, body, nil) }

// passAs does the same with what n changes in the head. nil: nothing.
func (a *answerer) passAs(x *exchange, body *http1.Body, n *page.Insertion) bool {
	if informational := body == nil; !a.begin(informational) {
		return false
	}
	closes := body != nil && !a.resp.Closes() && a.h.draining()
	goes := body != nil && !closes && a.resp.Closes()
	last := goes || closes || x.last
	first := a.resp.Head
	switch {
	case n != nil:
		a.out = appendPageHead(a.out[:0], &a.resp, n, closes, false)
		first = a.out
	case closes || a.resp.Overridden:
		a.out = appendAnswer(a.out[:0], &a.resp, closes)
		first = a.out
	}
	informational := body == nil
	if informational {
		body = new(http1.Body)
	}
	f := flow{from: a.app, to: a.conn, in: &a.in}
	err := a.passBody(&f, body, first)
	switch {
	case informational && err == nil:
		return true
	case err == nil && goes:
		return a.rest(&f)
	case err == nil:
		return a.answered(last, closes)
	case body.UntilClose() && isEOF(err):
		a.answered(true, true)
		return false
	}
	a.brokeOff(err)
	return false
}

// passBody writes first, which may be the answer's head where it is held, and
// the body behind it.
func (a *answerer) passBody(f *flow, body *http1.Body, first []byte) error {
	head := len(a.resp.Head)
	if len(first) == head && &first[0] == &a.resp.Head[0] {
		// As it came: head and body go in one piece.
		n, err := body.Next(a.in.held()[head:])
		if werr := f.write(nil, a.in.held()[:head+n]); werr != nil {
			return werr
		}
		a.in.take(head + n)
		if err != nil {
			return err
		}
		first = nil
	} else {
		a.in.take(head)
	}
	if first != nil || !body.Done() {
		if err := f.body(body, first); err != nil {
			return err
		}
	}
	if !body.Trailer() {
		return nil
	}
	end, err := f.section(true, maxAnswerHead)
	if err != nil {
		return err
	}
	if err := f.write(nil, a.in.held()[:end]); err != nil {
		return err
	}
	a.in.take(end)
	return nil
}

// rest passes on what an app says behind its last answer, until it ends the
// connection as it has announced: no other answer follows that this could be taken
// for. Some send a body with what HEAD has asked for.
func (a *answerer) rest(f *flow) bool {
	a.mu.Lock()
	a.pending, a.since = false, time.Now()
	a.armLocked()
	a.verdicts <- verdictLast
	a.mu.Unlock()
	body := http1.UntilClose()
	if err := f.body(&body, nil); isEOF(err) {
		a.mu.Lock()
		a.endLocked()
		a.mu.Unlock()
	} else {
		a.brokeOff(err)
	}
	return false
}

// answered notes that an answer has ended. last: no other request is taken;
// ends: the client is told that this was the end. It reports whether the
// connection goes on.
func (a *answerer) answered(last, ends bool) bool {
	more := a.in.r < a.in.w
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = false
	a.since = time.Now()
	v := verdictNext
	if last || more {
		v = verdictLast
	}
	if more {
		a.h.cfg.Log.Warn("answer not passed on", "upstream", a.h.cfg.App.String(), "error", errUnasked)
	}
	if ends || more {
		a.endLocked()
	} else {
		a.armLocked()
	}
	a.verdicts <- v
	return !more
}

// endLocked tells the client that the app says no more.
func (c *client) endLocked() {
	if c.ending || c.failing {
		return
	}
	c.ending, c.since = true, time.Now()
	_ = transport.CloseWrite(c.conn)
	if !c.sending {
		c.armLocked()
	}
}

// noAnswer ends the connection for an app that has ended its own, or that says
// what is no answer.
func (a *answerer) noAnswer(err error, began bool) {
	if errors.Is(err, net.ErrClosed) {
		return // it was us
	}
	a.mu.Lock()
	x, pending, begun, failing := a.current, a.pending, a.begins, a.failing
	a.mu.Unlock()
	if failing {
		return
	}
	eof := isEOF(err)
	if !began && eof {
		err = errSilent
	}
	if pending {
		a.dialled(event.AppFailed, &x)
	}
	// An app that hangs up is what the client sees too, but in a handshake of a
	// WebSocket, where clients cannot tell that from a network that breaks.
	mirrors := !began && !x.websocket
	switch {
	case pending && !begun && !(mirrors && isRead(err, eof)):
		a.answerFor(err)
		transport.Abort(a.app)
		return
	case pending || errors.Is(err, errUnasked):
		a.h.cfg.Log.Warn("request not answered", "upstream", a.h.cfg.App.String(), "error", upgrade.Quiet(err))
	}
	switch {
	case !began && eof, errors.Is(err, errUnasked):
		a.mu.Lock()
		a.endLocked()
		a.mu.Unlock()
	default:
		a.cut()
	}
	if !eof {
		transport.Abort(a.app) // the app may still read
	}
}

func isRead(err error, eof bool) bool {
	var read readError
	return eof || errors.As(err, &read) && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errFull)
}

func isEOF(err error) bool {
	var read readError
	return errors.As(err, &read) && errors.Is(read.error, io.EOF)
}

// answerFor answers in place of an app that did not.
func (a *answerer) answerFor(err error) {
	f := a.h.failed(err)
	a.h.refused(f)
	if !a.begin(false) {
		return
	}
	_ = a.conn.SetWriteDeadline(time.Now().Add(lingerTime))
	_, _ = a.conn.Write(f.Append(nil))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = false
	a.endLocked()
}

// brokeOff ends both connections in the middle of an answer, so that nothing of
// it looks complete.
func (a *answerer) brokeOff(err error) {
	var write writeError
	switch {
	case errors.Is(err, net.ErrClosed):
	case errors.As(err, &write):
		transport.Abort(a.app) // the client is gone
		a.cut()
	case isEOF(err):
		a.h.cfg.Log.Warn("answer broke off", "upstream", a.h.cfg.App.String())
		a.mu.Lock()
		a.endLocked()
		a.mu.Unlock()
	default:
		a.h.cfg.Log.Warn("answer broke off", "upstream", a.h.cfg.App.String(), "error", upgrade.Quiet(err))
		a.cut()
	}
}

// cut resets the client's connection.
func (a *answerer) cut() {
	a.mu.Lock()
	failing := a.failing
	a.mu.Unlock()
	if !failing {
		transport.Abort(a.conn)
	}
}

// switches passes a 101 on, if it is the answer to what was asked, and gives the
// connections to whoever has them from now on.
func (a *answerer) switches(x *exchange) bool {
	_ = a.app.SetReadDeadline(time.Time{})
	if !x.websocket && !(x.upgrades && a.h.offers(a.resp.Fields)) || x.websocket && !accepts(&a.resp, x.key) {
		a.noAnswer(errSwitched, true)
		return false
	}
	early, ok := a.park()
	switch {
	case !ok: // the client is gone
		transport.Abort(a.app)
		return false
	case early > 0:
		// RFC 6455 §4.1 forbids it, and what the bytes are cannot be known (RFC
		// 9931).
		f := &upgrade.Refusal{Status: 400, Reason: "bytes came before the handshake was answered", Label: event.RefusedEarly}
		a.h.refused(f)
		a.giveUp(f.Append(nil))
		return false
	}
	a.dialled(event.AppOK, x)
	head := appendSwitch(nil, &a.resp)
	a.in.take(len(a.resp.Head))
	answer := func() error {
		_ = a.conn.SetDeadline(time.Now().Add(a.h.cfg.HeadTimeout))
		_, err := a.conn.Write(head)
		return errors.Join(err, a.conn.SetDeadline(time.Time{}))
	}
	sw := Switched{Answer: answer, Client: a.conn, App: a.app, Early: append([]byte(nil), a.in.held()...), Began: x.began, Subject: x.subject, From: x.from}
	a.h.forget(a.client)
	if x.websocket && a.h.cfg.Joined != nil {
		a.h.cfg.Joined(sw)
		return false
	}
	a.h.tunnel(sw)
	return false
}

// park waits until serve reads the client no more, and returns how many bytes it
// has read too much. It fails if serve is ending the connection.
func (a *answerer) park() (early int, ok bool) {
	a.mu.Lock()
	a.parting, a.pending = true, false
	a.armLocked()
	a.verdicts <- verdictSwitched
	a.mu.Unlock()
	<-a.parked
	if !a.taken {
		return 0, false
	}
	early = a.client.in.w - a.client.in.r
	if early == 0 {
		a.client.in.release()
	}
	return early, true
}

// giveUp ends both connections after serve has let go of them.
func (a *answerer) giveUp(last []byte) {
	transport.Abort(a.app)
	if last != nil {
		_ = a.conn.SetDeadline(time.Now().Add(lingerTime))
		_, _ = a.conn.Write(last)
		a.linger()
	}
	a.conn.Close()
	a.h.forget(a.client)
}

// accepts reports whether a 101 answers the handshake with key (RFC 6455 §4.1).
// Without that an app whose status anyone can choose would open a tunnel past
// every check. What else a client looks at is the client's to judge.
func accepts(r *http1.Response, key string) bool {
	accept, right := 0, true
	for i := range r.Fields {
		switch f := &r.Fields[i]; {
		case f.Is("sec-websocket-accept"):
			accept++
			right = right && string(f.Value) == upgrade.AcceptKey(key)
		case f.Is("upgrade"):
			right = right && strings.EqualFold(string(f.Value), "websocket")
		case f.Is("sec-websocket-protocol"):
			right = right && !strings.HasPrefix(string(f.Value), "wsr.") // nobody but us says that
		}
	}
	return accept > 0 && right && key != "" &&
		r.Fields.Has("upgrade", "websocket") && r.Fields.Has("connection", "upgrade")
}
