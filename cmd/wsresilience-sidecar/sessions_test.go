package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/internal/console"
)

const (
	firstID  = "97d797fa3e91000000000000000000aa"
	secondID = "97d797000000000000000000000000bb"
	endedID  = "11223344000000000000000000000000"
)

// fakeConsole answers as a sidecar with two sessions and one that has ended.
func fakeConsole(t *testing.T) http.Handler {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	write := func(w http.ResponseWriter, status int, v any) {
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	list := []console.Session{
		{ID: firstID, Kind: "resilient", State: "detached", Path: "/chat\x1b[2J", Client: "10.0.0.0/24", Epoch: 2, Age: 3_723_000, Expires: 61_000, Away: 1500, Held: 3000, Link: console.Link{State: "DEGRADED", RTT: 12.5, Loss: 0.25}},
		{ID: secondID, Kind: "plain", State: "attached", Age: 400, Link: console.Link{State: "CONNECTED"}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/sessions", func(w http.ResponseWriter, r *http.Request) {
		answer := console.Sessions{Matched: 7, Lives: 9, Next: "5_x"}
		for _, s := range list {
			if strings.HasPrefix(s.ID, r.URL.Query().Get("id")) {
				answer.Sessions = append(answer.Sessions, s)
			}
		}
		if r.URL.Query().Get("state") == "away" {
			http.Error(w, "state=away: allowed are attached", http.StatusBadRequest)
			return
		}
		write(w, http.StatusOK, answer)
	})
	end := console.End{At: at, ID: endedID, Kind: "resilient", Path: "/chat", Age: 50, Reason: "expired", Why: "no client came back", Advice: &console.Advice{Setting: "WSR_SESSION_TTL", Docs: "page"}}
	mux.HandleFunc("/ended", func(w http.ResponseWriter, r *http.Request) {
		answer := console.Ended{}
		if strings.HasPrefix(endedID, r.URL.Query().Get("id")) {
			answer.Ended = append(answer.Ended, end)
		}
		write(w, http.StatusOK, answer)
	})
	mux.HandleFunc("/sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		d := console.Detail{Events: []console.Event{{At: at, Text: "detached: no answer to heartbeats"}}}
		switch id := strings.ToLower(r.PathValue("id")); {
		case id == "97d797":
			http.Error(w, "2 sessions have an id that begins with 97d797", http.StatusConflict)
			return
		case id == "00":
			http.Error(w, "no session whose id begins with 00 lives here", http.StatusNotFound)
			return
		case strings.HasPrefix(firstID, id):
			d.Here, d.Session = true, &list[0]
			d.Windows = &console.Windows{ToClient: console.Window{Messages: 3, Bytes: 3000, MaxBytes: 4096, Full: true}}
			d.Journal = &console.SessionJournal{On: true, Lacks: 4, Failures: 2, Retry: 100}
			d.Traffic = &console.Traffic{Replayed: 17}
		case strings.HasPrefix(endedID, id):
			d.Session, d.Ended = &console.Session{ID: endedID}, &end
			d.Located = &console.Location{Owner: "x@10.0.0.2:1", Lease: "live", State: "attached", Epoch: 3}
		default:
			d.Session, d.Events = &console.Session{ID: id}, nil
			write(w, http.StatusNotFound, d)
			return
		}
		write(w, http.StatusOK, d)
	})
	return mux
}

