//go:build !linux

package peer

import (
	"errors"
	"net"
)

const canSplice = false

func splice(_, _ *net.TCPConn) error { return errors.ErrUnsupported }
