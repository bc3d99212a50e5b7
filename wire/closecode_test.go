package wire

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestClosePayload(t *testing.T) {
	long := strings.Repeat("é", 100)
	for _, c := range []struct {
		code         ws.StatusCode
		reason, want string
	}{
		{1000, "", ""},
		{4999, "bye", "bye"},
		{1012, long, long[:122]}, // 123 bytes would cut a character
	} {
		code, reason, err := ParseClosePayload(AppendClosePayload(nil, c.code, c.reason))
		if code != c.code || reason != c.want || err != nil {
			t.Errorf("%d %q: %d %q, %v", c.code, c.reason, code, reason, err)
		}
	}
	if code, reason, err := ParseClosePayload(nil); code != ws.StatusNoStatusRcvd || reason != "" || err != nil {
		t.Errorf("empty: %d %q, %v", code, reason, err)
	}
	for _, p := range []string{"\x03", "\x03\xed", "\x03\xf7", "\x03\xe8\xff", "\x00\x00bye"} {
		if code, reason, err := ParseClosePayload([]byte(p)); err == nil || err.Code != ws.StatusProtocolError || err.Remote {
			t.Errorf("%q: %d %q, %v", p, code, reason, err)
		}
	}
}

func FuzzClosePayload(f *testing.F) {
	f.Add([]byte("\x03\xe8bye"))
	f.Fuzz(func(t *testing.T, p []byte) {
		code, reason, err := ParseClosePayload(p)
		if err != nil || len(p) == 0 || len(reason) > MaxCloseReason {
			return
		}
		if again := AppendClosePayload(nil, code, reason); string(again) != string(p) {
			t.Fatalf("%x becomes %x", p, again)
		}
	})
}
