package centrifuge

import (
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "centrifuge", New)
	for name, script := range map[string]string{
		"connect and subscriptions are said again, and the replies are not for the client": `
			client {"connect":{"token":"t","name":"js"},"id":1}
			app! {"id":1,"connect":{"client":"a","version":"6","ping":25,"pong":true}}
			to-client {"connect":{"client":"a","version":"6"},"id":1}
			client {"subscribe":{"channel":"x"},"id":2}\n{"subscribe":{"channel":"y"},"id":3}\n
			app {"id":2,"subscribe":{}}\n{"id":3,"subscribe":{}}
			client {"subscribe":{"channel":"z"},"id":4}
			app {"id":4,"error":{"code":103,"message":"permission denied"}}
			client {"unsubscribe":{"channel":"x"},"id":5}
			app {"id":5,"unsubscribe":{}}
			complete
			move
			to-app {"connect":{"token":"t","name":"js"},"id":1}
			restoring
			app! {"id":1,"connect":{"client":"b","version":"6","ping":25,"pong":true}}
			to-app {"subscribe":{"channel":"y"},"id":3}
			restored
			app! {"id":3,"subscribe":{}}
			app {"push":{"channel":"y","pub":{"data":{"id":3}}}}
			complete`,
		"a client that has not heard the reply to connect hears it": `
			client {"connect":{},"id":1}
			restore
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{"client":"a","ping":25}}
			to-client {"connect":{"client":"a"},"id":1}
			restored
			app! {}`,
		"a subscribe without a reply is said again, and its reply is for the client": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"subscribe":{"channel":"x"},"id":2}
			restore
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-app {"subscribe":{"channel":"x"},"id":2}
			restored
			app {"id":2,"subscribe":{}}`,
		"a client that has not begun begins by itself": `
			restore
			restored
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}`,
		"a connect that the new app refuses fails the restore": `
			client {"connect":{"token":"t"},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			restore
			to-app {"connect":{"token":"t"},"id":1}
			app! {"id":1,"error":{"code":109,"message":"token expired"}}
			failed
			restore
			to-app {"connect":{"token":"t"},"id":1}
			app! {"id":1,"connect":{}}
			restored`,
		"a refused connect is not said again": `
			client {"connect":{"token":"t"},"id":1}
			app {"id":1,"error":{"code":109,"message":"token expired"}}
			complete
			restore
			restored`,
		"a subscription that the new app refuses is the client's to make again": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"subscribe":{"channel":"a\"b","token":"t"},"id":2}
			app {"id":2,"subscribe":{}}
			restore
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-app {"subscribe":{"channel":"a\"b","token":"t"},"id":2}
			app! {"id":2,"error":{"code":109,"message":"token expired"}}
			to-client {"push":{"channel":"a\"b","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
			restore
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			restored`,
		"a subscription with a position is the client's to recover": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"subscribe":{"channel":"x"},"id":2}
			app {"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":7}}
			incomplete
			client {"unsubscribe":{"channel":"x"},"id":3}
			app {"id":3,"unsubscribe":{}}
			complete
			client {"subscribe":{"channel":"x","recover":true,"epoch":"e","offset":7},"id":4}
			app {"id":4,"subscribe":{"recoverable":true,"positioned":true}}
			incomplete
			move
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"push":{"channel":"x","unsubscribe":{"code":2500,"reason":"insufficient state"}}}
			restored
			complete`,
		"a reply that is too long to be read may tell of a position": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"subscribe":{"channel":"x"},"id":2}
			app {"id":2,"subscribe":{"publications":[{"data":"` + strings.Repeat("x", 1<<16) + `"}],"recoverable":true}}
			incomplete`,
		"what the app ends is not said again": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"subscribe":{"channel":"x"},"id":2}
			app {"id":2,"subscribe":{}}
			app {"push":{"channel":"x","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}
			restore
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			restored`,
		"the latest token counts": `
			client {"connect":{"token":"t"},"id":1}
			app! {"id":1,"connect":{"expires":true,"ttl":60}}
			to-client {"connect":{"expires":true,"ttl":60},"id":1}
			client {"refresh":{"token":"u"},"id":2}
			app {"id":2,"refresh":{"expires":true,"ttl":60}}
			complete
			move
			to-app {"connect":{"token":"u"},"id":1}
			app! {"id":1,"connect":{}}
			restored`,
		"another command is never said again, and an adoption during it is not silent": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"publish":{"channel":"x","data":{"connect":1}},"id":2}
			incomplete
			app {"id":2,"publish":{}}
			complete
			client {"rpc":{"method":"pay","data":{}},"id":3}
			incomplete
			app {"id":3,"error":{"code":100,"message":"internal server error"}}
			complete`,
		"pings are answered at all times, if the app wants that": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{"ping":25,"pong":true}}
			to-client {"connect":{},"id":1}
			app! {}
			to-app {}
			detach
			app! {"push":{"message":{"data":1}}}\n{}
			to-client {"push":{"message":{"data":1}}}
			to-app {}
			attach
			restore
			to-app {"connect":{},"id":1}
			app! {"id":1,"connect":{"ping":25}}
			restored
			app! {}`,
		"subscriptions by the app are not known": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{"subs":{"x":{"recoverable":true}}}}
			to-client {"connect":{"subs":{"x":{"recoverable":true}}},"id":1}
			incomplete`,
		"nor are those that it makes later": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{"subs":{}}}
			to-client {"connect":{"subs":{}},"id":1}
			complete
			app {"push":{"channel":"x","subscribe":{}}}
			incomplete`,
		"compression with a dictionary is not known": `
			client {"connect":{"flag":1},"id":1}
			app! {"id":1,"connect":{"flag":1}}
			to-client {"connect":{"flag":1},"id":1}
			incomplete`,
		"nor are subscriptions of several steps": `
			client {"subscribe":{"channel":"x","type":1,"phase":2},"id":2}
			incomplete`,
		"nor is Protobuf": `
			client/x 0a00
			incomplete`,
		"nor is version 1": `
			client {"id":1,"method":1,"params":{"channel":"x"}}
			incomplete`,
		"a server that stops": `
			restarts 3001
			ends 3000
			ends 3503`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}

// What the app owes at each moment.
func TestOwes(t *testing.T) {
	g := snapshottest.Preset(t, "centrifuge", New)
	for name, script := range map[string]string{
		"each command with an id is answered": `
			owes nothing
			client {"connect":{},"id":1}
			owes answer
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			owes nothing
			client {"subscribe":{"channel":"x"},"id":2}
			owes answer
			app {"push":{"channel":"y","pub":{"data":{"id":2}}}}
			owes answer
			app {"id":2,"subscribe":{}}
			owes nothing
			client {"rpc":{"method":"a"},"id":3}\n{"history":{"channel":"x"},"id":4}
			app {"id":4,"history":{}}
			client {}
			app {"push":{"channel":"y","join":{}}}
			app {"id":3,"error":{"code":100}}
			owes nothing`,
		"a message to the app may be answered by one": `
			client {"send":{"data":{}}}
			owes unknown`,
		"a fresh socket owes what is asked of it": `
			client {"connect":{},"id":1}
			app! {"id":1,"connect":{}}
			to-client {"connect":{},"id":1}
			client {"rpc":{"method":"a"},"id":3}
			restore
			to-app {"connect":{},"id":1}
			owes answer
			app! {"id":1,"connect":{}}
			owes nothing`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
