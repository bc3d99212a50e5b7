package page

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/internal/budget"
)

// TestPagesCount: a page under way counts against the memory budget, a compressed one
// with the window of its decoder as that fills, and nothing counts when it has passed.
// While memory is short pages pass as they are.
func TestPagesCount(t *testing.T) {
	const limit = 64 << 20
	text := "<!doctype html><html><head><title>a</title></head>" + strings.Repeat("all work and no play makes a page large ", 1<<18)
	for _, coding := range []string{"", "gzip", "br", "zstd"} {
		memory := budget.New(limit)
		p := New(Config{Inject: everywhere})
		p.CountAgainst(memory)
		var coded bytes.Buffer
		e, err := encode(&coded, coding)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, text); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		n := p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, int64(coded.Len()), answer("Content-Encoding", coding))
		if n == nil || !n.Look(bytes.NewReader(coded.Bytes())) {
			t.Fatalf("%q: it gets no tag", coding)
		}
		if used := memory.Used(); used < lookMemory || used > lookMemory+codedMemory {
			t.Errorf("%q: %d bytes count at first", coding, used)
		}
		r, err := n.Reader(bytes.NewReader(coded.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		want := min(window(coding), int64(len(text)))
		if used := memory.Used() - n.took; used < want || used > want+windowStep {
			t.Errorf("%q: %d bytes count of the decoder's window, want %d", coding, used, want)
		}
		n.Close()
		n.Close()
		if used := memory.Used(); used != 0 {
			t.Errorf("%q: %d bytes count in the end", coding, used)
		}
		memory.Charge(limit)
		if p.Request("GET", "/", "https", "a", navigation()).Answer(200, 1, -1, answer("Content-Encoding", coding)) != nil {
			t.Errorf("%q: it gets a tag while memory is short", coding)
		}
		if used := memory.Used(); used != limit || len(p.recoded) > 0 {
			t.Errorf("%q: what passes as it is counts %d bytes, and has %d places", coding, used-limit, len(p.recoded))
		}
	}
}
