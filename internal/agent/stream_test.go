package agent

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/agent/settings"
	"github.com/wsresilience/wsresilience/internal/faultlink"
	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// packet is one of MQTT with a payload of n bytes.
func packet(kind byte, n int) []byte {
	return append(binary.AppendUvarint([]byte{kind << 4}, uint64(n)), bytes.Repeat([]byte{kind}, n)...)
}

// streamOf is the stream of a program that says something, in pieces.
func streamOf(protocol string, pieces ...[]byte) *stream {
	near, far := net.Pipe()
	go func() {
		for _, p := range pieces {
			_, _ = far.Write(p)
		}
		_ = far.Close()
	}()
	return &stream{conn: near, in: bufio.NewReaderSize(near, maxPiece), protocol: protocol}
}

// TestPackets: each packet of MQTT is a message, however it comes; one that is large
// is several, and what is no packet passes.
func TestPackets(t *testing.T) {
	all := [][]byte{packet(1, 10), packet(14, 0), packet(3, 127), packet(3, 128), packet(3, 40_000), packet(3, maxPacket+100), packet(12, 0)}
	text := bytes.Join(all, nil)
	for name, pieces := range map[string][][]byte{"at once": {text}, "each": all, "bytes": bytes.SplitAfter(text[:400], []byte{})} {
		t.Run(name, func(t *testing.T) {
			s := streamOf("mqtt", pieces...)
			var got []byte
			for n := 0; ; n++ {
				_, p, err := s.Read(t.Context())
				if err != nil {
					if websocket.CloseStatus(err) != 1000 {
						t.Errorf("it ends with %v", err)
					}
					break
				}
				if n < 4 && !bytes.Equal(p, all[n]) {
					t.Errorf("message %d has %d bytes, want %d", n, len(p), len(all[n]))
				}
				got = append(got, p...)
			}
			if want := bytes.Join(pieces, nil); !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
		})
	}
	for _, protocol := range []string{"mqtt", "line"} {
		s := streamOf(protocol, []byte("\x10\xff\xff\xff\xff\xffno packet"))
		var got []byte
		for {
			_, p, err := s.Read(t.Context())
			if err != nil {
				break
			}
			got = append(got, p...)
		}
		if string(got) != "\x10\xff\xff\xff\xff\xffno packet" {
			t.Errorf("%s: %q", protocol, got)
		}
	}
}

// TestTCP: a program that speaks over TCP has a session like any other: what it says
// and hears survives cuts, and how one side ends the other learns.
func TestTCP(t *testing.T) {
	s := newStage(t)
	free := proxytest.Listen(t)
	address := free.Addr().String()
	_ = free.Close()
	s.agent(t, "WSR_AGENT_TCP_LISTEN="+address, "WSR_AGENT_TCP_PATH=/stream?a=b", "WSR_AGENT_TCP_PROTOCOL=meter.v2")
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	c := dial()
	say := func(text, want string) {
		t.Helper()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
	say("who", "/stream?a=b  meter.v2")
	for range 5 {
		s.link.Cut(faultlink.RST)
		say("hello", "hello")
	}
	if n := s.app.sockets.Load(); n != 1 {
		t.Errorf("%d sockets of the app", n)
	}
	_ = c.Close()
	proxytest.Eventually(t, "the app hears 1000", func() bool { return s.app.closed.Load() == 1000 })
	c = dial()
	say("who", "/stream?a=b  meter.v2")
	if _, err := c.Write([]byte("close")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the program hears %v", err)
	}
}

// TestTCPWithoutServer: a connection for which there is no session ends.
func TestTCPWithoutServer(t *testing.T) {
	s := newStage(t)
	free := proxytest.Listen(t)
	address := free.Addr().String()
	_ = free.Close()
	s.agent(t, "WSR_AGENT_TCP_LISTEN="+address, "WSR_AGENT_TCP_PROTOCOL=unknown")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("it hears %v", err)
	}
}

// TestBadTCPSettings: what is wrong is named, with what is allowed.
func TestBadTCPSettings(t *testing.T) {
	for given, want := range map[string]string{
		"WSR_AGENT_TCP_LISTEN=1883":            `"1883": want host:port`,
		"WSR_AGENT_TCP_LISTEN=127.0.0.1:15880": "is WSR_AGENT_LISTEN",
		"WSR_AGENT_TCP_PATH=mqtt":              `"mqtt": want a path, as /mqtt`,
		"WSR_AGENT_TCP_PROTOCOL=a,b":           `"a,b": want the name of one`,
		"WSR_AGENT_TCP_PROTOCOL=wsr.v1":        "not ours",
	} {
		_, err := settings.Validate([]string{"WSR_AGENT_TARGET=ws://a", "WSR_AGENT_TCP_LISTEN=127.0.0.1:1883", given})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", given, err, want)
		}
	}
}
