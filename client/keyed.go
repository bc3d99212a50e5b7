package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// ErrNoKeys is wrapped by the error of a WriteKeyed whose message acts once
// nowhere: there is no sidecar, or none that takes keys on this path. If it was
// sent nevertheless, since that turned out later, the error says so.
var ErrNoKeys = errors.New("keys are not taken")

// ErrNoOutcome is wrapped by the error of a WriteKeyed whose message the app's
// sidecar had taken before it died, and its word of what became of the message
// with it. Written again with its key, the message is safe.
var ErrNoOutcome = errors.New("it is not known what became of it")

// maxOutcomeWait is how long what a lost owner has acknowledged may stay without an
// outcome that was in the journal: it comes right behind WELCOME.
const maxOutcomeWait = 2 * time.Second

// A Fate is what became of a message with a key (docs/DEVICES.md).
type Fate uint8

const (
	// FateFirst: the app got the message, and no other one with its key before.
	FateFirst = Fate(wire.FateFirst)
	// FateRepeated: another one with the key had acted, so that the app did not get
	// this one.
	FateRepeated = Fate(wire.FateRepeated)
	// FateUnderway: another one is with the app, so that it did not get this one.
	FateUnderway = Fate(wire.FateUnderway)
	// FateAgain: another one was in doubt, and the app got this one too: both may
	// act.
	FateAgain = Fate(wire.FateAgain)
	// FateDoubt: another one is in doubt, and the app did not get this one: maybe
	// none acts.
	FateDoubt = Fate(wire.FateDoubt)
	// FateUnkeyed: the app got the message, and no rule of the sidecar is about it.
	FateUnkeyed = Fate(wire.FateUnkeyed)
	// FateForbidden: what the message is about is in a state that it does not follow,
	// so that the app did not get it.
	FateForbidden = Fate(wire.FateForbidden)
)

func (f Fate) String() string { return wire.Fate(f).String() }

// Certain reports whether it is known that the message, or another one with its
// key, was handed to the app once.
func (f Fate) Certain() bool { return f <= FateUnderway }

