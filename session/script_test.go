package session

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/internal/script"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// TestScripts plays the scenarios of testdata/*.txt. Time passes only by the
// command wait.
func TestScripts(t *testing.T) {
	script.Run(t, "testdata/*.txt", func(t *testing.T) func([]string) []string {
		st := newStage(t)
		t.Cleanup(func() {
			if n := st.cfg.Pool.InUse(); st.s != nil && st.s.Done() && n != 0 {
				t.Errorf("an ended session holds %d bytes", n)
			}
		})
		return func(command []string) []string {
			st.log = st.log[:0]
			st.do(command)
			return st.log
		}
	})
}

// stage is a driver without sockets: it records what would be written.
type stage struct {
	t       *testing.T
	cfg     *Config
	now     time.Time
	s       *Session
	out     Output
	log     []string
	deflate bool

	clientTakes, appTakes int // bytes until the leg blocks; -1 for all
	clientIn, appIn       []byte
	fromSidecar, toApp    frame.Messages
	clientPart, appPart   []byte
	paused                [2]bool
	journal               *store.Record
	auto                  bool // appends succeed at once
}

func newStage(t *testing.T) *stage {
	return &stage{
		t: t, auto: true, clientTakes: -1, appTakes: -1,
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		cfg: &Config{
			WindowMessages: 8, WindowBytes: 1000, MaxMessage: 400,
			TTL: 5 * time.Minute, TTLGoingAway: 10 * time.Second, PersistAfter: 50 * time.Millisecond,
			Journal: true, JournalLimits: store.Limits{Part: 1 << 20, Record: 1 << 24}, Owner: "a:1",
			Heartbeat: &heartbeat.Config{}, Pool: seqwindow.NewPool(0), Buffers: new(frame.Buffers), AppBuffers: new(frame.Buffers),
			Random: func() uint32 { return 0x8000 },
			Token:  func(t wire.Token) string { return fmt.Sprintf("t%d-%d", t.Epoch, t.Generation) },
		},
	}
}

func (st *stage) say(format string, args ...any) {
	st.log = append(st.log, fmt.Sprintf(format, args...))
}

// anothers is an Output that has served another session meanwhile.
func anothers(o *Output) *Output {
	for _, p := range [][]byte{o.control[:cap(o.control)], o.FinalToClient[:cap(o.FinalToClient)]} {
		for i := range p {
			p[i] = 0xee
		}
	}
	clear(o.ToApp[:cap(o.ToApp)])
	clear(o.ToClient[:cap(o.ToClient)])
	return o
}

// settle is the driver's loop.
func (st *stage) settle() {
	for {
		o := anothers(&st.out)
		st.s.Output(st.now, o)
		if len(o.ToApp) > 0 {
			n := take(&st.appTakes, o.ToApp, &st.appPart)
			st.s.AppWrote(st.now, n)
			st.decode(&st.toApp, &st.appPart, "app")
		}
		if len(o.ToClient) > 0 {
			n := take(&st.clientTakes, o.ToClient, &st.clientPart)
			st.s.ClientWrote(n)
			st.decode(&st.fromSidecar, &st.clientPart, "client")
		}
		if o.Idle() {
			st.pause(0, "client", o.PauseClient)
			st.pause(1, "app", o.PauseApp)
			return
		}
		st.perform(o)
	}
}

func (st *stage) perform(o *Output) {
	if o.CloseClient != nil {
		st.clientPart = append(st.clientPart, o.FinalToClient...)
		st.decode(&st.fromSidecar, &st.clientPart, "client")
		st.say("client connection ends: %d %s", o.CloseClient.Code, o.CloseClient.Reason)
		st.dropConnection()
	}
	if o.Skipped != 0 {
		st.say("messages given up by the client: %d", o.Skipped)
	}
	if o.CloseApp {
		st.say("app connection ends")
	}
	if o.RedialApp {
		st.say("app is dialled again")
	}
	if o.FindCause {
		st.say("it is asked why the app has gone")
	}
	if o.Ended != 0 {
		st.say("session ends: %s", o.Ended)
	}
	if o.Persist != nil {
		st.journal = o.Persist
		st.say("journal <- %s", describe(o.Persist))
		if st.auto {
			st.journal = nil
			st.s.Persisted(st.now, Persisted)
		}
	}
}

func describe(r *store.Record) string {
	var seqs []string
	for _, f := range r.Frames {
		seqs = append(seqs, fmt.Sprint(f.Seq))
	}
	s := fmt.Sprintf("%v %d.%d in %d out %d head %d frames [%s]", r.Kind, r.Epoch, r.N, r.InAcked, r.OutAcked, r.OutHead, strings.Join(seqs, " "))
	if r.DetachedAt != 0 {
		s += " detached"
	}
	if r.Closed {
		s += fmt.Sprintf(" closed %d", r.CloseCode)
	}
	if r.Handed {
		s += " handed"
	}
	if r.Unclean {
		s += " unclean"
	}
	if r.Owed {
		s += " owed"
	}
	switch {
	case r.ContextBehind:
		s += " context patch"
	case len(r.Context) > 0:
		s += " context"
	}
	return s
}

// take lets a leg take what it can and returns how much that was.
func take(left *int, parts [][]byte, got *[]byte) (n int) {
	for _, p := range parts {
		k := len(p)
		if *left >= 0 {
			k = min(k, *left)
			*left -= k
		}
		*got = append(*got, p[:k]...)
		if n += k; k < len(p) {
			break
		}
	}
	return n
}

