package centrifuge

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/wsresilience/wsresilience/internal/jsonpointer"
	"github.com/wsresilience/wsresilience/snapshot"
)

// Outbound implements [snapshot.Preset]. Of a message with several replies the
// client gets those that are for it.
func (p *preset) Outbound(c snapshot.Conversation, now time.Time, m snapshot.Message) (swallow bool) {
	if m.Binary {
		return false
	}
	var forClient [][]byte
	for line := range lines(m.Data) {
		kept := p.reply(c, now, line)
		swallow = swallow || !bytes.Equal(kept, line)
		if kept != nil {
			forClient = append(forClient, kept)
		}
	}
	if swallow && len(forClient) > 0 {
		c.ToClient(now, snapshot.Message{Data: bytes.Join(forClient, []byte{'\n'})})
	}
	return swallow
}

// reply looks at a reply of the app, and returns what of it is for the client; nil
// is nothing.
func (p *preset) reply(c snapshot.Conversation, now time.Time, line []byte) []byte {
	if push, f := jsonpointer.Lookup(line, "push"); f == jsonpointer.Present {
		p.push(c, push)
		return line
	}
	if isEmpty(line) {
		return p.ping(c, line)
	}
	id := jsonpointer.LookupText(line, "id")
	if p.awaits(c) && id == connectID(c) {
		return p.connected(c, now, line)
	}
	c.Forget(keyCall + id)
	p.asked.Answered(id)
	_, refused := jsonpointer.Lookup(line, "error")
	if channel, again := p.awaited[id]; again {
		delete(p.awaited, id)
		if _, wanted := c.Kept(keySubscribed + channel); refused != jsonpointer.Present || !wanted {
			return nil
		}
		drop(c, channel)
		return insufficient(channel)
	}
	p.subscribed(c, now, id, line, refused != jsonpointer.Present)
	return line
}

// push looks at what the app says of its own.
func (p *preset) push(c snapshot.Conversation, push []byte) {
	if _, f := jsonpointer.Lookup(push, "pub"); f != jsonpointer.Absent {
		return // the most frequent by far
	}
	if _, f := jsonpointer.Lookup(push, "unsubscribe"); f == jsonpointer.Present {
		drop(c, jsonpointer.LookupText(push, "channel"))
	}
	if _, f := jsonpointer.Lookup(push, "subscribe"); f == jsonpointer.Present {
		c.SetIncomplete() // the app made it, and another may not know
	}
}

// ping answers a ping, unless the client knows of them.
func (p *preset) ping(c snapshot.Conversation, line []byte) []byte {
	if _, quiet := c.Kept(keyConnected); !quiet {
		return line
	}
	if p.pong {
		c.ToApp(snapshot.Message{Data: []byte("{}")})
	}
	return nil
}

// awaits reports whether the app owes the reply to connect.
func (p *preset) awaits(c snapshot.Conversation) bool {
	_, begun := c.Kept(keyConnect)
	_, connected := c.Kept(keyConnected)
	return p.connecting || begun && !connected
}

// connectID returns the id of the connect command.
func connectID(c snapshot.Conversation) string {
	m, _ := c.Kept(keyConnect)
	return jsonpointer.LookupText(m.Data, "id")
}

// connected takes the reply to connect, which the client hears once.
func (p *preset) connected(c snapshot.Conversation, now time.Time, line []byte) []byte {
	_, heard := c.Kept(keyConnected)
	result, ok := jsonpointer.Lookup(line, "connect")
	switch {
	case ok == jsonpointer.Present:
	case heard:
		c.RestoreFailed()
		return nil
	default: // refused, or not read
		if _, refused := jsonpointer.Lookup(line, "error"); refused != jsonpointer.Present {
			c.SetIncomplete()
		}
		c.Forget(keyConnect)
		p.connecting = false
		c.Restored()
		return line
	}
	p.judge(c, result)
	p.pong = jsonpointer.LookupText(result, "pong") == "true"
	forClient, quiet := withMember(line, "connect", "ping", nil)
	if quiet {
		forClient, quiet = withMember(forClient, "connect", "pong", nil)
	}
	if !quiet {
		c.SetIncomplete()
		forClient = line
	}
	if p.restoreChannels(c, now); heard {
		return nil
	}
	c.Keep(now, keyConnected, snapshot.Message{})
	return forClient
}

// judge notes what of a connection another app could not have: subscriptions that
// the app makes, whose positions are the client's, and compression with a
// dictionary.
func (p *preset) judge(c snapshot.Conversation, result []byte) {
	if subs, f := jsonpointer.Lookup(result, "subs"); f != jsonpointer.Absent && !isEmpty(subs) {
		c.SetIncomplete()
	}
	if flag := jsonpointer.LookupText(result, "flag"); flag != "" && flag != "0" {
		c.SetIncomplete()
	}
}

// restoreChannels says the subscriptions, now that the app has the connection.
// Those with a position the client makes again itself.
func (p *preset) restoreChannels(c snapshot.Conversation, now time.Time) {
	if !p.connecting {
		return
	}
	p.connecting, p.awaited = false, make(map[string]string)
	for _, kind := range [...]string{keySubscribed, keyAsked} {
		for key, m := range c.All(kind) {
			channel := key[len(kind):]
			if kind == keySubscribed {
				p.awaited[jsonpointer.LookupText(m.Data, "id")] = channel
			}
			c.ToApp(m)
		}
	}
	for key := range c.All(keyRecoverable) {
		c.Forget(key)
		c.ToClient(now, snapshot.Message{Data: insufficient(key[len(keyRecoverable):])})
	}
	c.Restored()
}

// subscribed takes the reply to a subscribe of the client.
func (p *preset) subscribed(c snapshot.Conversation, now time.Time, id string, line []byte, accepted bool) {
	for key, m := range c.All(keyAsked) {
		if jsonpointer.LookupText(m.Data, "id") != id {
			continue
		}
		channel := key[len(keyAsked):]
		c.Forget(key)
		switch {
		case !accepted:
		case positioned(line):
			c.SetPending(now, keyRecoverable+channel)
		default:
			c.Keep(now, keySubscribed+channel, m)
		}
		return
	}
}

// positioned reports whether a subscription has a position in its channel's
// history, or may have one.
func positioned(reply []byte) bool {
	for _, member := range [...]string{"recoverable", "positioned", "delta"} {
		if _, f := jsonpointer.Lookup(reply, "subscribe", member); f != jsonpointer.Absent {
			return true
		}
	}
	return false
}

// insufficient is the push by which a client makes a subscription again, and then
// hears itself what becomes of that.
func insufficient(channel string) []byte {
	name, _ := json.Marshal(channel) // of a string, which does not fail
	return append(append([]byte(`{"push":{"channel":`), name...), `,"unsubscribe":{"code":2500,"reason":"insufficient state"}}}`...)
}