// WriteKeyed is Write of a message that acts once under its key, whichever device
// sends another one with that key, and through whichever pod, and returns what
// became of it: when the app's socket has it, or will not get it. Whose keys are
// one set, and for how long, the sidecar's rules say (WSR_IDEMPOTENCY_RULES, with
// the key "client"). The key is of 1 to 64 bytes. It needs Options.Keys.
//
// After an error the message may be delivered nevertheless; written again with its
// key, it is safe.
func (c *Conn) WriteKeyed(ctx context.Context, typ MessageType, p []byte, key string) (Fate, error) {
	if len(key) < 1 || len(key) > wire.MaxKey {
		return 0, fmt.Errorf("client: write: key of %d bytes: want 1 to %d", len(key), wire.MaxKey)
	}
	if typ != MessageText && typ != MessageBinary {
		return 0, fmt.Errorf("client: write: %v: want text or binary", typ)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("client: write: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.plain || !c.m.takesKeys {
		return 0, fmt.Errorf("client: write: %w", ErrNoKeys)
	}
	at, err := c.enqueue(ctx, nil, &StoredMessage{Type: typ, Data: p, Key: key})
	if err != nil {
		return 0, err
	}
	w := c.m.awaitOutcome(key, at)
	defer c.m.forgetOutcome(w)
	c.m.out.awaited = at
	c.perform(time.Now())
	for !w.told {
		switch {
		case slices.Contains(c.m.out.rejected, w.at):
			return 0, fmt.Errorf("client: write: %d bytes: %w", len(p), ErrRejected)
		case c.m.err != nil:
			return 0, c.ended(c.m.err)
		case w.missed:
			return 0, fmt.Errorf("client: write: %w", ErrNoOutcome)
		case w.unkeyed && seqwindow.LessEq(w.at, c.m.out.acked):
			return 0, fmt.Errorf("client: write: it was delivered without its key: %w", ErrNoKeys)
		}
		if err := c.await(ctx, nil, &c.freed); err != nil {
			return 0, fmt.Errorf("client: write: %w", err)
		}
	}
	return w.fate, nil
}

// An outcomeWait is a message with a key whose outcome has not come. Those of one
// key have their outcomes in the order in which they were written.
type outcomeWait struct {
	key     string
	at      seqwindow.Serial
	fate    Fate
	told    bool
	unkeyed bool // it was sent without its key
	missed  bool // its outcome is gone
	alone   bool // no WriteKeyed waits for it (any more)
}

func (m *machine) awaitOutcome(key string, at seqwindow.Serial) *outcomeWait {
	w := &outcomeWait{key: key, at: at}
	m.outcomes = append(m.outcomes, w)
	return w
}

// forgetOutcome handles that the WriteKeyed that waited has returned. What is still
// to come counts, so that it is not taken for that of a later message.
func (m *machine) forgetOutcome(w *outcomeWait) {
	w.alone = true
	if w.told || w.missed || w.unkeyed || slices.Contains(m.out.rejected, w.at) {
		m.dropOutcome(w)
	}
}

// rejectOutcome handles that a message was set aside, so that nobody says what
// becomes of it.
func (m *machine) rejectOutcome(at seqwindow.Serial) {
	for _, w := range slices.Clone(m.outcomes) {
		if w.at == at && w.alone {
			m.dropOutcome(w)
		}
	}
}

func (m *machine) dropOutcome(w *outcomeWait) {
	if i := slices.Index(m.outcomes, w); i >= 0 {
		m.outcomes = slices.Delete(m.outcomes, i, i+1)
	}
}

// oweOutcomes notes that the owner is gone that has taken what is acknowledged:
// what it said of that is in the journal, or is lost.
func (m *machine) oweOutcomes(now time.Time) {
	m.owed.to, m.owed.by = m.out.acked, now.Add(maxOutcomeWait)
}

// tickOutcomes gives up the outcomes that did not come.
func (m *machine) tickOutcomes(now time.Time) {
	if !m.owed.by.IsZero() && !now.Before(m.owed.by) {
		m.missOutcomes(m.owed.to)
		m.owed.by = time.Time{}
	}
}

// missOutcomes handles that nobody says any more what became of the messages up to
// a position.
func (m *machine) missOutcomes(to seqwindow.Serial) {
	for _, w := range slices.Clone(m.outcomes) {
		if !w.told && !w.missed && !w.unkeyed && seqwindow.LessEq(w.at, to) {
			w.missed = true
			m.told++
			if w.alone {
				m.dropOutcome(w)
			}
		}
	}
}

// outcome handles OUTCOME (PROTOCOL §4.13): of those that wait for the key it is
// for the one that was written first.
func (m *machine) outcome(now time.Time, conn *connection, p []byte) error {
	fate, key, err := wire.ParseOutcome(p)
	switch {
	case err != nil:
		return err
	case !m.cfg.keys:
		return errors.New("OUTCOME that was not asked for")
	}
	if fate > wire.FateForbidden {
		fate = wire.FateDoubt
	}
	conn.lastSeq++
	switch m.in.pass(now, conn.lastSeq) {
	case seqwindow.Gap:
		return errors.New("message out of order")
	case seqwindow.Duplicate:
		return nil
	}
	if m.durable.on {
		if seqwindow.LessEq(conn.lastSeq, m.durable.told) {
			return nil // it came before, and that was not saved
		}
		m.durable.told = conn.lastSeq
	}
	for _, w := range m.outcomes {
		if w.key == key && !w.told {
			w.fate, w.told = Fate(fate), true
			m.told++
			if w.alone {
				m.dropOutcome(w)
			}
			break
		}
	}
	return nil
}

// encodeKeyed returns the frames of a message with its key, which are valid until
// the next one.
func (m *machine) encodeKeyed(typ MessageType, p []byte, key string) []byte {
	raw := m.encode(typ, p)
	if key == "" || m.plain {
		return raw
	}
	return append(m.appendControl(nil, wire.AppendKey(nil, key)), raw...)
}

// keyFrame returns the size of the frame of KEY that begins raw; 0: there is none.
func keyFrame(raw []byte) (size int, key string) {
	h, err := frame.Rules{Masked: true}.Parse(raw)
	if err != nil {
		panic(err) // we made it
	}
	if h.OpCode != ws.OpBinary || h.Total() >= len(raw) {
		return 0, ""
	}
	p := bytes.Clone(raw[h.Size:h.Total()])
	frame.Mask(p, h.Mask, 0)
	if key, err = wire.ParseKey(p); err != nil {
		return 0, ""
	}
	return h.Total(), key
}

// unkey takes the keys off what is not acknowledged, since the sidecar does not
// take them. Nothing was sent yet on this connection.
func (m *machine) unkey() {
	if m.takesKeys {
		return
	}
	m.missOutcomes(m.out.acked)
	if m.out.keyed == 0 {
		return
	}
	at := m.out.window.Acked()
	m.out.rewrite(at, at, func(raw []byte) []byte {
		size, _ := keyFrame(raw)
		return raw[size:]
	})
	for _, w := range slices.Clone(m.outcomes) {
		if w.unkeyed = true; w.alone {
			m.dropOutcome(w)
		}
	}
}

// rewrite replaces each message behind from by what f makes of it, and counts them
// from acked on.
func (o *outbox) rewrite(from, acked seqwindow.Serial, f func(raw []byte) []byte) {
	var list [][]byte
	size := 0
	o.window.Each(from, func(_ seqwindow.Serial, _ uint32, parts [][]byte) bool {
		list = append(list, f(bytes.Join(parts, nil)))
		size += len(list[len(list)-1])
		return true
	})
	limits := o.limits
	limits.Messages, limits.Bytes = max(limits.Messages, len(list)), max(limits.Bytes, size)
	o.window.Reset()
	o.sizes, o.keyed = fifo[int]{}, 0
	o.window.Init(seqwindow.NewPool(0), limits, acked)
	for _, raw := range list {
		if _, err := o.add(raw); err != nil {
			panic(err) // it has room for what is there
		}
	}
}
