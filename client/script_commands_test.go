package client

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/wire"
)

// do plays one command.
func (r *rehearsal) do(f []string) {
	switch f[0] {
	case "client":
		r.client(f[1:])
		return
	case "wait", "stall":
		d, err := time.ParseDuration(f[1])
		r.must(err)
		if f[0] == "wait" {
			r.wait(d)
		} else {
			r.stall(d)
		}
		return
	case "send", "deliver":
		text, p, times := parseMessage(f[1:])
		typ := MessageBinary
		if text {
			typ = MessageText
		}
		for range times {
			at, err := r.m.write(typ, p)
			r.must(err)
			if f[0] == "deliver" {
				r.m.out.awaited = at
			}
		}
	case "wakes":
		r.m.networkChanged(r.now)
	case "close":
		code, reason := r.code(f[1:])
		r.m.close(r.now, code, reason)
	default:
		c := r.find(f[0])
		if c.conn == nil {
			r.handshake(c, f[1:])
		} else {
			r.sidecar(c, f[1:])
		}
	}
	r.perform(0)
}

func (r *rehearsal) must(err error) {
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rehearsal) find(name string) *dialled {
	i := slices.IndexFunc(r.conns, func(c *dialled) bool { return c.name == name })
	if i < 0 {
		r.t.Fatalf("no connection %s", name)
	}
	return r.conns[i]
}

func (r *rehearsal) client(f []string) {
	var o Options
	for _, w := range f {
		switch name, value, _ := strings.Cut(w, "="); name {
		case "protocols":
			o.Subprotocols = strings.Split(value, ",")
		case "adopt":
			o.Adopt = true
		}
	}
	cfg, err := o.settings()
	r.must(err)
	r.begin(cfg)
}

// handshake answers a dial.
func (r *rehearsal) handshake(c *dialled, f []string) {
	switch {
	case f[0] == "refused" && c.offer.first:
		r.t.Fatal("the first dial of this client is its caller's")
	case f[0] == "refused", len(f) > 1 && !c.offer.first:
		r.abandon(c)
		if f[0] == "opens" {
			r.m.answeredBare()
		}
		r.m.dialFailed(r.now)
	case len(f) == 1:
		c.conn = r.m.attach(r.now, c.offer)
	case wire.IsOwn(f[1]):
		c.conn = r.m.attachPlain(r.now, "")
	default:
		c.conn = r.m.attachPlain(r.now, f[1])
	}
}

// sidecar lets the other end of a connection do something.
func (r *rehearsal) sidecar(c *dialled, f []string) {
	op := ws.OpBinary
	var p []byte
	switch f[0] {
	case "breaks":
		r.forget(c)
		r.m.broken(r.now, c.conn, io.EOF)
		return
	case "closes":
		code, reason := r.code(f[1:])
		r.forget(c)
		op, p = ws.OpClose, append([]byte{byte(code >> 8), byte(code)}, reason...)
	case "text", "binary", "magic":
		text, payload, times := parseMessage(f)
		if p = payload; text {
			op = ws.OpText
		}
		for range times - 1 {
			r.feed(c, op, p)
		}
	default:
		p = r.control(c, f)
	}
	r.feed(c, op, p)
}

// feed lets a message arrive, in pieces if it is large.
func (r *rehearsal) feed(c *dialled, op ws.OpCode, p []byte) {
	raw := frame.Append(nil, ws.Header{Fin: true, OpCode: op}, p)
	for len(raw) > 0 && c.conn.closed == nil {
		n := copy(c.conn.input.space(), raw)
		raw = raw[n:]
		r.m.received(r.now, c.conn, n)
	}
	r.report()
}

func (r *rehearsal) control(c *dialled, f []string) []byte {
	a := func(name string, def uint32) uint32 {
		for _, w := range f {
			if v, ok := strings.CutPrefix(w, name+"="); ok {
				def = r.number(v)
			}
		}
		return def
	}
	switch f[0] {
	case "WELCOME":
		return r.welcome(c, f, a)
	case "ACK":
		return wire.AppendAck(nil, r.number(f[1]))
	case "HEARTBEAT", "HEARTBEAT_ACK":
		b := wire.Beat{Sent: a("sent", 0), Ack: a("ack", 0)}
		heartbeat.AppendPayload(b.Payload[:0], heartbeat.Payload{Seq: a("seq", 1), TimeMillis: 1})
		if slices.Contains(f, "damaged") {
			b.Payload[0] ^= 1
		}
		if f[0] == "HEARTBEAT" {
			return wire.AppendBeat(nil, wire.Heartbeat, b)
		}
		return wire.AppendBeat(nil, wire.HeartbeatAck, b)
	case "GOAWAY":
		reason := wire.GoAwayDraining
		if len(f) > 2 {
			reason = wire.GoAwayAuthenticate
		}
		return wire.AppendGoAway(nil, reason, r.number(f[1]))
	case "CLOSE":
		code, reason := r.code(f[1:])
		return wire.AppendClose(nil, code, reason)
	case "RESET":
		if len(f) > 2 {
			return wire.AppendRefused(nil, uint16(r.number(f[2])))
		}
		return wire.AppendReset(nil, wire.ResetReason(r.number(f[1])))
	case "ESCAPED":
		return append(wire.AppendEscape(nil), wire.Magic+strings.Join(f[1:], " ")...)
	case "raw":
		p, err := hex.DecodeString(f[1])
		r.must(err)
		return p
	}
	r.t.Fatalf("unknown command %q", f)
	return nil
}

