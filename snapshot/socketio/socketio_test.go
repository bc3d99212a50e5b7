package socketio

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "socket.io", New)
	for name, script := range map[string]string{
		"namespaces are connected again once the server has opened": `
			app 0{"sid":"a"}
			client 40
			app 40{"sid":"b"}
			client 40/admin,{"token":"t"}
			app 40/admin,{"sid":"c"}
			client 40/gone,
			app 40/gone,{"sid":"d"}
			client 41/gone,
			client 40/kicked,
			app 40/kicked,{"sid":"d"}
			app 41/kicked,
			client 42["40/x,"]
			complete
			move
			restoring
			app! 0{"sid":"e"}
			to-client 2
			to-app 40
			to-app 40/admin,{"token":"t"}
			app! 40/admin,{"sid":"f"}
			app 42/admin,["hello"]
			restoring
			app! 40{"sid":"g"}
			restored
			app 42["hello"]`,
		"a client that was not answered to-app the answer": `
			app 0{}
			client 40
			restore
			app! 0{}
			to-client 2
			to-app 40
			app 40{"sid":"b"}
			restored
			restore
			app! 0{}
			to-client 2
			to-app 40
			app! 40{"sid":"c"}
			restored`,
		"a client that was told nothing yet to-app everything": `
			restore
			restored
			app 0{}
			client 40
			app 40{}`,
		"a namespace that is refused now is the client's to know": `
			app 0{}
			client 40/a,
			app 40/a,{}
			client 40/b,
			app 40/b,{}
			restore
			app! 0{}
			to-client 2
			to-app 40/a,
			to-app 40/b,
			app 44/a,{"message":"no"}
			app! 40/b,{}
			restored
			restore
			app! 0{}
			to-client 2
			to-app 40/b,
			app! 40/b,{}
			restored`,
		"pings are answered for a client that is away": `
			app 0{}
			app 2
			client 3
			detach
			wait 1m
			app! 2
			to-app 3
			attach
			app 2
			wait 10s
			detach
			to-app 3
			attach
			detach
			wait 1m`,
		"attachments are no packets, and between them nothing can be restored": `
			app 0{}
			client 40
			app 40{}
			client 452-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]
			incomplete
			client/b one
			incomplete
			client/b two
			complete
			app 461-/a,1[{"_placeholder":true,"num":0}]
			incomplete
			app/b one
			complete`,
		"a server that closes all its sockets restarts, and one that disconnects the client does not": `
			ends 1005
			app 0{}
			client 40
			app 40{}
			client 40/a,
			app 40/a,{}
			app 41
			restarts 1005
			ends 1000
			app 41/a,
			ends 1005
			ended
			client 40
			going`,
		"a packet of another parser":       "client/b {type:0}\nincomplete",
		"an upgrade from polling":          "client 2probe\nincomplete",
		"the engine's close ends it all":   "app 0{}\nclient 40\napp 40{}\nclient 1\nrestore\nrestored",
		"no open packet fails the restore": "app 0{}\nclient 40\napp 40{}\nrestore\nwait 5s\nfailed",
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

func FuzzRestore(f *testing.F) {
	for _, text := range []string{"0{}", "40", "40/a,{}", "41/a,", "44/a,{}", "452-[]", "2", "3", "1", "4", "45-", "40/a"} {
		f.Add([]byte("\x00"+text), []byte("\x00"+text))
		f.Add(snapshottest.Conversation("\x00"+text, "\x02"+text), snapshottest.Conversation("\x01"+text))
	}
	f.Fuzz(func(t *testing.T, before, after []byte) {
		snapshottest.Restores(t, snapshot.Protocol{Name: "socket.io", New: New}, before, after, nil)
	})
}
