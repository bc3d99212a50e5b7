package snapshottest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
)

// Bits of the first byte of a message of Conversation.
const (
	binaryMessage = 1 << iota
	fromApp
	attachment    // the client comes or goes afterwards
	detached      // with attachment: it goes
	secondElapses // a second passes afterwards
)

// Conversation encodes messages for Restores: the first byte of each says who
// says it and how, and what happens afterwards. It is written as bytes so that
// a fuzzer can change it.
func Conversation(messages ...string) []byte {
	var b []byte
	for _, m := range messages {
		b = append(b, m[0], byte(len(m)-1))
		b = append(b, m[1:]...)
	}
	return b
}

// eachMessage calls fn with each message of what Conversation encodes.
func eachMessage(b []byte, fn func(mode byte, m snapshot.Message)) {
	for len(b) >= 2 {
		n := min(int(b[1]), len(b)-2)
		fn(b[0], snapshot.Message{Binary: b[0]&binaryMessage != 0, Data: bytes.Clone(b[2 : 2+n])})
		b = b[2+n:]
	}
}

// Restores lets a conversation happen in both directions, and then restores it
// in place and on another pod, where after is what the app says. Both must tell
// and swallow the same, and the bounds must hold.
//
// Within a unit of the protocol they differ in one message: in place the app
// hears the beginning again, and elsewhere the client says it again. holdsPart
// reports whether the preset has such a beginning; nil is never.
func Restores(t *testing.T, protocol snapshot.Protocol, before, after []byte, holdsPart func(snapshot.Preset) bool) {
	t.Helper()
	var first snapshot.Preset
	p := Policy(t, "", protocol.Name, snapshot.Protocol{Name: protocol.Name, New: func() snapshot.Preset {
		preset := protocol.New()
		if first == nil {
			first = preset
		}
		return preset
	}})
	here, now, attached := p.Tracker("/"), Start, true
	here.Attach(now, attached)
	eachMessage(before, func(mode byte, m snapshot.Message) {
		if mode&fromApp == 0 {
			here.Inbound(now, m)
		} else {
			here.Outbound(now, m)
		}
		if mode&attachment != 0 {
			attached = mode&detached == 0
			here.Attach(now, attached)
		}
		if mode&secondElapses != 0 {
			now = now.Add(time.Second)
			here.Tick(now)
		}
		clear(m.Data)
		CheckBounds(t, here, protocol.Name)
	})
	here.ToApp()
	there := Moved(t, p, here)
	there.Attach(now, attached)
	here.Restore(now)
	there.Restore(now)
	same := func(what string, a, b any) {
		t.Helper()
		if a, b := fmt.Sprint(a), fmt.Sprint(b); a != b {
			t.Fatalf("%s: %s in place, %s on another pod", what, a, b)
		}
	}
	part := holdsPart != nil && holdsPart(first)
	told := func() {
		t.Helper()
		a, b := here.ToApp(), there.ToApp()
		if part && !here.Restoring() {
			part, a = false, a[:len(a)-1]
		}
		same("to the app", a, b)
		same("to the client", here.ToClient(), there.ToClient())
	}
	here.ToClient()
	told()
	eachMessage(after, func(_ byte, m snapshot.Message) {
		same("swallowed", here.Outbound(now, m), there.Outbound(now, m))
		told()
		same("restoring", here.Restoring(), there.Restoring())
		same("failed", here.Failed(), there.Failed())
	})
}

// CheckBounds checks what a Tracker holds against the limits. What is counted
// against MaxBytes is what Save writes beside its fixed parts.
func CheckBounds(t *testing.T, k *snapshot.Tracker, protocol string) {
	t.Helper()
	const head, perEntry = 1 + 1 + 4 + 1 + 2, 1 + 4 + 4 + 4 + 8 + 2 + 4
	saved, entries := len(k.Save()), len(k.Entries())
	size := saved - head - len(protocol) - entries*perEntry
	if entries > snapshot.MaxEntries || size > snapshot.MaxBytes || saved > snapshot.MaxSaved {
		t.Fatalf("%d entries of %d bytes, saved in %d", entries, size, saved)
	}
}
