package mqtt

import (
	"slices"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// Restore implements [snapshot.Preset]. It sends CONNECT; the rest follows when
// the broker has answered.
func (t *preset) Restore(c snapshot.Conversation, now time.Time) {
	t.socketEnded(c)
	t.pings, t.inFlight, t.untracked = 0, 0, 0
	t.connecting, t.shuttingDown, t.ended, t.asked = false, false, false, snapshot.Requests{}
	clear(t.awaited)
	c.Forget(keyUntracked)
	for range c.All(keyInFlight) {
		t.inFlight++
	}
	m, ok := c.Kept(keyConnect)
	if !ok {
		c.Restored()
		return
	}
	p, _ := cutPacket(m.Data)
	connect, _ := parseConnect(p.body)
	t.level = connect.level
	t.connecting = true
	t.keepAlive.SetInterval(now, time.Duration(connect.keepAlive)*time.Second)
	data := slices.Clone(m.Data)
	if _, again := c.Kept(keyConnack); again && connect.expires {
		// The first connection may have asked for a clean start. This one
		// continues it (MQTT 5 section 3.1.2.4).
		const cleanStart = 2
		data[len(data)-len(p.body)+connect.flagsAt] &^= cleanStart
	}
	c.ToApp(snapshot.Message{Binary: true, Data: data})
}

// connack acts on a CONNACK (section 3.2): flags, a code, and the broker's
// properties.
func (t *preset) connack(c snapshot.Conversation, now time.Time, p packet) (swallow bool) {
	f := fields{rest: p.body}
	sessionPresent := f.byte()&1 == 1
	_, again := c.Kept(keyConnack)
	if f.byte() != 0 || f.bad {
		return t.connectRefused(c, again)
	}
	if seconds, ok := findProperty(f.properties(t.level), propServerKeepAlive); ok {
		t.keepAlive.SetInterval(now, time.Duration(seconds)*time.Second)
	}
	c.Keep(now, keyConnack, snapshot.Message{})
	if !t.connecting {
		return false
	}
	t.connecting = false
	t.resume(c, now, sessionPresent)
	// A client that never heard the answer of the old broker gets this one.
	return again
}

// connectRefused acts on a CONNACK that refuses. The broker closes after it. A
// client that is connected as far as it knows does not hear it: another attempt
// may do better, where a broker is still starting.
func (t *preset) connectRefused(c snapshot.Conversation, again bool) (swallow bool) {
	if !t.connecting {
		return false
	}
	t.connecting = false
	if again {
		c.RestoreFailed()
		return true
	}
	c.Restored()
	return false
}

// resume sends what the broker must know besides the CONNECT: its subscriptions,
// and the packets in flight (section 4.4).
func (t *preset) resume(c snapshot.Conversation, now time.Time, sessionPresent bool) {
	if !sessionPresent { // else the broker still has the subscriptions
		id := uint16(0)
		for _, m := range c.All(keyFilter) {
			// Clients count from 1, so ours from the other end rarely meet
			// one that is in flight.
			for id--; t.inUse(c, id); id-- {
			}
			p, _ := cutPacket(m.Data)
			t.awaited[id] = true
			c.ToApp(snapshot.Message{Binary: true, Data: withID(p, id)})
		}
	}
	for _, m := range c.All(keyInFlight) {
		c.ToApp(m)
	}
	if m, ok := c.Kept(keyPing); ok {
		c.ToApp(m) // or the client takes the broker for dead
	}
	t.keepAlive.Sent(now)
	t.restoredIfAnswered(c)
}

// inUse reports whether the client uses a packet identifier, or it is none
// (section 2.2.1).
func (t *preset) inUse(c snapshot.Conversation, id uint16) bool {
	_, ok := c.Kept(inFlightKey(id))
	return ok || id == 0
}

// restoredIfAnswered ends the restore when all answers have come.
func (t *preset) restoredIfAnswered(c snapshot.Conversation) {
	if len(t.awaited) == 0 && !t.connecting && c.Restoring() {
		c.Restored()
	}
}