func (r *rehearsal) welcome(c *dialled, f []string, a func(string, uint32) uint32) []byte {
	w := &wire.WelcomeMessage{
		Session: wire.SessionID{1}, Epoch: a("epoch", 1), InboundAck: a("ack", 0), NextOutbound: a("next", 1),
		HeartbeatMillis: a("heartbeat", 5000), TTLMillis: a("ttl", 300_000),
		Window: a("window", 1<<20), MaxMessage: 1 << 20, RetryFirstMillis: a("first", 0), RetryMostMillis: a("most", 0), Token: "t" + c.name[1:],
	}
	for _, word := range f[1:] {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "resumed":
			w.Status = wire.StatusResumed
		case "adopted":
			w.Status = wire.StatusAdopted
		case "drained":
			w.Reason = wire.AdoptDrained
		case "owner_lost":
			w.Reason = wire.AdoptOwnerLost
		case "app_restarted":
			w.Reason = wire.AdoptAppRestarted
		case "owed":
			w.Reason = wire.AdoptOwed
		case "app":
			w.Subprotocol = value
		case "token":
			w.Token = value
		}
	}
	return wire.AppendWelcome(nil, w)
}

func (r *rehearsal) number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	r.must(err)
	return uint32(n)
}

func (r *rehearsal) code(f []string) (ws.StatusCode, string) {
	return ws.StatusCode(r.number(f[0])), strings.Join(f[1:], " ")
}

// parseMessage reads a kind, words or size=N, and perhaps times=N.
func parseMessage(f []string) (text bool, p []byte, times int) {
	times = 1
	var ws []string
	for _, w := range f[1:] {
		if n, ok := strings.CutPrefix(w, "times="); ok {
			times, _ = strconv.Atoi(n)
		} else if n, ok := strings.CutPrefix(w, "size="); ok {
			size, _ := strconv.Atoi(n)
			ws = append(ws, strings.Repeat("x", size))
		} else {
			ws = append(ws, w)
		}
	}
	p = []byte(strings.Join(ws, " "))
	if f[0] == "magic" {
		p = append([]byte(wire.Magic), p...)
	}
	return f[0] == "text", p, times
}

// data shows a message of the app.
func data(text bool, p []byte) string {
	kind := "binary"
	if text {
		kind = "text"
	} else if rest, ok := bytes.CutPrefix(p, []byte(wire.Magic)); ok {
		kind, p = "magic", rest
	}
	if len(p) > 40 {
		return fmt.Sprintf("%s of %d bytes", kind, len(p))
	}
	return fmt.Sprintf("%s %q", kind, p)
}

// words shows a message on the wire.
func (r *rehearsal) words(text bool, p []byte) string {
	t, ours := wire.TypeOf(p)
	if text || !ours || r.m.plain {
		return data(text, p)
	}
	switch t {
	case wire.Escaped:
		return "ESCAPED " + data(false, p[wire.EscapeLen:])
	case wire.Skipped, wire.Restored:
		return t.String()
	case wire.Ack:
		seq, err := wire.ParseAck(p)
		return format(err, "ACK %d", seq)
	case wire.Heartbeat, wire.HeartbeatAck:
		b, err := wire.ParseBeat(p, t)
		seq := hex.EncodeToString(b.Payload[:4])
		n, _ := strconv.ParseUint(seq, 16, 32)
		return format(err, "%v seq %d sent %d ack %d", t, n, b.Sent, b.Ack)
	case wire.Close:
		code, reason, err := wire.ParseClose(p)
		return strings.TrimSpace(format(err, "CLOSE %d %s", code, reason))
	}
	return "what a client does not send: " + t.String()
}

func format(err error, format string, args ...any) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(format, args...)
}
