package endtoend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/internal/console"
)

// consoleTells checks that the console of a sidecar has, for each line of its log
// that is about a session and is one of those that are asked for, an event in the
// same words with the same cause; and that it knows who ended lately, and why.
func (l *eventLog) consoleTells(t *testing.T, admin string, asked func(msg string) bool) {
	t.Helper()
	told, all := map[string]detail{}, ""
	ask := func(path string, into any) {
		t.Helper()
		resp, err := http.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || json.Unmarshal(text, into) != nil {
			t.Fatalf("%s: %s, %v: %s", path, resp.Status, err, text)
		}
		all += string(text)
	}
	checked := 0
	for _, line := range l.parsed() {
		id, about := line["session"].(string)
		msg, _ := line["msg"].(string)
		if !about || !asked(msg) {
			continue
		}
		if _, ok := told[id]; !ok {
			var d detail
			ask("/sessions/"+id, &d)
			told[id] = d
		}
		checked++
		if !slices.ContainsFunc(told[id].Events, func(e console.Event) bool { return saysTheSame(&e, line) }) {
			t.Errorf("the console has no event for %v\nbut %+v", line, told[id].Events)
		}
		if msg != "session ended" {
			continue
		}
		var ended console.Ended
		ask("/ended?id="+id, &ended)
		if len(ended.Ended) != 1 || ended.Ended[0].Reason != line["reason"] || line["fact"] != nil && !strings.HasPrefix(ended.Ended[0].Why, fmt.Sprint(line["fact"])) {
			t.Errorf("ended: %+v, want %v", ended.Ended, line)
		}
	}
	if checked == 0 {
		t.Error("no line was asked for")
	}
	for id, d := range told {
		all += d.inTerminal(t, admin, id)
	}
	if strings.Contains(all, "secret-") || strings.Contains(all, "hunter2") {
		t.Error("the console shows what a client or an app has said (I9)")
	}
}

// A detail is what the console says of a session.
type detail struct{ console.Detail }

// inTerminal checks that the command session prints the same, and returns that.
func (d *detail) inTerminal(t *testing.T, admin, id string) string {
	t.Helper()
	program, err := binary.Path(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "session", id[:12])
	cmd.Env = []string{"WSR_UPSTREAM=http://127.0.0.1:1", "WSR_ADMIN_LISTEN=" + admin}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("session %s: %v: %s", id, err, out)
	}
	for i := range d.Events {
		if e := &d.Events[i]; !strings.Contains(string(out), e.Text) {
			t.Errorf("the command session does not tell %q:\n%s", e.Text, out)
		}
	}
	return string(out)
}

// saysTheSame reports whether an event has the words of a line of the log, and what
// it follows from.
func saysTheSame(e *console.Event, line map[string]any) bool {
	if e.What != line["msg"] || e.Fact != "" && e.Fact != line["fact"] || e.Path != text(line["path"]) || e.Client != text(line["client"]) || e.Trace != text(line["trace"]) {
		return false
	}
	if a := e.Advice; a != nil && (a.Setting != line["setting"] || a.Docs != line["docs"]) {
		return false
	}
	for _, name := range []string{"reason", "cause", "code", "status", "owner", "by", "outcome", "size", "limit"} {
		if text(e.Attrs[name]) != text(line[name]) {
			return false
		}
	}
	return true
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// parsed is all lines, those that were found too.
func (l *eventLog) parsed() (lines []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.texts {
		var fields map[string]any
		if json.Unmarshal([]byte(text), &fields) == nil {
			lines = append(lines, fields)
		}
	}
	return lines
}

// consoleKnows checks that the console of a sidecar lists others, with their leases.
func consoleKnows(t *testing.T, admin string, members ...string) {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s console.Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range s.Fleet {
		_, address, _ := strings.Cut(m.Owner, "@")
		if known = append(known, address+" "+m.Lease); m.Self {
			known[len(known)-1] += " self"
		}
	}
	for _, m := range members {
		if !slices.Contains(known, m) {
			t.Errorf("the console knows %q, not %q", known, m)
		}
	}
	if !s.Journal.Available || len(s.Journal.Streams) == 0 || !s.Ready {
		t.Errorf("%+v", s)
	}
}
