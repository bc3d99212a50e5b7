package admission

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wsresilience/wsresilience/k8s"
)

// many is how many reviews come at once.
const many = 1000

// reviewOf is a review of at least size bytes.
func reviewOf(t *testing.T, size int) []byte {
	t.Helper()
	r := newRequest("web")
	pod, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"large": strings.Repeat("x", size)}}})
	if err != nil {
		t.Fatal(err)
	}
	r.Object.Raw = pod
	return body(t, r)
}

// heldBody counts itself from the first byte that is read of it. It is not
// taken off before its review is answered.
type heldBody struct {
	io.Reader
	held *atomic.Int64
	once sync.Once
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.once.Do(func() { b.held.Add(1) })
	return b.Reader.Read(p)
}

// TestA12MemoryIsBounded: of a thousand reviews of 1 MiB that come at once only
// as many bodies are read as there are places for large ones. Who gets no place in time is
// told to come again, and nothing of it was ever in memory.
func TestA12MemoryIsBounded(t *testing.T) {
	content := reviewOf(t, 1<<20)
	large := int64(largeAtOnce())
	synctest.Test(t, func(t *testing.T) {
		h, gate := newTestHandler(&fakeCluster{}), make(chan struct{})
		inject := h.inject
		h.inject = func(pod *corev1.Pod, d map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error) {
			<-gate
			return inject(pod, d, s)
		}
		var held, answered, away atomic.Int64
		for range many {
			go func() {
				r := httptest.NewRequest(http.MethodPost, "/inject", &heldBody{Reader: bytes.NewReader(content), held: &held})
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				switch {
				case w.Code == http.StatusOK:
					answered.Add(1)
				case w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "":
					away.Add(1)
				default:
					t.Errorf("%d: %s", w.Code, w.Body)
				}
			}()
		}
		synctest.Wait()
		if n := held.Load(); n != large {
			t.Errorf("%d bodies are in memory, want %d", n, large)
		}
		time.Sleep(slotTimeout)
		synctest.Wait()
		if away.Load() != many-large || held.Load() != large {
			t.Errorf("%d turned away, want %d; %d bodies were read", away.Load(), many-large, held.Load())
		}
		close(gate)
		synctest.Wait()
		if answered.Load() != large {
			t.Errorf("%d answered, want %d", answered.Load(), large)
		}
	})
}

// TestA12LargeReviewsStandAside: while somebody has sent more large reviews than
// there are places, a pod of the usual size is answered at once.
func TestA12LargeReviewsStandAside(t *testing.T) {
	large, usual := reviewOf(t, 1<<20), reviewOf(t, 32<<10)
	synctest.Test(t, func(t *testing.T) {
		h, gate := newTestHandler(&fakeCluster{}), make(chan struct{})
		inject := h.inject
		h.inject = func(pod *corev1.Pod, d map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error) {
			if len(pod.Annotations["large"]) >= 1<<20 {
				<-gate
			}
			return inject(pod, d, s)
		}
		var all sync.WaitGroup
		for range many / 10 {
			all.Go(func() { post(h, large) })
		}
		synctest.Wait()
		start := time.Now()
		if w := post(h, usual); w.Code != http.StatusOK || time.Since(start) > 0 {
			t.Errorf("%d after %v: %s", w.Code, time.Since(start), w.Body)
		}
		close(gate)
		all.Wait()
	})
}

// TestA12ManyReviews: a thousand reviews at once are all answered, each in its
// turn. A controller that is told to come again does so.
func TestA12ManyReviews(t *testing.T) {
	h := newTestHandler(&fakeCluster{})
	inject := h.inject
	var now, most, answered atomic.Int64
	h.inject = func(pod *corev1.Pod, d map[string]string, s k8s.Settings) (*corev1.Pod, k8s.Report, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return inject(pod, d, s)
	}
	content := reviewOf(t, 32<<10)
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			for {
				switch w := post(h, content); w.Code {
				case http.StatusOK:
					answered.Add(1)
					return
				case http.StatusServiceUnavailable:
				default:
					t.Errorf("%d: %s", w.Code, w.Body)
					return
				}
			}
		})
	}
	all.Wait()
	if answered.Load() != many || most.Load() > maxReviews {
		t.Errorf("%d answered, up to %d at once", answered.Load(), most.Load())
	}
}

// TestA02SlowBody: a client that does not send what it announced is let go, and
// its place is free.
func TestA02SlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler(&fakeCluster{})
		client, conn := net.Pipe()
		l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- conn
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		defer client.Close()

		start := time.Now()
		fmt.Fprint(client, "POST /inject HTTP/1.1\r\nHost: injector\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"kind\":")
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if took := time.Since(start); response.StatusCode != http.StatusRequestTimeout || took != bodyTimeout {
			t.Errorf("%s after %v, want 408 after %v", response.Status, took, bodyTimeout)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || !response.Close {
			t.Errorf("the connection goes on: %v", err)
		}
		synctest.Wait()
		if n := len(h.slots); n != 0 {
			t.Errorf("%d places are still taken", n)
		}
	})
}

// oneConn is a listener that accepts what is put into it.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
