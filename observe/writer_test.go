package observe

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a standard error whose reader stopped, until it is released.
type stuck struct {
	release chan struct{}
	mu      sync.Mutex
	got     bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(p)
}

// TestStuckOutput is F67: nobody reads the log, and nothing waits for it.
func TestStuckOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{release: make(chan struct{})}
		w := NewWriter(out)
		m := New()
		m.WatchLog(w)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		began := time.Now()
		for range 4096 {
			if n, err := w.Write(line); n != len(line) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the writes waited for %v", took)
		}
		dropped := w.Dropped()
		if dropped < 4096-2*logBuffer/1024 {
			t.Errorf("%d lines dropped, so more than two buffers were kept", dropped)
		}
		wantLines(t, scrape(t, m), fmt.Sprintf("wsr_log_lines_dropped_total %d", dropped))

		if err := w.Close(); !errors.Is(err, ErrLogStuck) || time.Since(began) != flushWait {
			t.Errorf("Close = %v after %v, want ErrLogStuck after %v", err, time.Since(began), flushWait)
		}
		close(out.release)
		synctest.Wait()
		if got := out.got.Len(); got != (4096-int(dropped))*1024 {
			t.Errorf("%d bytes came out, want all that was not dropped", got)
		}
	})
}

func TestWriterKeepsLinesWhole(t *testing.T) {
	out := &stuck{release: make(chan struct{})}
	close(out.release)
	w := NewWriter(out)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for j := range 500 {
				fmt.Fprintf(w, "%d %d\n", i, j)
			}
		})
	}
	writers.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[int]int{}
	lines := 0
	for line := range strings.Lines(out.got.String()) {
		var i, j int
		if _, err := fmt.Sscanf(line, "%d %d\n", &i, &j); err != nil || j != next[i] {
			t.Fatalf("line %q is damaged or out of order", line)
		}
		next[i]++
		lines++
	}
	if lines != 4000 || w.Dropped() != 0 {
		t.Errorf("%d lines came out and %d were dropped, want 4000 and 0", lines, w.Dropped())
	}
	if _, err := w.Write([]byte("late\n")); err != nil || w.Dropped() != 1 {
		t.Errorf("a write after Close: %v, %d dropped, want nil and 1", err, w.Dropped())
	}
}
