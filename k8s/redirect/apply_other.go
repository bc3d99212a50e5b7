//go:build !linux

package redirect

import (
	"errors"
	"runtime"
)

// Apply needs the nftables of Linux.
func Apply(Rules) error {
	return errors.New("redirect: this is " + runtime.GOOS + ": nftables is there on Linux only")
}
