package phoenix

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "phoenix", New)
	for name, script := range map[string]string{
		"joins, leaves and heartbeats are answered": `
			owes nothing
			client ["1","1","room","phx_join",{}]
			owes answer
			app ["1","1","room","phx_reply",{"status":"ok"}]
			owes nothing
			client [null,"2","phoenix","heartbeat",{}]
			owes answer
			app ["1",null,"room","said",{}]
			owes answer
			app [null,"2","phoenix","phx_reply",{"status":"ok"}]
			owes nothing
			client ["1","3","room","phx_leave",{}]
			owes answer
			app ["1","3","room","phx_reply",{"status":"ok"}]
			app ["1","1","room","phx_close",{}]
			owes nothing`,
		"a push may be answered, or not": `
			client ["1","1","room","phx_join",{}]
			app ["1","1","room","phx_reply",{"status":"ok"}]
			client ["1","2","room","say",{}]
			client ["1","3","room","say",{}]
			owes unknown
			app ["1","3","room","phx_reply",{"status":"ok"}]
			owes unknown
			app ["1","2","room","phx_reply",{"status":"error"}]
			owes nothing`,
		"a channel that crashed answers nothing": `
			client ["1","1","room","phx_join",{}]
			app ["1","1","room","phx_reply",{"status":"ok"}]
			client ["1","2","room","say",{}]
			app ["1","1","room","phx_error",{}]
			owes nothing`,
		"the older serializer": `
			client {"topic":"room","event":"phx_join","payload":{},"ref":"1"}
			owes answer
			app {"topic":"other","event":"phx_reply","payload":{"status":"ok"},"ref":"1"}
			owes answer
			app {"topic":"room","event":"phx_reply","payload":{"status":"ok"},"ref":"1"}
			owes nothing`,
		"a push in binary": `
			client/b xyz
			owes unknown`,
		"a push without a number": `
			client [null,null,"room","say",{}]
			owes unknown`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
