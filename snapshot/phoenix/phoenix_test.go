package phoenix

import (
	"testing"

	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPreset(t *testing.T) {
	g := snapshottest.Preset(t, "phoenix", New)
	for name, script := range map[string]string{
		"joins are sent again with their refs, and the replies are not for the client": `
			client ["1","1","room:1","phx_join",{"token":"t"}]
			app ["1","1","room:1","phx_reply",{"status":"ok","response":{}}]
			client ["2","2","room:2","phx_join",{}]
			app ["2","2","room:2","phx_reply",{"status":"ok","response":{}}]
			client ["1","3","room:1","say",{"event":"phx_leave"}]
			app ["1","3","room:1","phx_reply",{"status":"ok","response":{}}]
			complete
			move
			to-app ["1","1","room:1","phx_join",{"token":"t"}]
			to-app ["2","2","room:2","phx_join",{}]
			app! ["1","1","room:1","phx_reply",{"status":"ok","response":{}}]
			app ["1",null,"room:1","presence_state",{}]
			restoring
			app! ["2","2","room:2","phx_reply",{"status":"ok","response":{}}]
			restored
			app ["1","4","room:1","phx_reply",{"status":"ok","response":{}}]`,
		"what was left, refused, closed or crashed is not joined again": `
			client ["1","1","a","phx_join",{}]
			app ["1","1","a","phx_reply",{"status":"ok","response":{}}]
			client ["1","2","a","phx_leave",{}]
			client ["3","3","b","phx_join",{}]
			app ["3","3","b","phx_reply",{"status":"error","response":{}}]
			client ["4","4","c","phx_join",{}]
			app ["4","4","c","phx_close",{}]
			client ["5","5","d","phx_join",{}]
			app ["5","5","d","phx_error",{}]
			restore
			restored`,
		"the end of an earlier join of the topic is not that of the new one": `
			client ["1","1","a","phx_join",{}]
			app ["1","1","a","phx_reply",{"status":"ok","response":{}}]
			client ["2","2","a","phx_join",{}]
			app ["1","1","a","phx_close",{}]
			client ["1","3","a","phx_leave",{}]
			app ["2","2","a","phx_reply",{"status":"ok","response":{}}]
			restore
			to-app ["2","2","a","phx_join",{}]
			app! ["2","2","a","phx_reply",{"status":"ok","response":{}}]
			restored`,
		"a join whose reply is still due is answered to the client": `
			client ["1","1","a","phx_join",{}]
			restore
			to-app ["1","1","a","phx_join",{}]
			app ["1","1","a","phx_reply",{"status":"ok","response":{}}]
			restored`,
		"a refusal of what the client believes to have joined fails the restore": `
			client ["1","1","a","phx_join",{}]
			app ["1","1","a","phx_reply",{"status":"ok","response":{}}]
			restore
			to-app ["1","1","a","phx_join",{}]
			app! ["1","1","a","phx_reply",{"status":"error","response":{"reason":"full"}}]
			failed
			restore
			to-app ["1","1","a","phx_join",{}]
			app! ["1","1","a","phx_reply",{"status":"ok","response":{}}]
			restored`,
		"serializer V1": `
			client {"topic":"a","event":"phx_join","payload":{},"ref":"1"}
			app {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1","topic":"a"}
			client {"topic":"b","event":"phx_join","payload":{},"ref":"2"}
			client {"topic":"b","event":"phx_leave","payload":{},"ref":"3"}
			detach
			to-app {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"wsr"}
			app! {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"wsr","topic":"phoenix"}
			restore
			to-app {"topic":"a","event":"phx_join","payload":{},"ref":"1"}
			app! {"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1","topic":"a"}
			restored
			wait 1ms
			to-app {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"wsr"}
			app {"event":"phx_close","payload":{},"ref":"1","topic":"a"}
			attach
			restore
			restored`,
		"heartbeats for a client that is away": `
			client [null,"7","phoenix","heartbeat",{}]
			app [null,"7","phoenix","phx_reply",{"status":"ok","response":{}}]
			detach
			to-app [null,"wsr","phoenix","heartbeat",{}]
			app! [null,"wsr","phoenix","phx_reply",{"status":"ok","response":{}}]
			wait 29999ms
			wait 1ms
			to-app [null,"wsr","phoenix","heartbeat",{}]
			attach
			app! [null,"wsr","phoenix","phx_reply",{"status":"ok","response":{}}]
			wait 5m`,
		"nothing is said in a conversation that has not begun": `
			detach
			wait 5m`,
	} {
		t.Run(name, func(t *testing.T) { snapshottest.Play(t, g, script) })
	}
}
