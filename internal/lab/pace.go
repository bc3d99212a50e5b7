package lab

import (
	"context"
	"sync"
	"time"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
)

// Each calls f with 0 to n-1, so many at a time, and returns when all have.
func Each(n, atOnce int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{}, atOnce)
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			f(i)
			<-gate
		})
	}
	wg.Wait()
}

// Pace calls beat at a rate per second until ctx ends. A beat that takes longer
// holds up the next ones, as it would in any program.
func Pace(ctx context.Context, rate int, beat func()) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			beat()
		}
	}
}

// Await returns when reached is true, or ctx ends.
func Await(ctx context.Context, pace time.Duration, reached func() bool) {
	for ctx.Err() == nil && !reached() {
		_ = proc.Sleep(ctx, pace)
	}
}
