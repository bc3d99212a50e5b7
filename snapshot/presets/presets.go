// Package presets is the table of the app protocols that are known.
package presets

import (
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/actioncable"
	"github.com/wsresilience/wsresilience/snapshot/centrifuge"
	"github.com/wsresilience/wsresilience/snapshot/graphql"
	"github.com/wsresilience/wsresilience/snapshot/jupyter"
	"github.com/wsresilience/wsresilience/snapshot/mqtt"
	"github.com/wsresilience/wsresilience/snapshot/phoenix"
	"github.com/wsresilience/wsresilience/snapshot/signalr"
	"github.com/wsresilience/wsresilience/snapshot/socketio"
	"github.com/wsresilience/wsresilience/snapshot/stomp"
	"github.com/wsresilience/wsresilience/snapshot/ywebsocket"
)

// All returns the table, by the names of WSR_APP_PROTOCOL. They are also in the
// saved form of snapshots, so they do not change.
func All() []snapshot.Protocol {
	return []snapshot.Protocol{
		{Name: "actioncable", New: actioncable.New, Recognises: actioncable.Recognises},
		{Name: "centrifuge", New: centrifuge.New, Recognises: centrifuge.Recognises},
		{Name: "graphql-transport-ws", New: graphql.New, Recognises: graphql.Recognises},
		{Name: "jupyter", New: jupyter.New, Recognises: jupyter.Recognises},
		{Name: "mqtt", New: mqtt.New, Recognises: mqtt.Recognises},
		{Name: "phoenix", New: phoenix.New, Recognises: phoenix.Recognises},
		{Name: "signalr", New: signalr.New},
		{Name: "socket.io", New: socketio.New, Recognises: socketio.Recognises},
		{Name: "stomp", New: stomp.New, Recognises: stomp.Recognises},
		{Name: "y-websocket", New: ywebsocket.New},
	}
}
