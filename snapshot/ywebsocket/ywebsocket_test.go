package ywebsocket

import (
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "y-websocket", New)
	for name, script := range map[string]string{
		"the latest sync step 1 is said again, and all that the app says is for the client": `
			app/x 00 00 01 00
			client/x 00 00 01 00
			client/x 01 03 010203
			client/x 00 01 02 0000
			app/x 00 01 02 0000
			client/x 00 02 03 010203
			app/x 00 02 03 010203
			client/x 00 00 03 010502
			app/x 00 01 02 0000
			complete
			move
			to-app/x 00 00 03 010502
			restored
			app/x 00 00 01 00
			app/x 00 01 02 0000
			app/x 01 03 010203
			complete`,
		"a client that has not begun begins by itself": `
			restore
			restored
			client/x 00 00 01 00`,
		"a long update": `
			client/x 00 02 8001 ` + zeros(128) + `
			complete
			client/x 00 02 8001 ` + zeros(127) + `
			incomplete`,
		"Hocuspocus, which says the document's name first": `
			client/x 01 61 02 00 01 74
			incomplete`,
		"text is none of it": `
			client {}
			incomplete`,
		"nor are messages of an application's own": `
			client/x 64 01 00
			incomplete`,
		"nor is what has no end, or no beginning": `
			client/x 00
			incomplete`,
		"nothing is said for a client that is away": `
			client/x 00 00 01 00
			detach
			wait 5m`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

// zeros is so many bytes in hex.
func zeros(n int) string { return strings.Repeat("00", n) }

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "y-websocket", New)
	for name, script := range map[string]string{
		"a step 1 owes a step 2": `
			owes nothing
			client/x 00 00 01 00
			owes answer
			app/x 00 00 01 00
			client/x 00 01 02 0000
			owes answer
			app/x 00 01 02 0000
			owes nothing
			client/x 00 02 02 0000
			client/x 01 01 00
			owes nothing`,
		"so does that of a restore": `
			client/x 00 00 01 00
			app/x 00 01 02 0000
			restore
			to-app/x 00 00 01 00
			owes answer
			app/x 00 01 02 0000
			owes nothing`,
		"what is not of the protocol": `
			client/x 64 01 00
			owes unknown`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
