package observe

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		format   string
		terminal bool
		want     string
	}{
		{"", false, `"msg":"hello"`},
		{"", true, `msg=hello`},
		{"json", true, `"msg":"hello"`},
		{"text", false, `msg=hello`},
	} {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelInfo, tt.format, tt.terminal)
		log.Debug("too little")
		log.Info("hello", "session", "0102", "attempt", 3)
		if !strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), "too little") {
			t.Errorf("format %q, terminal %v: %s", tt.format, tt.terminal, out.String())
		}
	}
}

// TestRedaction passes a secret in every way that slog takes one (I9).
func TestRedaction(t *testing.T) {
	const secret = "hunter2"
	r := httptest.NewRequest("GET", "/?token="+secret, nil)
	r.Header.Set("Cookie", secret)
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelDebug, format, false)
		for _, name := range []string{
			"token", "Token", "resume_token", "authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "payload",
			"password", "client_secret", "key", "Sec-WebSocket-Protocol", "subprotocols", "headers", "body", "query",
		} {
			log.Info("m", name, secret)
			log.With(name, secret).Info("m")
			log.Info("m", slog.Group("request", name, secret))
			log.Info("m", name, slog.GroupValue(slog.String("inner", secret)))
			log.WithGroup(name).Info("m", "inner", secret)
		}
		log.Info("m", "dump", []byte(secret), "h", http.Header{"X": {secret}}, "request", r, "c", &http.Cookie{Value: secret})
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s: the log shows a secret:\n%s", format, out.String())
		}
	}
}

func TestHarmlessNamesStay(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, slog.LevelInfo, "json", false).Info("resumed", "session", "0102", "remote", "10.0.0.1:5", "code", 4409, "error", "x", "audit", true)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"msg": "resumed", "session": "0102", "remote": "10.0.0.1:5", "code": 4409.0, "error": "x", "audit": true} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