func (st *stage) pause(i int, who string, on bool) {
	if st.paused[i] == on {
		return
	}
	st.paused[i] = on
	if on {
		st.say("%s is paused", who)
		return
	}
	st.say("%s is read again", who)
	if i == 0 {
		st.feedClient(nil)
	} else {
		st.feedApp(nil)
	}
}

// decode says what a leg received in words.
func (st *stage) decode(m *frame.Messages, part *[]byte, who string) {
	if m.Buffers == nil {
		*m = frame.Messages{Rules: frame.Rules{Rsv: frame.RSV1, Masked: who == "app"}, Max: 1 << 20, Buffers: new(frame.Buffers)}
	}
	for {
		msg, n, ok, err := m.Next(*part)
		if err != nil {
			st.t.Fatalf("%s received broken frames: %v", who, err)
		}
		if !ok {
			return
		}
		raw := bytes.Clone(msg.Raw)
		*part = (*part)[n:]
		payload := raw[msg.Size:]
		if msg.Masked {
			frame.Mask(payload, msg.Mask, 0)
		}
		st.say("%s <- %s", who, words(&msg, payload))
	}
}

func words(m *frame.Message, p []byte) string {
	name := map[ws.OpCode]string{ws.OpText: "text", ws.OpBinary: "binary", ws.OpClose: "close", ws.OpPing: "ping", ws.OpPong: "pong"}[m.OpCode]
	if m.Compressed() {
		name = "compressed " + name
	}
	if m.OpCode == ws.OpClose && len(p) >= 2 {
		return fmt.Sprintf("close %d %s", int(p[0])<<8|int(p[1]), p[2:])
	}
	if t, ours := wire.TypeOf(p); ours && m.OpCode == ws.OpBinary {
		return control(t, p)
	}
	if len(p) > 40 {
		return fmt.Sprintf("%s of %d bytes", name, len(p))
	}
	return fmt.Sprintf("%s %q", name, p)
}

func control(t wire.Type, p []byte) string {
	switch t {
	case wire.Welcome:
		w, err := wire.ParseWelcome(p)
		if err != nil {
			return err.Error()
		}
		reason := w.Reason.String()
		if w.Restored {
			reason += " restored"
		}
		return fmt.Sprintf("WELCOME %v %s epoch %d ack %d next %d token %s", w.Status, reason, w.Epoch, w.InboundAck, w.NextOutbound, w.Token)
	case wire.Ack:
		seq, _ := wire.ParseAck(p)
		return fmt.Sprintf("ACK %d", seq)
	case wire.Heartbeat, wire.HeartbeatAck:
		b, _ := wire.ParseBeat(p, t)
		return fmt.Sprintf("%v sent %d ack %d", t, b.Sent, b.Ack)
	case wire.Close:
		code, reason, _ := wire.ParseClose(p)
		return fmt.Sprintf("CLOSE %d %s", code, reason)
	case wire.Escaped:
		return fmt.Sprintf("ESCAPED %q", p[wire.EscapeLen:])
	}
	return t.String()
}

func (st *stage) dropConnection() {
	st.clientIn, st.clientPart = nil, nil
	st.fromSidecar = frame.Messages{}
	st.clientTakes = -1
	st.paused[0] = false
}

func (st *stage) feedClient(p []byte) {
	st.clientIn = append(st.clientIn, p...)
	for len(st.clientIn) > 0 {
		n := st.s.FromClient(st.now, st.clientIn)
		st.clientIn = st.clientIn[min(n, len(st.clientIn)):]
		st.settle()
		if n == 0 {
			return
		}
	}
}

func (st *stage) feedApp(p []byte) {
	st.appIn = append(st.appIn, p...)
	for len(st.appIn) > 0 {
		n := st.s.FromApp(st.now, st.appIn)
		st.appIn = st.appIn[n:]
		st.settle()
		if n == 0 {
			return
		}
	}
}

// wait lets time pass from deadline to deadline.
func (st *stage) wait(d time.Duration) {
	end := st.now.Add(d)
	for range 10_000 {
		var o Output
		st.s.Output(st.now, &o)
		at := o.Deadline
		if at.IsZero() || at.After(end) {
			st.now = end
			return
		}
		if at.After(st.now) {
			st.now = at
		}
		st.s.Tick(st.now)
		st.settle()
	}
	st.t.Fatal("time does not pass: a deadline stays due")
}

func number(t *testing.T, s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// Fifty resumes in a row, each with a message lost in either direction: every
// one works, and each message arrives once (socket.io#4880, "works only
// once").
func TestFiftyResumes(t *testing.T) {
	st := newStage(t)
	st.do([]string{"new"})
	for i := range 50 {
		st.log = st.log[:0]
		st.do([]string{"client", "text", fmt.Sprintf("in%d", i)})
		st.do([]string{"client", "cut"})
		st.do([]string{"app", "text", fmt.Sprintf("out%d", i)})
		st.do([]string{"resume", fmt.Sprintf("received=%d", i), fmt.Sprintf("next=%d", i+1)})
		st.do([]string{"client", "text", fmt.Sprintf("in%d", i)})
		got := strings.Join(st.log, "\n")
		for _, want := range []string{fmt.Sprintf("app <- text \"in%d\"", i), fmt.Sprintf("client <- text \"out%d\"", i)} {
			if strings.Count(got, want) != 1 {
				t.Fatalf("resume %d: %q appears %d times in\n%s", i, want, strings.Count(got, want), got)
			}
		}
	}
}
