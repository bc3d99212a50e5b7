package endtoend

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/keyring"
	"github.com/wsresilience/wsresilience/internal/lab"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/wire"
)

// eventLog is the log of one or more sidecars, whose lines are looked for. A line
// that was found is not found again.
type eventLog struct {
	t *testing.T

	mu    sync.Mutex
	b     bytes.Buffer
	lines []map[string]any
	texts []string
}

func (l *eventLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p)
	for {
		line, err := l.b.ReadBytes('\n')
		if err != nil {
			l.b.Write(line)
			return len(p), nil
		}
		var fields map[string]any
		if json.Unmarshal(line, &fields) == nil {
			l.lines, l.texts = append(l.lines, fields), append(l.texts, string(line))
		}
	}
}

// want waits for a line with a message in which fields are name=part of the value,
// and returns it.
func (l *eventLog) want(msg string, fields ...string) (found map[string]any) {
	l.t.Helper()
	err := proc.Until(l.t.Context(), processLimit, processLook, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, line := range l.lines {
			if line["msg"] == msg && matches(line, fields) {
				found = line
				l.lines[i] = map[string]any{}
				return true
			}
		}
		return false
	})
	if err != nil {
		l.t.Fatalf("no line %q with %q; the log ends:\n%s", msg, fields, l.end())
	}
	return found
}

func matches(line map[string]any, fields []string) bool {
	for _, f := range fields {
		name, part, _ := strings.Cut(f, "=")
		value, ok := line[name]
		if !ok || !strings.Contains(fmt.Sprint(value), part) {
			return false
		}
	}
	return true
}

// end is the last lines.
func (l *eventLog) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.texts[max(0, len(l.texts)-8):], "")
}

func (l *eventLog) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.texts, "")
}

// A talker speaks wsr.v1 by hand to a sidecar.
type talker struct {
	t     *testing.T
	conn  *websocket.Conn
	first []byte
	w     *wire.WelcomeMessage // nil: it was told RESET
	reset wire.ResetReason
}

func talk(t *testing.T, addr, path string, o wire.Offer, header http.Header) *talker {
	t.Helper()
	d := websocket.Dialer{Subprotocols: o.Protocols()}
	conn, answer, err := d.DialContext(t.Context(), "ws://"+addr+path, header) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		t.Fatal(err, answer)
	}
	t.Cleanup(func() { conn.Close() })
	c := &talker{t: t, conn: conn}
	_ = conn.SetReadDeadline(time.Now().Add(processLimit))
	if _, c.first, err = conn.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	if w, err := wire.ParseWelcome(c.first); err == nil {
		c.w = w
	} else if c.reset, _, err = wire.ParseReset(c.first); err != nil {
		t.Fatalf("first message %x", c.first)
	}
	return c
}

// say sends, and waits until the app has answered with the same.
func (c *talker) say(text string) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
	for {
		typ, p, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		if typ == websocket.TextMessage && string(p) == text {
			return
		}
	}
}

func (c *talker) control(msg []byte) {
	c.t.Helper()
	if err := c.conn.WriteMessage(websocket.BinaryMessage, msg); err != nil {
		c.t.Fatal(err)
	}
}

// cut resets the connection.
func (c *talker) cut() {
	_ = c.conn.NetConn().(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}

// lifeApp echoes, and does with some messages what apps do. It allows resumes
// unless it is told another status.
type lifeApp struct {
	status atomic.Int32
	held   atomic.Int32  // messages that wait for hold
	hold   chan struct{} // closed: what waits for it is answered
}

func (a *lifeApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/may" {
		w.WriteHeader(int(a.status.Load()))
		return
	}
	u := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := u.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		typ, p, err := conn.ReadMessage()
		if err != nil {
			return
		}
		switch text := string(p); {
		case text == "close yourself":
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "secret-reason-of-app"), time.Now().Add(time.Second))
		case text == "go away":
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1012, ""), time.Now().Add(time.Second))
		case text == "say much":
			_ = conn.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), 5000))
		case text == "answer late":
			a.held.Add(1)
			go func() { <-a.hold }()
		case text == "hang":
			a.held.Add(1)
			<-a.hold
		default:
			_ = conn.WriteMessage(typ, p)
		}
	}
}

const lifeTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// What happens to a session of one sidecar is in its log, with the cause.
func TestLifeOfASessionInTheLog(t *testing.T) {
	t.Parallel()
	app := new(lifeApp)
	app.status.Store(200)
	backend := httptest.NewServer(app)
	defer backend.Close()
	l := &eventLog{t: t}
	dir := t.TempDir()
	settings := []string{
		"WSR_LOG_CLIENT=address", "WSR_LOG_LEVEL=info", "WSR_LOG_FORMAT=json", "WSR_RESUME_AUTH=/may", "WSR_MAX_MESSAGE=4KiB", "WSR_SESSION_TTL=2s", "WSR_SESSION_TTL_GOING_AWAY=2s", "WSR_HEARTBEAT_MAX=2s",
		"WSR_HEARTBEAT_BASE=1s", "WSR_HEARTBEAT_MIN=1s",
	}
	p := newLogged(t, l, backend.URL, dir, settings...)
	header := http.Header{"Traceparent": {"00-" + lifeTrace + "-00f067aa0ba902b7-01"}}
	fresh := wire.Offer{App: []string{"wsr"}, Resilient: true}
	again := func(token string, received, next, attempt uint32) wire.Offer {
		return wire.Offer{App: []string{"wsr"}, Resilient: true, Resume: &wire.Resume{Token: token, Received: received, Next: next, Attempt: attempt}}
	}
	begin := func(path string) (*talker, string) {
		c := talk(t, p.Addr, path, fresh, header)
		id := "session=" + c.w.Session.String()
		l.want("session began", id, "path="+path, "client=127.0.0.1", "trace="+lifeTrace, "epoch=1")
		return c, id
	}
	resume := func(path string, o wire.Offer) *talker { return talk(t, p.Addr, path, o, header) }
	ack := func(c *talker, seq uint32) { c.control(wire.AppendAck(nil, seq)) }

	c, id := begin("/chat")
	c.say("one")
	ack(c, 1)
	c.cut()
	l.want("session detached", id, "cause=gone", "fact=broke")
	old := c.w.Token
	c = resume("/chat", again(c.w.Token, 1, 2, 1))
	l.want("session resumed", id, "away=", "replayed=0", "owner="+p.Addr)
	c.say("two")
	second := resume("/chat", again(c.w.Token, 2, 3, 2))
	l.want("session detached", id, "cause=superseded", "code=4409", "fact=superseded by another connection", "from=127.0.0.1")
	l.want("session resumed", id)
	ack(second, 2)
	second.say("three")

	resume("/chat", again(old, 0, 1, 0))
	l.want("a resume token came that was used up, or that two clients use: there may be a copy of it", id, "audit=true")
	l.want("resume refused: RESET", id, "reason=token", "fact=token superseded")
	token := second.w.Token
	second = resume("/chat", again(token, 3, 4, 3))
	resume("/chat", again(token, 3, 4, 3))
	l.want("resume refused: RESET", id, "reason=try_again", "fact=late")
	ack(second, 3)
	resume("/elsewhere", again(second.w.Token, 3, 4, 3))
	l.want("resume refused: RESET", id, "reason=token", "fact=another Origin, path or Host", "path=/elsewhere")
	resume("/chat", again("AAAAsecret"+second.w.Token[10:], 3, 4, 3))
	l.want("resume refused: RESET", "reason=token", "fact=no key of this sidecar opens the token")
	resume("/chat", again(second.w.Token, 99, 4, 3))
	l.want("resume refused: RESET", id, "reason=lost", "fact=says that it has message 99, and the last that was sent is 3")
	app.status.Store(403)
	resume("/chat", again(second.w.Token, 3, 4, 4))
	l.want("the app does not allow a client its session any more", id, "status=403", "audit=true")
	l.want("resume refused: RESET", id, "reason=unauthorised", "status=403", "fact=WSR_RESUME_AUTH with 403")
	app.status.Store(503)
	resume("/chat", again(second.w.Token, 3, 4, 5))
	l.want("the app could not tell whether a client may have its session", id, "fact=503")
	l.want("resume refused: RESET", id, "reason=try_again", "fact=503")
	app.status.Store(200)

	beat := wire.Beat{Sent: 3, Ack: 3}
	copy(beat.Payload[:], "no heartbeat!")
	second.control(wire.AppendBeat(nil, wire.Heartbeat, beat))
	l.want("heartbeat rejected", id, "reason=damaged", "audit=true")
	second.control(wire.AppendAck(nil, 1<<20))
	l.want("session detached", id, "cause=protocol", "code=4400", "fact=acknowledgement of what was not sent")
	second = resume("/chat", again(second.w.Token, 3, 4, 6))
	_ = second.conn.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("secret-payload"), 400))
	l.want("message refused: it is above the limit", id, "from=client", "size=5600", "limit=4096", "setting=WSR_MAX_MESSAGE")
	l.want("session detached", id, "code=1009")
	second = resume("/chat", again(second.w.Token, 3, 4, 7))
	second.control(wire.AppendSkipped(nil))
	l.want("message given up by its client", id, "messages=1", "fact=the app goes on without it")
	second.cut()
	l.want("session ended", id, "reason=expired", "by=sidecar", "fact=did not come back", "setting=WSR_SESSION_TTL")
	resume("/chat", again(second.w.Token, 3, 5, 8))
	l.want("resume refused: RESET", id, "reason=unknown", "fact=the journal says that it is over")

	c, id = begin("/silent")
	c.say("one")
	l.want("session detached", id, "cause=heartbeat", "code=4408", "fact=no answer to heartbeats")

	c, id = begin("/closes")
	c.say("one")
	c.control(wire.AppendClose(nil, 4000, "secret-reason-of-client"))
	l.want("session ended", id, "reason=closed", "by=client", "code=4000")
	c, id = begin("/closed")
	_ = c.conn.WriteMessage(websocket.TextMessage, []byte("close yourself"))
	answerClose(c)
	l.want("session ended", id, "reason=closed", "by=app", "code=4001")
	c, id = begin("/restarts")
	_ = c.conn.WriteMessage(websocket.TextMessage, []byte("go away"))
	answerClose(c)
	l.want("session ended", id, "by=app", "code=1012", "fact=nothing restores the app's context", "setting=WSR_APP_PROTOCOL or WSR_SNAPSHOT_RULES", "docs=SNAPSHOT.md")
	c, id = begin("/much")
	_ = c.conn.WriteMessage(websocket.TextMessage, []byte("say much"))
	l.want("message refused: it is above the limit", id, "from=app", "size=5000", "limit=4096", "setting=WSR_MAX_MESSAGE")
	answerClose(c)
	l.want("session ended", id, "by=sidecar", "code=1009")

	c, id = begin("/page")
	c.say("one")
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "secret-reason-of-client"), time.Now().Add(time.Second))
	l.want("session detached", id, "cause=client", "code=1001")

	l.consoleTells(t, p.Admin, func(string) bool { return true })

	// A restart of the sidecar adopts what the one before had.
	c, id = begin("/adopted")
	journaledOn(t, p.Sidecar, func() { c.say("one") })
	p.Kill()
	p.start()
	c = resume("/adopted", again(c.w.Token, 0, 2, 0))
	l.want("session adopted", id, "reason=owner_lost", "fact=nothing restores the app's context", "setting=WSR_APP_PROTOCOL", "epoch=2", "replayed=1")
	answerClose(c)
	l.want("session ended", id, "code=1012", "by=sidecar", "fact=nothing restores the app's context", "docs=SNAPSHOT.md")

	for _, secret := range []string{"secret-", old, second.w.Token, "hunter2"} {
		if strings.Contains(l.all(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// journaledOn does something after which a message stays unacknowledged, and waits
// until the journal has it.
func journaledOn(t *testing.T, s *lab.Sidecar, do func()) {
	t.Helper()
	frames := func() (n int) {
		text, err := s.Get(t.Context(), "/metrics")
		if _, line, ok := strings.Cut(string(text), "\nwsr_journal_frames_total "); err == nil && ok {
			_, _ = fmt.Sscan(line, &n)
		}
		return n
	}
	before := frames()
	do()
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool { return frames() > before }); err != nil {
		t.Fatal(err)
	}
}

// answerClose reads until CLOSE, and answers it.
func answerClose(c *talker) {
	c.t.Helper()
	for {
		_, p, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatal(err)
		}
		if code, reason, err := wire.ParseClose(p); err == nil {
			c.control(wire.AppendClose(nil, code, reason))
			return
		}
	}
}

// newLogged is newProcess with a log that is looked into.
func newLogged(t *testing.T, l *eventLog, upstream, dir string, settings ...string) *process {
	t.Helper()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newProgramLogged(t, program, l, upstream, dir, settings...)
}

// What happens to sessions between sidecars is in their logs: a client that comes
// by another one, a pod that leaves and one that dies, an app that restarts, and
// an owner that cannot be reached.
func TestLifeBetweenSidecarsInTheLog(t *testing.T) {
	t.Parallel()
	app := &lifeApp{hold: make(chan struct{})}
	defer close(app.hold)
	backend := httptest.NewServer(app)
	defer backend.Close()
	l := &eventLog{t: t}
	f := newProcesses(t, "WSR_LOG_CLIENT=none", "WSR_LOG_LEVEL=info", "WSR_LOG_FORMAT=json", "WSR_ADOPT=always", "WSR_UPSTREAM_RETRY=5s", "WSR_TOKEN_BIND=any-host",
		"WSR_TOKEN_KEYS="+base64.StdEncoding.EncodeToString(keyring.Generate()))
	f.app.Config.Handler = app
	pod := func() *lab.Sidecar { return f.start(&binary, func(s *lab.Sidecar) { s.Errors = l }) }
	fresh := wire.Offer{App: []string{"wsr"}, Resilient: true}
	again := func(c *talker, received, next, attempt uint32) wire.Offer {
		return wire.Offer{App: []string{"wsr"}, Resilient: true, Resume: &wire.Resume{Token: c.w.Token, Received: received, Next: next, Attempt: attempt}}
	}
	begin := func(at *lab.Sidecar) (*talker, string) {
		c := talk(t, at.Addr, "/chat", fresh, nil)
		c.say("one")
		c.control(wire.AppendAck(nil, 1))
		return c, "session=" + c.w.Session.String()
	}

	one, two := pod(), pod()
	c, id := begin(one)
	next := talk(t, two.Addr, "/chat", again(c, 1, 2, 1), nil)
	l.want("client passed on to the owner of its session", id, "owner="+one.Addr, "outcome=served")
	l.want("session resumed", id, "owner="+one.Addr, "via=127.0.0.1")
	consoleKnows(t, two.Admin, one.Addr+" live", two.Addr+" live self")
	next.conn.Close()
	l.want("session detached", id) // before the pod asks whom it still has

	// The pod leaves: one session without a client, one that moves with its client,
	// one whose app owes an answer, one whose app hangs.
	moves, moving := begin(one)
	owes, owing := begin(one)
	_ = owes.conn.WriteMessage(websocket.TextMessage, []byte("answer late"))
	hangs, hanging := begin(one)
	_ = hangs.conn.WriteMessage(websocket.TextMessage, []byte("hang"))
	if err := proc.Until(t.Context(), processLimit, processLook, func() bool { return app.held.Load() == 2 }); err != nil {
		t.Fatal("the app has not got what it is to hold")
	}
	left := make(chan error, 1)
	go func() { left <- one.Terminate(proc.Grace) }()
	l.want("draining")
	l.want("session is handed over", id, "cause=detached")
	l.want("session ended", id, "reason=handed", "fact=another sidecar goes on with it")
	talk(t, two.Addr, "/chat", again(moves, 1, 2, 1), nil)
	l.want("session is handed over", moving, "cause=moved")
	l.want("session adopted", moving, "reason=drained", "owner="+two.Addr, "former="+one.Addr, "fact=owner "+one.Addr, "epoch=2", "away=0s")
	var arrive sync.WaitGroup
	arrive.Go(func() { talk(t, two.Addr, "/chat", again(owes, 1, 3, 1), nil) })
	arrive.Go(func() { talk(t, two.Addr, "/chat", again(hangs, 1, 3, 1), nil) })
	l.want("session adopted", owing, "reason=owed", "former="+one.Addr)
	l.want("session adopted", hanging, "reason=app_restarted", "former="+one.Addr)
	arrive.Wait()
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	back := talk(t, two.Addr, "/chat", again(next, 1, 2, 2), nil)
	l.want("session adopted", id, "reason=drained", "owner="+two.Addr, "former="+one.Addr, "away=")

	// One that dies.
	three := pod()
	c, id = begin(three)
	journaledOn(t, three, func() { c.say("two") })
	three.Kill()
	talk(t, two.Addr, "/chat", again(c, 1, 3, 1), nil)
	l.want("the owner of a session is gone: nothing listens at its address", id, "owner="+three.Addr, "outcome=refused")
	l.want("session adopted", id, "reason=owner_lost", "fact=no process listens at the address of owner "+three.Addr)

	// One that is stopped: its lease is not over yet.
	four := pod()
	c, id = begin(four)
	journaledOn(t, four, func() { c.say("two") })
	if err := four.Pause(); err != nil {
		t.Fatal(err)
	}
	if refused := talk(t, two.Addr, "/chat", again(c, 1, 3, 1), nil); refused.reset == wire.ResetTryAgain {
		l.want("resume refused: RESET", id, "reason=try_again", "fact=owner "+four.Addr+" does not answer")
	}
	four.Kill()

	// An app that restarts.
	_ = back.conn.WriteMessage(websocket.TextMessage, []byte("go away"))
	l.want("the app's socket was lost: its client is held until it is back", "waits=5s")
	l.want("session adopted", "reason=app_restarted", "fact=the app is back")
	l.consoleTells(t, two.Admin, func(msg string) bool {
		return msg == "session adopted" || msg == "resume refused: RESET" || strings.HasPrefix(msg, "client ") || strings.HasPrefix(msg, "the app's socket")
	})
}
