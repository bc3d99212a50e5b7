package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
)

// buffer is written and read by two goroutines.
type buffer struct {
	mu  chan struct{}
	buf bytes.Buffer
}

func newBuffer() *buffer { return &buffer{mu: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu <- struct{}{}
	defer func() { <-b.mu }()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu <- struct{}{}
	defer func() { <-b.mu }()
	return b.buf.String()
}

// What a client says through the recorder becomes a profile, and a rehearsal with
// that profile is answered.
func TestRecord(t *testing.T) {
	t.Parallel()
	url := "ws" + strings.TrimPrefix(echoApp(t, "").URL, "http")
	file := filepath.Join(t.TempDir(), "profile.json")
	ctx, stop := context.WithCancel(t.Context())
	errs, over := newBuffer(), make(chan int, 1)
	go func() {
		over <- Command(ctx, []string{"record", "-listen", "127.0.0.1:0", "-out", file, url}, new(bytes.Buffer), errs)
	}()
	var at string
	if err := proc.Until(t.Context(), 10*time.Second, 5*time.Millisecond, func() bool {
		at = regexp.MustCompile(`ws://127\.0\.0\.1:\d+`).FindString(errs.String())
		return at != ""
	}); err != nil {
		t.Fatal(err)
	}
	c, _, err := websocket.Dial(t.Context(), at, nil) //nolint:bodyclose // need not be closed, it says
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m := fmt.Sprintf(`{"op":"say","id":"m%d"}`, i)
		if err := c.Write(t.Context(), websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.Read(t.Context()); err != nil || string(p) != m {
			t.Fatalf("%s: %v", p, err)
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	stop()
	if code := <-over; code != exitMet {
		t.Fatalf("code %d: %s", code, errs)
	}
	p, err := profile.Load(file)
	if err != nil || len(p.Messages) != 1 || p.Messages[0].Send != `{"op":"say","id":"{{id}}"}` {
		t.Fatalf("%+v, %v", p, err)
	}
	code, out, text := command(t, "-profile", file, "-plain", "2", "-resilient", "0", "-think", "20ms", "-ramp", "50ms", "-baseline", "300ms", "-after", "50ms",
		"-faults", "none", "-objective", "lost<=0", "-out", t.TempDir(), url)
	if code != exitMet {
		t.Errorf("code %d\n%s\n%s", code, out, text)
	}
}
