//go:build !linux

package load

import (
	"errors"
	"net"
)

// ServeApp needs Linux.
func ServeApp(net.Listener) error { return errors.ErrUnsupported }
