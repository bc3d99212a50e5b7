//go:build !linux

package transport

import "net"

// Listen is net.Listen for TCP.
func Listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }
