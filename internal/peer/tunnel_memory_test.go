package peer

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/wsresilience/wsresilience/internal/budget"
)

// TestTunnelMemory: what a tunnel holds for a side that takes nothing counts, and
// without memory it goes on with little.
func TestTunnelMemory(t *testing.T) {
	for name, c := range map[string]struct{ used, holds int64 }{
		"memory":       {0, tunnelBurst},
		"none is left": {1 << 20, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			memory := budget.New(1 << 20)
			memory.Charge(c.used)
			s := &tunnels{memory: memory}
			source, from := net.Pipe() // not TCP, as where TLS is spoken
			to, sink := net.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- s.relay(to, from)
				to.Close()
			}()
			said := bytes.Repeat([]byte("0123456789"), 20_000)
			go func() {
				_, _ = source.Write(said)
				source.Close()
			}()
			head := make([]byte, tunnelRest)
			if _, err := io.ReadFull(sink, head); err != nil { // then it takes no more
				t.Fatal(err)
			}
			synctest.Wait()
			if got := memory.Used() - c.used; got != c.holds {
				t.Errorf("%s: it holds %d bytes, want %d", name, got, c.holds)
			}
			rest, err := io.ReadAll(sink)
			if got := slices.Concat(head, rest); err != nil || !bytes.Equal(got, said) {
				t.Errorf("%s: %d of %d bytes came, %v", name, len(got), len(said), err)
			}
			if err := <-ended; err != nil || memory.Used() != c.used {
				t.Errorf("%s: %v; afterwards it holds %d bytes", name, err, memory.Used()-c.used)
			}
		})
	}
}