func TestLook(t *testing.T) {
	old := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not found; there is:\n/livez", http.StatusNotFound)
	})
	closed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "only from this pod or machine", http.StatusForbidden)
	})
	for _, tt := range []struct {
		args   string
		h      http.Handler // nil: fakeConsole
		code   int
		says   []string
		stderr string
	}{
		{"sessions", nil, exitOK, []string{"ID            STATE", "97d797fa3e91  detached  /chat\ufffd[2J  10.0.0.0/24  1h2m   degraded   12.5ms  25%   2.9KiB  2      1.5s  1m1s", "97d797000000  plain", "2 of 7 that match, 9 in all; more: -cursor 5_x"}, ""},
		{"sessions -id 97d797fa", nil, exitOK, []string{"1 of 7"}, ""},
		{"sessions -json", nil, exitOK, []string{`"matched":7`}, ""},
		{"sessions -ended", nil, exitOK, []string{"ENDED", "2026-01-02T03:04:05.006Z  112233440000  resilient  /chat  -       50ms  no client came back"}, ""},
		{"sessions -state away", nil, exitFailed, nil, "state=away: allowed are attached"},
		{"sessions now", nil, exitUsage, nil, "sessions takes flags only"},
		{"sessions -bad", nil, exitUsage, nil, "-bad"},
		{"sessions", old, exitFailed, nil, "of another release"},
		{"sessions", closed, exitFailed, nil, "only from this pod"},
		{"session " + firstID, nil, exitOK, []string{"detached, ends in 1m1s, away for 1.5s, lacks 0 messages", "3 messages, 2.9KiB of 4.0KiB: full", "2 appends in a row failed", "17 replayed", "2026-01-02T03:04:05.006Z  detached: no answer"}, ""},
		{"session 97D797FA -json", nil, exitOK, []string{`"here":true`}, ""},
		{"session -json 97d797fa", nil, exitOK, []string{`"here":true`}, ""},
		{"session 1122", nil, exitOK, []string{"state    not here", "50ms old: no client came back", "WSR_SESSION_TTL, see page", "owner x@10.0.0.2:1 (lease live), epoch 3"}, ""},
		{"session 97d797", nil, exitFailed, nil, "2 sessions have an id that begins with 97d797"},
		{"session 00", nil, exitFailed, nil, "no session whose id begins with 00 lives here"},
		{"session " + strings.Repeat("0", 32), nil, exitFailed, []string{"nothing is remembered of it"}, ""},
		{"session", nil, exitUsage, nil, "takes one id, given 0"},
		{"session 1 2", nil, exitUsage, nil, "given 2"},
	} {
		h := tt.h
		if h == nil {
			h = fakeConsole(t)
		}
		srv := httptest.NewServer(h)
		var stdout, stderr strings.Builder
		code := command(t.Context(), strings.Fields(tt.args), drainEnviron(srv.Listener.Addr().String()), &stdout, &stderr)
		srv.Close()
		if code != tt.code || !strings.Contains(stderr.String(), tt.stderr) || tt.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, %q; want %d, %q", tt.args, code, stderr.String(), tt.code, tt.stderr)
		}
		for _, says := range tt.says {
			if !strings.Contains(stdout.String(), says) {
				t.Errorf("%s: no %q in\n%s", tt.args, says, stdout.String())
			}
		}
	}
}

// A command that finds no sidecar says what to look at.
func TestLookWithoutSidecar(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	for _, args := range [][]string{{"sessions"}, {"session", "12"}, {"session", firstID}} {
		var stderr strings.Builder
		if code := command(t.Context(), args, drainEnviron(address), io.Discard, &stderr); code != exitFailed || !strings.Contains(stderr.String(), address) || !strings.Contains(stderr.String(), "WSR_ADMIN_LISTEN") {
			t.Errorf("%v: exit code %d, %q", args, code, stderr.String())
		}
		if code := command(t.Context(), args, []string{"WSR_ADMIN_LISTEN=x"}, io.Discard, io.Discard); code != exitUsage {
			t.Errorf("%v with bad settings: exit code %d", args, code)
		}
	}
	var stderr strings.Builder
	if code := command(t.Context(), []string{"sessions", "-h"}, nil, io.Discard, &stderr); code != exitOK || !strings.Contains(stderr.String(), "waiting_for_app") || !strings.Contains(stderr.String(), "oldest") {
		t.Errorf("-h: %d, %s", code, stderr.String())
	}
}

func TestColumns(t *testing.T) {
	for ms, want := range map[float64]string{0: "-", 1.4: "1ms", 1234: "1.2s", 61_000: "1m1s", 3_600_000: "1h0m", 200_000_000: "2d7h"} {
		if got := age(ms); got != want {
			t.Errorf("%v ms: %q, want %q", ms, got, want)
		}
	}
	for n, want := range map[int]string{0: "0B", 1023: "1023B", 1536: "1.5KiB", 3 << 20: "3.0MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}
