package endtoend

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/internal/frame"
	"github.com/wsresilience/wsresilience/proxy"
)

// What one side said before its connection broke reaches the other, however late
// that reads, and although it has written to the broken one meanwhile.
func TestPlainLastWords(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		t.Run("of the client", func(t *testing.T) {
			client, app := rawPair(t, on)
			wantLastWords(t, client, app, masked(ws.Header{Fin: true, OpCode: ws.OpBinary}, string(make([]byte, 1000))))
		})
		t.Run("of the app", func(t *testing.T) {
			client, app := rawPair(t, on)
			wantLastWords(t, app, client, frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 1000)))
		})
	})
}

// What the app of a session said before its connection broke reaches a client
// that reads late, and has sent meanwhile.
func TestLastWordsOfAnApp(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, on func(*proxy.Config)) {
		upstream, apps := appSockets(t)
		c := newStageAt(t, upstream, on).dial(t, nil)
		app := <-apps
		message := frame.Append(nil, ws.Header{Fin: true, OpCode: ws.OpBinary}, make([]byte, 1000))
		messages := sayAndBreak(t, app, message) / len(message)
		for range 20 { // the first is what the reset answers
			_ = c.Write(t.Context(), client.MessageText, []byte("are you there?"))
			time.Sleep(5 * time.Millisecond)
		}
		got := 0
		for {
			if _, _, err := c.Read(t.Context()); err != nil {
				break
			}
			got++
		}
		if got < messages {
			t.Errorf("%d of %d messages reached the client", got, messages)
		}
	})
}

// rawPair is both ends of a plain WebSocket, behind the handshake.
func rawPair(t *testing.T, on func(*proxy.Config)) (client, app net.Conn) {
	upstream, apps := appSockets(t)
	return dialRaw(t, newStageAt(t, upstream, on).addr).Conn, <-apps
}

// wantLastWords has one side break off, and the other write to it before it reads.
func wantLastWords(t *testing.T, from, to net.Conn, words []byte) {
	t.Helper()
	arrived := sayAndBreak(t, from, words)
	_ = to.SetDeadline(time.Now().Add(20 * time.Second))
	for range 20 { // the first is what the reset answers
		_, _ = to.Write([]byte{0x8a, 0})
		time.Sleep(5 * time.Millisecond)
	}
	if got, _ := io.Copy(io.Discard, to); int(got) < arrived {
		t.Errorf("%d of %d bytes reached the other side", got, arrived)
	}
}

// sayAndBreak says more than the other side takes and resets the connection. It
// returns how many bytes the sidecar's host has.
func sayAndBreak(t *testing.T, from net.Conn, words []byte) (arrived int) {
	t.Helper()
	before := acked(t, from)
	words = bytes.Repeat(words, 64<<10)
	_ = from.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := from.Write(words); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes were taken, %v", n, err)
	}
	arrived = int(acked(t, from) - before)
	_ = from.(*net.TCPConn).SetLinger(0)
	from.Close()
	return arrived
}

// acked is how many bytes the other end's TCP has.
func acked(t *testing.T, conn net.Conn) (n uint64) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			info, failed := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if failed != nil {
				t.Fatal(failed)
			}
			n = info.Bytes_acked
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}
