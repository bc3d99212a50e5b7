//go:build !linux

package proxy

import "net"

// Other systems have none of these calls: there the transport of any net.Conn
// serves.

func newPolled(net.Conn, sink, *bufferPool) transport { return nil }

type (
	loop  struct{}
	loops struct{}
	place struct{ among *loops }

	looped struct{}
)

func (*loops) close() {}

func newLooped(net.Conn, sink, *bufferPool, *place, *looped) transport { return nil }
