//go:build !linux

package proxy

import (
	"errors"
	"net"
)

const canSplice = false

func splice(_, _ *net.TCPConn) error { return errors.ErrUnsupported }
