package passthrough

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/proxytest"
	"github.com/wsresilience/wsresilience/internal/upgrade"
)

// Large bodies each way at once take no more memory than the buffers.
func TestLargeBodiesBothWays(t *testing.T) {
	const size = 64 << 20 // a gibibyte takes longer and no more memory
	piece := make([]byte, 256<<10)
	send := func(c net.Conn) {
		for range size / len(piece) {
			if _, err := c.Write(piece); err != nil {
				t.Error(err)
				return
			}
		}
	}
	received := make(chan int64, 1)
	l := byteApp(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Time{})
		br := bufio.NewReader(c)
		readHead(br)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(br, size), make([]byte, 256<<10))
			received <- n
		})
		send(c)
	})
	c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
	_ = c.Conn.SetDeadline(time.Time{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.Send(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size))
	var wg sync.WaitGroup
	wg.Go(func() { send(c.Conn) })
	readHead(c.Reader)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(c.Reader, size), make([]byte, 256<<10))
	wg.Wait()
	if m := <-received; n != size || m != size || err != nil {
		t.Errorf("%d came back, %d arrived, %v", n, m, err)
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 8<<20 {
		t.Errorf("%d KiB were allocated", spent>>10)
	}
}

// Ten thousand requests on one connection: what one costs does not add up.
func TestManyRequests(t *testing.T) {
	l := byteApp(t, func(c net.Conn) {
		_ = c.SetDeadline(time.Time{})
		br := bufio.NewReader(c)
		answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		for {
			for line := []byte("xxx"); len(line) > 2; {
				var err error
				if line, err = br.ReadSlice('\n'); err != nil {
					return
				}
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	c := proxytest.Dial(t, newFront(t, urlOf(l)).addr)
	_ = c.Conn.SetDeadline(time.Now().Add(time.Minute))
	request, want := []byte("GET /a/path HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"), make([]byte, len("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	ask := func(n int) (allocated uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			_, _ = c.Conn.Write(request)
			if _, err := io.ReadFull(c.Reader, want); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	ask(100)
	if spent := ask(10_000); spent > 10_000*400 {
		t.Errorf("%d bytes were allocated for a request", spent/10_000)
	}
}

// A stream of gRPC's kind: HTTP/2, both ways at once, with trailers.
func TestBidirectionalStream(t *testing.T) {
	a := proxytest.NewApp(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				_, _ = w.Write(buf[:n])
				_ = http.NewResponseController(w).Flush()
			}
			if err != nil {
				break
			}
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	for _, scheme := range []string{"http", "https"} {
		c := newHTTP2Client(t, newFront(t, a.URL, func(c *Config) { c.Scheme = scheme }).addr)
		body, stream := io.Pipe()
		r, _ := http.NewRequest("POST", "http://"+c.addr+"/service/method", body)
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		resp, err := c.tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			message := fmt.Sprintf("message %02d", i)
			_, _ = io.WriteString(stream, message)
			got := make([]byte, len(message))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != message {
				t.Fatalf("%s: %q, %v", scheme, got, err)
			}
		}
		stream.Close()
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%s: %q, %v, trailers %v", scheme, rest, err, resp.Trailer)
		}
		resp.Body.Close()
	}
}

// Above TLS all is the same, and the scheme is known.
func TestOverTLS(t *testing.T) {
	pair, err := tls.X509KeyPair(proxytest.NewCA(t).Issue(t))
	if err != nil {
		t.Fatal(err)
	}
	heads := make(chan string, 1)
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		heads <- readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nup to the end")
	})
	up, err := upgrade.ParseApp(urlOf(l))
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{App: up, Log: discard(), Scheme: "https"})
	t.Cleanup(h.Close)
	front := proxytest.Listen(t)
	proxytest.ServeHTTP(t, h.Listener(tls.NewListener(front, &tls.Config{Certificates: []tls.Certificate{pair}})), h)
	conn, err := tls.Dial("tcp", front.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c := proxytest.NewClient(t, conn)
	c.Send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
	if got := <-heads; got != "GET / HTTP/1.1\r\nhost: a.example\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n\r\n" {
		t.Errorf("the app got %q", got)
	}
	if rest, err := io.ReadAll(c.Reader); err != nil || !strings.HasSuffix(string(rest), "up to the end") {
		t.Errorf("%q, %v", rest, err)
	}
}

// What is under way is finished when the sidecar stops, and idle connections end.
func TestShutdown(t *testing.T) {
	goOn := make(chan struct{})
	l := byteApp(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		for head := readHead(br); head != ""; head = readHead(br) {
			if strings.Contains(head, "/slow") {
				<-goOn
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	f := newFront(t, urlOf(l))
	idle, fresh, slow := proxytest.Dial(t, f.addr), proxytest.Dial(t, f.addr), proxytest.Dial(t, f.addr)
	idle.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.Response()
	slow.Send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	proxytest.Eventually(t, "the request is under way", func() bool {
		f.h.mu.Lock()
		defer f.h.mu.Unlock()
		for c := range f.h.clients {
			if !c.idle() {
				return true
			}
		}
		return false
	})
	done := make(chan error, 1)
	go func() { done <- f.h.Shutdown(t.Context()) }()
	idle.WantClosed()
	fresh.WantClosed()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(goOn)
	if resp, body := slow.Response(); body != "ok" || !resp.Close {
		t.Errorf("%q, close %v", body, resp.Close)
	}
	slow.WantClosed()
	slow.Conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
