package socketio

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "socket.io", New)
	for name, script := range map[string]string{
		"a namespace is joined, or refused": `
			app 0{"sid":"a"}
			owes nothing
			client 40
			owes answer
			app 40{"sid":"b"}
			owes nothing
			client 40/admin,{"token":"t"}
			owes answer
			app 44/admin,{"message":"no"}
			owes nothing`,
		"an event that wants to be acknowledged": `
			client 420["ask"]
			client 42/chat,1["ask"]
			owes answer
			app 42["told"]
			app 430["answer"]
			owes answer
			app 431["of another namespace"]
			owes answer
			app 43/chat,1["answer"]
			owes nothing`,
		"attachments on the way": `
			client 451-7["ask",{"_placeholder":true,"num":0}]
			owes unknown
			client/b x
			owes answer
			app 461-7[{"_placeholder":true,"num":0}]
			owes answer
			app/b x
			owes nothing`,
		"an event that wants nothing may be answered by another": `
			client 42["ask"]
			owes unknown
			app 42["answer"]
			owes unknown
			client 427["ask"]
			owes answer
			app 437["answer"]
			owes unknown`,
		"a namespace that is left answers nothing": `
			client 40/chat,
			app 40/chat,{"sid":"a"}
			client 42/chat,1["ask"]
			app 41/chat,
			owes nothing`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
