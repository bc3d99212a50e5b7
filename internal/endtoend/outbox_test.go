package endtoend

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/client/outbox"
)

var kills = flag.Int("kills", 25, "how often the writing program of TestKilledWriter is killed")

// What the writing program is told.
const (
	writerFile = "WSR_TEST_WRITER_FILE"
	writerURL  = "WSR_TEST_WRITER_URL"
	writerNext = "WSR_TEST_WRITER_NEXT"
)

// writerRole is the writing program: it numbers its messages, and prints each
// number before and after Write takes it.
func writerRole(file string) error {
	store, err := outbox.Open(file, nil)
	if err != nil {
		return err
	}
	ctx := context.Background()
	c, _, err := client.Dial(ctx, os.Getenv(writerURL), &client.Options{Store: store})
	if err != nil {
		return err
	}
	fmt.Println("resumed", c.Resumed())
	if os.Getenv(writerNext) == "" {
		return readerRole(ctx, c)
	}
	next, err := strconv.Atoi(os.Getenv(writerNext))
	if err != nil {
		return err
	}
	for ; ; next++ {
		fmt.Println("try", next)
		if err := c.Write(ctx, client.MessageText, strconv.AppendInt(nil, int64(next), 10)); err != nil {
			return err
		}
		fmt.Println("ok", next)
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
}

// readerRole is a program that reads, and prints what Read returns.
func readerRole(ctx context.Context, c *client.Conn) error {
	for {
		_, p, err := c.Read(ctx)
		if err != nil {
			return err
		}
		fmt.Println("got", strings.TrimPrefix(string(p), "out-"))
	}
}

// numbersApp keeps the numbers that it was sent, on whatever socket.
type numbersApp struct {
	mu      sync.Mutex
	numbers []int
	sockets int
}

func (a *numbersApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	a.mu.Lock()
	a.sockets++
	a.mu.Unlock()
	for {
		_, p, err := c.Read(r.Context())
		if err != nil {
			return
		}
		n, _ := strconv.Atoi(string(p))
		a.mu.Lock()
		a.numbers = append(a.numbers, n)
		a.mu.Unlock()
	}
}

// TestKilledWriter: a program with an outbox is killed at random moments, again
// and again, also while the network is away. What it had accepted reaches the app
// once and in order, on the one socket of its session.
func TestKilledWriter(t *testing.T) {
	app := &numbersApp{}
	backend := httptest.NewServer(app)
	t.Cleanup(backend.Close)
	s := newStageAt(t, backend.URL, nil)
	url := "ws://" + s.link.Addr() + "/"
	file := filepath.Join(t.TempDir(), "outbox.db")
	accepted, tried := map[int]bool{}, 0
	for i := range *kills {
		cut := i%3 == 2 && i > 0
		if err := s.link.Down(cut); err != nil {
			t.Fatal(err)
		}
		resumed := runKilled(t, url, file, tried+1, func(word string, n int) {
			tried = max(tried, n)
			accepted[n] = accepted[n] || word == "ok"
		})
		if resumed != (i > 0) {
			t.Fatalf("start %d: the session goes on: %v", i+1, resumed)
		}
	}
	if err := s.link.Down(false); err != nil {
		t.Fatal(err)
	}
	store, err := outbox.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	c, _, err := client.Dial(t.Context(), url, &client.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteAcked(t.Context(), client.MessageText, []byte(strconv.Itoa(tried+1))); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	last, got := 0, map[int]bool{}
	for _, n := range app.numbers {
		if n <= last {
			t.Errorf("the app got %d behind %d", n, last)
		}
		last, got[n] = n, true
	}
	lost := 0
	for n, ok := range accepted {
		if ok && !got[n] {
			lost++
		}
	}
	if lost > 0 || app.sockets != 1 {
		t.Errorf("%d of %d accepted messages were lost, %d sockets of the app", lost, len(accepted), app.sockets)
	}
	if left, err := store.Left(); len(left) > 0 || err != nil {
		t.Errorf("left in the file: %d, %v", len(left), err)
	}
	sure := 0
	for _, ok := range accepted {
		if ok {
			sure++
		}
	}
	t.Logf("%d kills: %d messages accepted, %d more tried, %d at the app, none of the accepted lost and none doubled", *kills, sure, len(accepted)-sure, len(app.numbers))
}

// TestKilledReader: a program that reads is killed at random moments. Nothing comes
// twice, and nothing is missing but what Read was about to return.
func TestKilledReader(t *testing.T) {
	s := newStage(t, &counterApp{total: 1 << 20, pause: time.Millisecond}, nil)
	url := "ws://" + s.link.Addr() + "/"
	file := filepath.Join(t.TempDir(), "outbox.db")
	last, missing := 0, 0
	for i := range *kills {
		resumed := runKilled(t, url, file, 0, func(_ string, n int) {
			if n <= last {
				t.Errorf("%d came behind %d", n, last)
			}
			missing += n - last - 1
			last = n
		})
		if resumed != (i > 0) {
			t.Fatalf("start %d: the session goes on: %v", i+1, resumed)
		}
	}
	if missing > *kills-1 || last < *kills {
		t.Errorf("%d of %d are missing after %d kills", missing, last, *kills)
	}
	t.Logf("%d kills, %d messages, %d missing", *kills, last, missing)
}

// runKilled runs the program and kills it soon; with next it writes, from that
// number on, and otherwise it reads. It reports whether the session went on.
func runKilled(t *testing.T, url, file string, next int, said func(word string, n int)) (resumed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerFile+"="+file, writerURL+"="+url)
	if next > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", writerNext, next))
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if word == "resumed" {
			resumed = rest == "true"
			timer = time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			continue
		}
		if n, err := strconv.Atoi(rest); err == nil {
			said(word, n)
		}
	}
	_ = cmd.Wait() // it was killed
	if timer == nil {
		t.Fatal("the writing program did not begin")
	}
	timer.Stop()
	return resumed
}
