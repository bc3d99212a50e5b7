package proxy

import (
	"bufio"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/wsresilience/wsresilience/internal/upgrade"
	"github.com/wsresilience/wsresilience/seqwindow"
)

// What is kept of a handshake counts for as much as it takes, whatever it is made of.
func TestKeptHandshakeCounts(t *testing.T) {
	for name, fields := range map[string]string{
		"few":   "User-Agent: a browser\r\nAccept-Language: en\r\nOrigin: https://example.com\r\n",
		"many":  manyFields(250),
		"large": "Cookie: c=" + strings.Repeat("c", 50_000) + "\r\n",
	} {
		const n = 400
		s := &Server{pool: seqwindow.NewPool(1 << 30)}
		kept := make([]*sessionDriver, n)
		before := inUse()
		for i := range kept {
			head := "GET /ws HTTP/1.1\r\nHost: app\r\n" + fields + "\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
			if err != nil {
				t.Fatal(err)
			}
			c := &sessionDriver{srv: s, saved: &savedHandshake{}}
			c.saveRequest(r.WithContext(upgrade.WithNames(t.Context(), []byte(head))))
			kept[i] = c
		}
		taken := int64(inUse()-before)/n - int64(unsafe.Sizeof(sessionDriver{})+unsafe.Sizeof(savedHandshake{}))
		counted := s.pool.Memory().Used() / n
		t.Logf("%s: %d bytes are kept and %d count", name, taken, counted)
		if counted < taken*9/10 || counted > taken*3/2+2<<10 {
			t.Errorf("%s: %d bytes are kept and %d count", name, taken, counted)
		}
		runtime.KeepAlive(kept)
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "x-%d: b\r\n", i)
	}
	return b.String()
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
