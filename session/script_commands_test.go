package session

import (
	"bytes"
	"compress/flate"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/store"
	"github.com/wsresilience/wsresilience/wire"
)

// do plays one command.
func (st *stage) do(f []string) {
	switch f[0] {
	case "new":
		if slices.Contains(f, "echo") {
			st.cfg.Journal = false
			st.s = New(st.cfg, st.now, Start{ID: wire.SessionID{1}, Echo: true})
			st.s.AttachEcho(st.now, false)
			st.settle()
			return
		}
		st.deflate = slices.Contains(f, "deflate")
		start := st.start(f)
		start.Subprotocol, start.Deflate = "chat", st.deflate
		st.s = New(st.cfg, st.now, start)
		st.s.Attach(st.now, wire.StatusNew, Position{Next: 1, Adopt: slices.Contains(f, "restores") || slices.Contains(f, "reopens"), Reopen: slices.Contains(f, "reopens")}, st.deflate)
		st.settle()
	case "adopt":
		st.adopt(f[1:])
	case "resume":
		st.resume(f[1:])
	case "rejoin":
		if st.s.Attached() {
			st.s.Supersede(st.now)
			st.settle()
		}
		if reason := st.s.AttachEcho(st.now, false); reason != 0 {
			st.say("RESET %v", reason)
			return
		}
		st.settle()
	case "client":
		st.client(f[1], f[2:])
	case "app":
		st.app(f[1], f[2:])
	case "journal":
		st.journalDoes(f[1])
	case "wait":
		st.wait(st.duration(f[1]))
	case "goaway":
		st.s.GoAway(wire.GoAwayDraining, time.Second)
		st.settle()
	case "drain":
		st.s.Drain(true)
	case "handover":
		patience := 5 * time.Second
		if len(f) > 1 {
			patience = st.duration(f[1])
		}
		st.s.HandOver(st.now, patience)
		st.settle()
	case "suspect":
		st.s.SuspectOwnership()
		st.settle()
	case "replaced":
		st.s.Replaced(st.now)
		st.settle()
	case "held":
		st.say("%d bytes in windows, %d in chunks", st.s.Held(), st.cfg.Pool.InUse())
	case "records":
		st.cfg.JournalLimits.Record = recordCost + int(number(st.t, f[1]))
	case "quiet":
		st.cfg.HandOverQuiet = st.duration(f[1])
	case "token":
		st.say("token: %v", st.s.Token(number(st.t, f[1]), number(st.t, f[2]), st.arguments(f)["attempt"]))
	default:
		st.t.Fatalf("unknown command %q", f)
	}
}

func (st *stage) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		st.t.Fatal(err)
	}
	return d
}

// arguments reads words of the form name=value.
func (st *stage) arguments(f []string) map[string]uint32 {
	m := map[string]uint32{}
	for _, w := range f {
		if name, value, ok := strings.Cut(w, "="); ok {
			m[name] = number(st.t, value)
		}
	}
	return m
}

// start has a guide for the word "rules", which keeps what begins with "sub",
// and lets a session with the word "goeson" have another app socket in any
// case.
func (st *stage) start(f []string) Start {
	start := Start{ID: wire.SessionID{1}, AppReplaceable: slices.Contains(f, "goeson")}
	if slices.Contains(f, "rules") {
		guide, err := snapshot.New([]byte(`{"rules":[{"path":"*","select":{"regexp":"^sub (\\S+)"},"drop":{"regexp":"^unsub (\\S+)"}}]}`), "", time.Hour, nil)
		if err != nil {
			st.t.Fatal(err)
		}
		start.Tracker, start.AppReplaceableIfRestored = guide.Tracker("/"), true
	}
	return start
}

func (st *stage) adopt(f []string) {
	a := st.arguments(f)
	state := &store.State{Record: store.Record{Epoch: 2, InAcked: a["in"], OutAcked: a["out"], OutHead: a["head"]}}
	for seq := a["out"]; seq != a["head"]; {
		seq++
		h, p := ws.Header{Fin: true, OpCode: ws.OpText}, []byte{'j', byte('0' + seq%10)}
		if slices.Contains(f, "compressed") {
			h.Rsv, p = frame.RSV1, deflated(p)
		}
		state.Frames = append(state.Frames, store.Frame{Seq: seq, Data: frame.Append(nil, h, p)})
	}
	at := Position{Received: seqwindow.Serial(a["received"]), Next: seqwindow.Serial(a["next"]), Adopt: slices.Contains(f, "restores") || slices.Contains(f, "reopens"), Reopen: slices.Contains(f, "reopens")}
	_, noApp := a["noapp"]
	_, state.Handed = a["handed"]
	_, state.Unclean = a["unclean"]
	_, state.Owed = a["owed"]
	s, reason := Adopt(st.cfg, st.now, Adoption{Start: st.start(f), State: state, Position: at, AppOpen: !noApp})
	if reason != 0 {
		st.say("RESET %v", reason)
		return
	}
	st.s, st.deflate = s, slices.Contains(f, "deflate")
	st.s.Attach(st.now, wire.StatusAdopted, at, st.deflate)
	st.settle()
}

func (st *stage) resume(f []string) {
	a := st.arguments(f)
	at := Position{Received: seqwindow.Serial(a["received"]), Next: seqwindow.Serial(a["next"]), Adopt: slices.Contains(f, "restores") || slices.Contains(f, "reopens"), Reopen: slices.Contains(f, "reopens")}
	at.Attempt, at.Epoch = a["attempt"], a["epoch"]
	if token, ok := a["token"]; ok {
		at.Generation = token
		if v := st.s.Token(st.s.epoch, token, at.Attempt); v != TokenValid {
			st.say("token: %v", v)
			return
		}
	}
	if reason, _ := st.s.Check(at); reason != 0 {
		st.say("RESET %v", reason)
		return
	}
	if st.s.Attached() {
		st.s.Supersede(st.now)
		st.settle()
	}
	if st.s.Attach(st.now, wire.StatusResumed, at, st.deflate && a["plain"] == 0) != 0 {
		st.say("RESET lost")
		return
	}
	st.settle()
}

