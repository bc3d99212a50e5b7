package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/backoff"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/lab/ledger"
	"github.com/wsresilience/wsresilience/internal/lab/proc"
	"github.com/wsresilience/wsresilience/internal/lab/reconnect"
)

func TestMain(m *testing.M) {
	proc.RunRole(Roles)
	os.Exit(m.Run())
}

func open(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func wantMessage(t *testing.T, c *websocket.Conn, want string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, p, err := c.ReadMessage(); err != nil || string(p) != want {
		t.Fatalf("read %q, %v, want %q", p, err, want)
	}
}

// brief is a record without its time.
func brief(r ledger.Record) string { return fmt.Sprint(r.Kind, r.Sock, r.Key, r.N) }

// TestAnswersInTime: each message is answered in its time and once, while others are
// read, also after the streams have ended.
func TestAnswersInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records")
	a, err := StartApp(t.Context(), new(proc.Starter), AppSpec{Number: 3, Records: file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Kill)
	const after = 200 * time.Millisecond
	c := open(t, AnswerURL(a.Addr, 7, after))
	a.StopSending()
	began := time.Now()
	const sock = 3<<sockBits | 1
	for n := range uint32(3) {
		write(t, c, string(ledger.Tag{Stream: 7, N: n + 5}.Append(nil)))
	}
	for n := range uint32(3) {
		wantMessage(t, c, string(ledger.Tag{Stream: sock, N: n + 1}.AppendAnswer(nil, n+5)))
		if took := time.Since(began); took < after {
			t.Errorf("answer %d after %v, want %v", n+1, took, after)
		}
	}
	list, err := ledger.ReadFiles([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, brief(r))
	}
	want := []string{brief(ledger.Record{Kind: ledger.Opened, Sock: sock, Key: 7})}
	for _, k := range []ledger.Record{{Kind: ledger.Read, N: 5}, {Kind: ledger.Read, N: 6}, {Kind: ledger.Read, N: 7}, {Kind: ledger.Writes, N: 1}, {Kind: ledger.Writes, N: 2}, {Kind: ledger.Writes, N: 3}} {
		k.Sock, k.Key = sock, 7
		want = append(want, brief(k))
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %v, want %v", got, want)
	}
}

// TestStream: what an app did is known to the last message, also after kill -9.
func TestStream(t *testing.T) {
	for name, file := range map[string]string{"file": filepath.Join(t.TempDir(), "records"), "pipe": ""} {
		t.Run(name, func(t *testing.T) {
			records := make(chan ledger.Record, 100)
			a, err := StartApp(t.Context(), new(proc.Starter), AppSpec{Number: 3, Records: file}, func(r ledger.Record) { records <- r })
			if err != nil {
				t.Fatal(err)
			}
			defer a.Kill()
			const sock = 3<<sockBits | 1
			c := open(t, StreamURL(a.Addr, 7, 0))
			recorded := func(n int) {
				t.Helper()
				err := proc.Until(t.Context(), 10*time.Second, time.Millisecond, func() bool {
					b, _ := os.ReadFile(file)
					return len(records)+len(b)/ledger.RecordBytes == n
				})
				if err != nil {
					t.Fatalf("%d records: %v", n, err)
				}
			}
			recorded(1) // the app may answer the handshake before it knows the socket
			a.Send(sock)
			wantMessage(t, c, fmt.Sprint(sock, " 1"))
			a.Send(sock)
			wantMessage(t, c, fmt.Sprint(sock, " 2"))
			for i, text := range []string{"7 1", "2", "6 3", "soon"} {
				write(t, c, text)
				recorded(4 + i) // the order of reads and writes is the test's
			}
			a.Kill()
			if AppOf(sock) != 3 {
				t.Errorf("the socket is of app %d", AppOf(sock))
			}
			close(records)
			var got []string
			for r := range records {
				got = append(got, brief(r))
			}
			if file != "" {
				list, err := ledger.ReadFiles([]string{file})
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range list {
					got = append(got, brief(r))
				}
			}
			var want []string
			for _, r := range []ledger.Record{
				{Kind: ledger.Opened}, {Kind: ledger.Writes, N: 1}, {Kind: ledger.Writes, N: 2},
				{Kind: ledger.Read, N: 1}, {Kind: ledger.Read, N: 2}, {Kind: ledger.Foreign}, {Kind: ledger.Foreign},
			} {
				r.Sock, r.Key = sock, 7
				want = append(want, brief(r))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestAnswers: the apps that answer, and what one sends by itself.
func TestAnswers(t *testing.T) {
	a, err := StartApp(t.Context(), new(proc.Starter), AppSpec{Delay: time.Millisecond}, func(ledger.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Kill()
	c := open(t, "ws://"+a.Addr+"/echo")
	write(t, c, "hello")
	wantMessage(t, c, "hello")
	c = open(t, "ws://"+a.Addr+"/count")
	for _, want := range []string{"1", "2"} {
		write(t, c, "hello")
		wantMessage(t, c, want)
	}
	c = open(t, StreamURL(a.Addr, 0, time.Millisecond))
	wantMessage(t, c, "1 1")
	wantMessage(t, c, "1 2")
}

// TestOrigins: pages from elsewhere are refused, if they are to be.
func TestOrigins(t *testing.T) {
	a, err := StartApp(t.Context(), new(proc.Starter), AppSpec{LocalOrigins: true}, func(ledger.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Kill()
	for origin, want := range map[string]bool{
		"": true, "http://127.0.0.1:15800": true, "http://localhost:1": true, "http://[::1]:15800": true,
		"http://127.0.0.1.evil.example": false, "https://evil.example": false, "null": false,
	} {
		header := map[string][]string{}
		if origin != "" {
			header["Origin"] = []string{origin}
		}
		c, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+a.Addr+"/echo", header)
		if (err == nil) != want {
			t.Errorf("%q: %v", origin, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// TestNATS: a cluster comes back after a server was killed.
func TestNATS(t *testing.T) {
	n, err := StartNATS(t.Context(), &proc.Starter{Dir: t.TempDir()}, 3, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got := n.Settings(); len(got) != 2 || got[1] != "WSR_NATS_REPLICAS=3" || strings.Count(got[0], "nats://") != 3 {
		t.Errorf("settings %q", got)
	}
	n.Nodes[0].Kill()
	if err := n.Nodes[0].Start(); err != nil {
		t.Fatal(err)
	}
	js, disconnect, err := n.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer disconnect()
	err = proc.Until(t.Context(), natsWait, natsLook, func() bool {
		_, err := js.AccountInfo(t.Context())
		return err == nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPlain: a plain client sends what it could not send before, comes back
// after a break, and gives up a connection that says nothing.
func TestPlain(t *testing.T) {
	a, err := StartApp(t.Context(), new(proc.Starter), AppSpec{}, func(ledger.Record) {})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Kill()
	b, err := NewBalancer(func() []string { return []string{a.Addr} }, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	heard, lost := make(chan string, 10), make(chan error, 10)
	p := reconnect.New("ws://"+b.Addr(0)+"/echo", reconnect.Spec{
		Dial: 10 * time.Second, Patience: 200 * time.Millisecond, Queue: 10,
		Backoff:      backoff.Policy{Base: time.Millisecond, Max: 10 * time.Millisecond},
		Connected:    func() {},
		Message:      func(p []byte) { heard <- string(p) },
		Disconnected: func(err error) { lost <- err },
	})
	p.Send([]byte("early"))
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		p.Run(ctx)
		close(over)
	}()
	want := func(text string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != text {
				t.Fatalf("heard %q, want %q", got, text)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("did not hear %q", text)
		}
	}
	want("early")
	if b.Cut(faultlink.Mute, 1, "") != 1 {
		t.Fatal("there is no connection to cut")
	}
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Fatal("a mute connection is kept")
	}
	p.Send([]byte("later"))
	want("later")
	stop()
	<-over
}
