// Package presets is the table of the app protocols that are known.
package presets

import (
	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/actioncable"
	"github.com/wsresilience/wsresilience/snapshot/graphql"
	"github.com/wsresilience/wsresilience/snapshot/mqtt"
	"github.com/wsresilience/wsresilience/snapshot/phoenix"
	"github.com/wsresilience/wsresilience/snapshot/socketio"
	"github.com/wsresilience/wsresilience/snapshot/stomp"
)

// All returns the table, by the names of WSR_APP_PROTOCOL. They are also in the
// saved form of snapshots, so they do not change.
func All() []snapshot.Protocol {
	return []snapshot.Protocol{
		{Name: "actioncable", New: actioncable.New},
		{Name: "graphql-transport-ws", New: graphql.New},
		{Name: "mqtt", New: mqtt.New},
		{Name: "phoenix", New: phoenix.New},
		{Name: "socket.io", New: socketio.New},
		{Name: "stomp", New: stomp.New},
	}
}
