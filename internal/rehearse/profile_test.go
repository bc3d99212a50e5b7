package rehearse

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsresilience/wsresilience/internal/rehearse/plan"
	"github.com/wsresilience/wsresilience/internal/rehearse/profile"
	"github.com/wsresilience/wsresilience/internal/rehearse/report"
)

// chatApp wants what apps want: a login, whose cookie and token come with the
// handshake, an Origin and a subprotocol, and a hello on each socket. It answers
// each message somewhere inside, numbers what it sends by itself, and every tenth
// time says that it failed.
type chatApp struct {
	logins, greeted, rude atomic.Int32
}

func (a *chatApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/login" {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || !strings.HasPrefix(string(body), "user=load") {
			http.Error(w, "who?", http.StatusForbidden)
			return
		}
		a.logins.Add(1)
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "s1"})
		fmt.Fprintf(w, `{"data":{"token":"t-%s"}}`, strings.TrimPrefix(string(body), "user="))
		return
	}
	cookie, _ := r.Cookie("sid")
	if cookie == nil || !strings.HasPrefix(r.URL.Query().Get("token"), "t-load") || r.URL.Query().Get("v") != "2" || r.Header.Get("Origin") != "https://example.com" {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat.v2"}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	a.talk(r, c)
}

func (a *chatApp) talk(r *http.Request, c *websocket.Conn) {
	hello, n := false, 0
	for {
		_, p, err := c.Read(r.Context())
		if err != nil {
			return
		}
		var m struct{ Op, ID string }
		switch _ = json.Unmarshal(p, &m); {
		case m.Op == "hello":
			hello = true
			a.greeted.Add(1)
			continue
		case !hello:
			a.rude.Add(1)
		case m.Op == "typing":
			continue
		}
		n++
		answer := fmt.Sprintf(`{"ack":{"id":%q}}`, m.ID)
		if n%10 == 0 {
			answer = fmt.Sprintf(`{"ack":{"id":%q},"error":"busy"}`, m.ID)
		}
		push := fmt.Sprintf(`{"seq":%d,"room":"red"}`, n)
		if c.Write(r.Context(), websocket.MessageText, []byte(answer)) != nil || c.Write(r.Context(), websocket.MessageText, []byte(push)) != nil {
			return
		}
	}
}

const chatProfile = `{
	"name": "chat", "plain": 3, "resilient": 0, "ramp": "50ms", "think": "20ms",
	"login": {"url": "URL/login", "body": "user=load{{client}}", "token": {"pointer": "/data/token"}},
	"headers": {"Origin": "https://example.com"}, "query": "token={{token}}", "subprotocols": ["chat.v2"],
	"hello": ["{\"op\":\"hello\"}"],
	"messages": [
		{"send": "{\"op\":\"say\",\"id\":\"{{id}}\"}"},
		{"send": "{\"op\":\"typing\"}", "silent": true}
	],
	"answer": {"pointer": "/ack/id"}, "error": {"pointer": "/error"},
	"push": {"number": {"pointer": "/seq"}, "stream": {"pointer": "/room"}, "socket": true},
	"objectives": ["lost<=50", "errors<=0"]
}`

// A profile says all that an app wants, over TLS with a certificate of its own.
// The app's errors are found, and fail the run.
func TestProfile(t *testing.T) {
	t.Parallel()
	a := new(chatApp)
	app := httptest.NewTLSServer(a)
	defer app.Close()
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw})))
	file := write(t, "chat.json", strings.ReplaceAll(chatProfile, "URL", app.URL))
	dir := t.TempDir()
	args := []string{"-profile", file, "-ca", ca, "-baseline", "500ms", "-after", "100ms", "-out", dir}
	url := "wss" + strings.TrimPrefix(app.URL, "https") + "/chat?v=2"
	code, out, errs := command(t, append(args, "-faults", write(t, "faults", "0s cut rst\n"), url)...)
	if code != exitMissed || !strings.Contains(out, "FAIL: 1 of 2 objectives") {
		t.Fatalf("code %d\n%s\n%s", code, out, errs)
	}
	// Three clients, and the one that tried it out; and hello on each socket.
	if logins, greeted := a.logins.Load(), a.greeted.Load(); logins != 4 || greeted < 7 || a.rude.Load() != 0 {
		t.Errorf("%d logins, %d hellos, %d messages before one", logins, greeted, a.rude.Load())
	}
	run, err := report.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s := run.Sides[0]; s.Errors == 0 || s.Pushes.Got == 0 || s.Pushes.Doubled > 0 || s.Judged >= s.Due || s.Answered != s.Judged-s.Lost {
		t.Errorf("%+v", s)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, report.RawFile)); strings.Contains(string(text), "v=2") {
		t.Error("the report has the URL's query, which may be secret")
	}
	// Without its authority, and with a login that is refused.
	for want, args := range map[string][]string{
		"with -ca": {"-profile", file},
		"403":      {"-insecure", "-profile", write(t, "bad.json", strings.ReplaceAll(strings.ReplaceAll(chatProfile, "URL", app.URL), "user=load", "user="))},
	} {
		if code, _, errs := command(t, append(args, "-out", t.TempDir(), url)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("code %d, want %q in %s", code, want, errs)
		}
	}
}

// What docs/REHEARSE.md shows can be used as it stands there.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/REHEARSE.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("no block %s", pattern)
		}
		return string(found[1])
	}
	p, err := profile.Parse([]byte(block("(?s)```json\n(.*?)```")))
	if err != nil || p.Login == nil || len(p.Messages) != 2 {
		t.Errorf("profile: %v", err)
	}
	list, err := plan.Parse(block("(?s)```\n(0s .*?)```"))
	if err != nil || len(list) < 10 {
		t.Errorf("plan: %d faults, %v", len(list), err)
	}
	if _, err := objectives(nil, p.Objectives); err != nil {
		t.Error(err)
	}
	// Every field of a profile is in the text, and every flag in the help.
	for _, kind := range []reflect.Type{reflect.TypeFor[profile.Profile](), reflect.TypeFor[profile.Push](), reflect.TypeFor[profile.Login]()} {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(string(text), name) {
				t.Errorf("docs/REHEARSE.md does not name the field %q", name)
			}
		}
	}
}
