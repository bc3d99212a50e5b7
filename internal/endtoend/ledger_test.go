package endtoend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// ledger is an app whose conversations, named by the query's s, go on when
// their socket is another one, as those of an app with a database do. It sends
// out-1 to out-total, one every pause, and checks that it hears in-1, in-2, …
// over all sockets of a conversation, each once.
type ledger struct {
	total int
	pause time.Duration

	mu    sync.Mutex
	books map[string]*book
}

type book struct {
	turn sync.Mutex // a new socket waits until the one before it is over

	mu      sync.Mutex // guards the rest
	sockets int
	in, out int
	fault   error
}

func newLedger(total int, pause time.Duration) *ledger {
	return &ledger{total: total, pause: pause, books: map[string]*book{}}
}

func (l *ledger) book(name string) *book {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.books[name] == nil {
		l.books[name] = new(book)
	}
	return l.books[name]
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	b := l.book(r.URL.Query().Get("s"))
	b.turn.Lock()
	defer b.turn.Unlock()
	b.mu.Lock()
	b.sockets++
	b.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var writer sync.WaitGroup
	writer.Go(func() { l.speak(ctx, b, c) })
	for b.hear(ctx, c) {
	}
	cancel()
	c.CloseNow()
	writer.Wait()
}

// speak writes what is still to be said. What Write took counts as said.
func (l *ledger) speak(ctx context.Context, b *book, c *websocket.Conn) {
	for {
		b.mu.Lock()
		next := b.out + 1
		b.mu.Unlock()
		if next > l.total || c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "out-%d", next)) != nil {
			return
		}
		b.mu.Lock()
		b.out = next
		b.mu.Unlock()
		time.Sleep(l.pause)
	}
}

func (b *book) hear(ctx context.Context, c *websocket.Conn) bool {
	_, p, err := c.Read(ctx)
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in++
	if want := fmt.Sprintf("in-%d", b.in); string(p) != want && b.fault == nil {
		b.fault = fmt.Errorf("app received %.40q on socket %d, want %q", p, b.sockets, want)
	}
	return true
}

// check wants a conversation to be complete, over so many sockets.
func (l *ledger) check(t *testing.T, name string, in, sockets int) {
	t.Helper()
	b := l.book(name)
	soon(t, "the app counts its last message", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.out == l.total && b.in >= in || b.fault != nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil || b.in != in || b.out != l.total || b.sockets != sockets {
		t.Errorf("%s: %d messages in, want %d; %d out, want %d; %d sockets, want %d; %v",
			name, b.in, in, b.out, l.total, b.sockets, sockets, b.fault)
	}
}

// both runs a conversation with a ledger to its end: n messages each way.
func (v *podClient) both(ctx context.Context, n int, pause time.Duration) error {
	_, err := v.timed(ctx, n, pause)
	return err
}

// timed is both, and returns the longest time without a message of the app.
func (v *podClient) timed(ctx context.Context, n int, pause time.Duration) (gap time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Second)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, v.Conn, n, pause) }()
	last := time.Now()
	for i := 1; i <= n && err == nil; i++ {
		var p []byte
		_, p, err = v.Read(ctx)
		if want := fmt.Sprintf("out-%d", i); err == nil && string(p) != want {
			err = fmt.Errorf("client received %.40q, want %q", p, want)
		}
		gap, last = max(gap, time.Since(last)), time.Now()
	}
	if err != nil {
		cancel()
	}
	if serr := <-sent; err == nil || !errors.Is(serr, context.Canceled) {
		err = errors.Join(err, serr)
	}
	return gap, err
}