// payload joins the words of a message; "size=N" makes it N bytes long,
// "magic=N" so that it begins with the magic, and "escaped=N" is what travels for
// that.
func (st *stage) payload(f []string) []byte {
	if n, ok := strings.CutPrefix(f[0], "escaped="); ok {
		return append(wire.AppendEscape(nil), st.payload([]string{"magic=" + n})...)
	}
	if n, ok := strings.CutPrefix(f[0], "magic="); ok {
		return append([]byte(wire.Magic), bytes.Repeat([]byte{'z'}, int(number(st.t, n))-len(wire.Magic))...)
	}
	if len(f) == 1 && strings.HasPrefix(f[0], "size=") {
		return bytes.Repeat([]byte{'z'}, int(number(st.t, f[0][5:])))
	}
	if len(f) == 1 && strings.HasPrefix(f[0], "hex=") {
		b, err := hex.DecodeString(f[0][4:])
		if err != nil {
			st.t.Fatal(err)
		}
		return b
	}
	return []byte(strings.Join(f, " "))
}

var opcodes = map[string]ws.OpCode{"text": ws.OpText, "binary": ws.OpBinary, "pings": ws.OpPing, "pongs": ws.OpPong}

// bytesOf makes the frames of one command of a leg; h has the leg's mask.
func (st *stage) bytesOf(verb string, f []string, h ws.Header) []byte {
	h.Fin = true
	switch verb {
	case "text", "binary", "pings", "pongs":
		h.OpCode = opcodes[verb]
		return frame.Append(nil, h, st.payload(f))
	case "compressed":
		h.OpCode, h.Rsv = opcodes[f[0]], frame.RSV1
		return frame.Append(nil, h, deflated(st.payload(f[1:])))
	case "fragment", "continues", "ends":
		h.Fin = verb == "ends"
		if verb == "fragment" {
			h.OpCode = ws.OpText
		}
		return frame.Append(nil, h, st.payload(f))
	case "frame-close":
		h.OpCode = ws.OpClose
		if len(f) == 0 {
			return frame.Append(nil, h, nil)
		}
		return appendClose(nil, h, ws.StatusCode(number(st.t, f[0])), strings.Join(f[1:], " "))
	case "raw":
		return st.payload(f)
	}
	st.t.Fatalf("unknown verb %q", verb)
	return nil
}

func deflated(p []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(p)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func (st *stage) client(verb string, f []string) {
	h := ws.Header{Masked: true, Mask: [4]byte{0x11, 0x22, 0x33, 0x44}}
	ours := func(msg []byte) {
		h.Fin, h.OpCode = true, ws.OpBinary
		st.feedClient(frame.Append(nil, h, msg))
	}
	switch verb {
	case "acks":
		ours(wire.AppendAck(nil, number(st.t, f[0])))
	case "beats", "answers":
		a := st.arguments(f)
		t, p := wire.Heartbeat, heartbeat.Payload{Seq: a["seq"], TimeMillis: 1}
		if verb == "answers" {
			t, p = wire.HeartbeatAck, st.s.client.beat.Latest()
		}
		b := wire.Beat{Sent: a["sent"], Ack: a["ack"]}
		heartbeat.AppendPayload(b.Payload[:0], p)
		ours(wire.AppendBeat(nil, t, b))
	case "closes":
		ours(wire.AppendClose(nil, ws.StatusCode(number(st.t, f[0])), strings.Join(f[1:], " ")))
	case "restores": // KIND and words
		ours(wire.AppendRestore(nil, opcodes[f[0]], st.payload(f[1:])))
	case "restored":
		ours(wire.AppendRestored(nil))
	case "cut":
		st.s.ClientGone(st.now, true)
		st.dropConnection()
		st.settle()
	case "takes":
		st.clientTakes = int(number(st.t, f[0]))
	case "drains":
		st.clientTakes = -1
		st.s.ClientWritable()
		st.settle()
	default:
		st.feedClient(st.bytesOf(verb, f, h))
	}
}

func (st *stage) app(verb string, f []string) {
	switch verb {
	case "cut":
		st.s.AppGone(st.now, true)
		st.settle()
	case "back":
		st.toApp.Reset()
		st.appPart, st.appIn = nil, nil
		st.say("taken: %v", st.s.AppBack(st.now, "", st.deflate))
		st.settle()
	case "gone":
		st.s.AppGivenUp(st.now)
		st.settle()
	case "left":
		st.s.AppLeft()
		st.settle()
	case "takes":
		st.appTakes = int(number(st.t, f[0]))
	case "drains":
		st.appTakes = -1
		st.s.AppWritable()
		st.settle()
	default:
		st.feedApp(st.bytesOf(verb, f, ws.Header{}))
	}
}

func (st *stage) journalDoes(what string) {
	results := map[string]PersistResult{"ok": Persisted, "fails": PersistFailed, "lost": PersistLost, "refuses": PersistRefused}
	switch what {
	case "waits":
		st.auto = false
	case "flows":
		st.auto = true
	default:
		r, known := results[what]
		if !known || st.journal == nil {
			st.t.Fatalf("journal %s: nothing is in flight or the word is unknown", what)
		}
		st.journal = nil
		st.s.Persisted(st.now, r)
		st.settle()
	}
}
