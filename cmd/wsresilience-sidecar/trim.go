package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// trimPace is how often memory is looked at, and how long nothing has to
	// have been collected.
	trimPace = 5 * time.Second

	// trimLeast is what is not worth a collection.
	trimLeast = 1 << 20
)

// collectAt is GOGC unless the operator has set it. Messages do not allocate, so that
// only handshakes and the journal pay for collecting more often: 5,000 resumes
// take a tenth more processor time. And what they leave behind lies less
// scattered among the sessions that stay, which are a sixth smaller.
const collectAt = 40

// collectOften sets it.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
}

// A trimmer gives back what connections have left behind. Messages do not
// allocate, so in a sidecar that has many sessions and few handshakes the
// collector would not run for minutes, and would keep as much again as lives.
type trimmer struct {
	samples []metrics.Sample
	cycles  uint64 // of the collector, at the last look
}

func newTrimmer() *trimmer {
	t := &trimmer{}
	for _, name := range []string{
		"/gc/cycles/total:gc-cycles", "/gc/heap/live:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes",
	} {
		t.samples = append(t.samples, metrics.Sample{Name: name})
	}
	return t
}

// run trims until ctx ends.
func (t *trimmer) run(ctx context.Context) {
	tick := time.NewTicker(trimPace)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if t.due(t.read()) {
				trim()
				t.due(t.read()) // this collection was ours
			}
		case <-ctx.Done():
			return
		}
	}
}

// heap is what the runtime says of its memory.
type heap struct {
	cycles  uint64
	live    uint64 // bytes that the last collection found in use
	objects uint64 // bytes in use, or not yet collected
	free    uint64 // bytes that are neither used nor given back
}

func (t *trimmer) read() heap {
	metrics.Read(t.samples)
	return heap{
		cycles: t.samples[0].Value.Uint64(), live: t.samples[1].Value.Uint64(),
		objects: t.samples[2].Value.Uint64(), free: t.samples[3].Value.Uint64(),
	}
}

// due reports whether nothing was collected since the last look, and there is an
// eighth more memory than is needed.
func (t *trimmer) due(h heap) bool {
	quiet := h.cycles == t.cycles
	t.cycles = h.cycles
	return quiet && h.objects+h.free > h.live+h.live/8+trimLeast
}

// trim collects twice, since a pool keeps its things once.
func trim() {
	runtime.GC()
	debug.FreeOSMemory()
}
