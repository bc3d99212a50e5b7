package proxy

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// What a client of HTTP/2 may have on its way to an app that reads nothing is
// bounded for each stream and for each connection, and so are streams.
func TestHTTP2IsBounded(t *testing.T) {
	sc := newScene(t, func(*Config) {})
	c, err := net.Dial("tcp", sc.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(attackPatience))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	if err := errors.Join(f.WriteSettings(), f.WritePing(false, [8]byte{1})); err != nil {
		t.Fatal(err)
	}
	const initialWindow = 1<<16 - 1 // RFC 9113, section 6.9.2
	window, settings := uint32(initialWindow), map[http2.SettingID]uint32{}
	for answered := false; !answered; { // the answer to a ping stands behind all that came before it
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			_ = frame.ForeachSetting(func(s http2.Setting) error { settings[s.ID] = s.Val; return nil })
		case *http2.PingFrame:
			answered = frame.IsAck()
		case *http2.WindowUpdateFrame:
			window += frame.Increment
		}
	}
	if window != http2Window || settings[http2.SettingInitialWindowSize] != http2Window || settings[http2.SettingMaxConcurrentStreams] != http2Streams {
		t.Errorf("a connection may have %d bytes on their way; settings %v", window, settings)
	}
}
