package client

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/seqwindow"
	"github.com/wsresilience/wsresilience/wire"
)

// Members are who share a session (docs/DEVICES.md).
type Members struct {
	Self uint16   // this client's number; 0: the session is not shared
	All  []uint16 // all numbers, ascending; those that are away are among them
}

// Members returns who shares the session, as far as is known. It needs
// Options.Share.
func (c *Conn) Members() Members {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Members{c.m.members.Self, slices.Clone(c.m.members.All)}
}

// A Synchronisation says what this client has of a shared session's state and log.
type Synchronisation struct {
	// Full says that the state follows, in place of all that the program knew: it is
	// new to the session, or was away for too long. Otherwise nothing is missing.
	Full bool
	// Partial, of a full one, says that not all of the state is known.
	Partial bool
	// State is how many messages the state is, of a full one.
	State int
	// Version is the number of the newest message of the common log that is in it:
	// clients with the same version have the same.
	Version uint32
	// Behind is how many messages Read returns, from the beginning, before those.
	Behind uint64
}

// A Conflict is about a message that the app did not get, since what it is about has
// changed.
type Conflict struct {
	Message uint32 // which message: 1 is the first that was written in the session
	Key     string // of the state
	Known   bool   // Type and Present are the app's message that is the state now
	Type    MessageType
	Present []byte
}

// shared handles SHARED (PROTOCOL §4.14).
func (m *machine) shared(now time.Time, conn *connection, p []byte) error {
	what, err := wire.ParseShared(p)
	switch {
	case err != nil:
		return err
	case !m.cfg.share:
		return errors.New("SHARED that was not asked for")
	}
	conn.lastSeq++
	switch m.in.pass(now, conn.lastSeq) {
	case seqwindow.Gap:
		return errors.New("message out of order")
	case seqwindow.Duplicate:
		return nil
	}
	switch s := what.(type) {
	case *wire.Members:
		m.membersAre(s)
	case wire.Synchronised:
		m.tell(Event{Kind: EventSynchronised, Synchronised: &Synchronisation{
			Full: s.Mode != wire.SyncLog, Partial: s.Mode == wire.SyncPartial, State: int(s.Messages), Version: s.Version, Behind: m.in.behind(),
		}})
	case *wire.Conflict:
		c := &Conflict{Message: s.Seq - uint32(m.out.shift), Key: s.Key, Known: s.OpCode != 0, Present: bytes.Clone(s.Present)}
		if c.Type = MessageText; s.OpCode == ws.OpBinary {
			c.Type = MessageBinary
		}
		m.tell(Event{Kind: EventConflict, Conflict: c})
	}
	return nil
}

// membersAre tells who has joined and left since the last list.
func (m *machine) membersAre(now *wire.Members) {
	before := m.members
	m.members = *now
	for _, n := range now.All {
		if n != now.Self && !slices.Contains(before.All, n) {
			m.tell(Event{Kind: EventJoined, Member: n})
		}
	}
	for _, n := range before.All {
		if n != now.Self && !slices.Contains(now.All, n) {
			m.tell(Event{Kind: EventLeft, Member: n})
		}
	}
}

func (m *machine) tell(e Event) {
	e.State = m.state
	m.events = append(m.events, e)
}
