package actioncable

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "actioncable", New)
	for name, script := range map[string]string{
		"subscriptions follow the welcome, and no answer is for the client": `
			app {"type":"welcome"}
			client {"command":"subscribe","identifier":"{\"channel\":\"A\"}"}
			client {"command":"subscribe","identifier":"{\"channel\":\"A\"}"}
			app {"identifier":"{\"channel\":\"A\"}","type":"confirm_subscription"}
			client {"command":"subscribe","identifier":"b"}
			app {"identifier":"b","type":"confirm_subscription"}
			client {"command":"message","identifier":"b","data":"{}"}
			app {"identifier":"b","message":{"type":"welcome"}}
			client {"command":"subscribe","identifier":"c"}
			app {"identifier":"c","type":"confirm_subscription"}
			client {"command":"unsubscribe","identifier":"c"}
			client {"command":"subscribe","identifier":"d"}
			app {"identifier":"d","type":"reject_subscription"}
			complete
			move
			restoring
			app! {"type":"welcome"}
			to-app {"command":"subscribe","identifier":"{\"channel\":\"A\"}"}
			to-app {"command":"subscribe","identifier":"b"}
			app {"type":"ping","message":1}
			app! {"identifier":"b","type":"confirm_subscription"}
			app {"identifier":"b","message":1}
			restoring
			app! {"identifier":"{\"channel\":\"A\"}","type":"confirm_subscription"}
			restored
			app {"identifier":"b","type":"confirm_subscription"}`,
		"a subscription that was not confirmed is confirmed to the client": `
			app {"type":"welcome"}
			client {"command":"subscribe","identifier":"a"}
			restore
			app! {"type":"welcome"}
			to-app {"command":"subscribe","identifier":"a"}
			app {"identifier":"a","type":"confirm_subscription"}
			restored`,
		"the client to-app of a subscription that the new app rejects": `
			app {"type":"welcome"}
			client {"command":"subscribe","identifier":"a"}
			app {"identifier":"a","type":"confirm_subscription"}
			restore
			app! {"type":"welcome"}
			to-app {"command":"subscribe","identifier":"a"}
			app {"identifier":"a","type":"reject_subscription"}
			restored
			restore
			app! {"type":"welcome"}
			restored`,
		"an app that does not welcome fails the restore": `
			restore
			wait 5s
			failed`,
		"pings are not for a client that is away": `
			detach
			app! {"type":"ping","message":1}
			attach
			app {"type":"ping","message":2}`,
		"a restart is not told, a disconnection is": `
			ends 1000
			app! {"type":"disconnect","reason":"server_restart","reconnect":true}
			restarts 1000
			restore
			ends 1000
			app! {"type":"welcome"}
			restored
			app {"type":"disconnect","reason":"unauthorized","reconnect":false}
			ends 1000
			ended`,
		"a disconnection by the app, which lets the client come again, is meant": `
			app {"type":"disconnect","reason":"remote","reconnect":true}
			ends 1000
			ended`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
