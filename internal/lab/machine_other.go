//go:build !linux

package lab

import "errors"

// Other systems compile this package and cannot measure with it.

func RaiseFileLimit(uint64) error         { return errors.New("lab: the limit of files: needs Linux") }
func PeakMemory(int) int64                { return 0 }
func processorTicks() (busy, total int64) { return 0, 0 }
