package transport

import "time"

// How busy a loop is, in percent.
const (
	busyBrisk   = 25 // it had better sleep as a thread
	busyEnough  = 60 // new sessions rather go elsewhere
	busyTooMuch = 90 // some of its sessions do too
)

// meterWindow is what a meter looks back over: long beside a round, short
// beside what a person notices.
const meterWindow = 50 * time.Millisecond

// A meter tells how busy a loop was.
type meter struct {
	since time.Time
	slept time.Duration // since then
}

// read returns the share of the window, in percent, that was not slept, once
// the window is over.
func (m *meter) read(now time.Time) (busy uint32, ok bool) {
	window := now.Sub(m.since)
	if window < meterWindow {
		return 0, false
	}
	busy = uint32(100 * (window - m.slept) / window)
	m.since, m.slept = now, 0
	return busy, true
}
