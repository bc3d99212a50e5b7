package main

import "time"

// perTrip is the processor time of one round trip in microseconds.
func perTrip(used time.Duration, trips int) float64 {
	return float64(used.Nanoseconds()) / 1e3 / float64(trips)
}
