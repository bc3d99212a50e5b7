//go:build !linux

package losslink

import (
	"context"
	"errors"
	"net"
)

// A Link is two hosts with a path between them, on Linux.
type Link struct{ path path }

var errLinux = errors.New("losslink: losing packets needs Linux")

// New fails.
func New(random func() float64) (*Link, error) { return nil, errLinux }

// Set does nothing.
func (l *Link) Set(w Weather) { l.path.set(w) }

// Packets returns nothing.
func (l *Link) Packets() (carried, lost int64) { return 0, 0 }

// Listen fails.
func (l *Link) Listen() (net.Listener, error) { return nil, errLinux }

// Dial fails.
func (l *Link) Dial(context.Context) (net.Conn, error) { return nil, errLinux }

// Close does nothing.
func (l *Link) Close() {}
