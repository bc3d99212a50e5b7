package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"

	"github.com/wsresilience/wsresilience/internal/transport"
)

// standIn is set where this program stands in for wstest.
const standIn = "DIFFERENTIAL_IS_WSTEST"

func TestMain(m *testing.M) {
	if os.Getenv(standIn) != "" {
		if err := beWstest(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beWstest has two cases: an echo, and the close code of a message that is too much
// for UTF-8.
func beWstest() error {
	flags := flag.NewFlagSet("wstest", flag.ExitOnError)
	mode, file := flags.String("m", "", ""), flags.String("s", "", "")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var s spec
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	all := map[string]results{}
	write := func() error {
		_ = os.MkdirAll(s.Outdir, 0o700)
		b, _ := json.Marshal(all)
		return os.WriteFile(filepath.Join(s.Outdir, "index.json"), b, 0o600)
	}
	if *mode == "fuzzingclient" {
		for _, server := range s.Servers {
			all[server.Agent] = results{}
			for i := range 2 {
				c, _, err := gorilla.DefaultDialer.Dial(server.URL, nil) //nolint:bodyclose // need not be closed, it says
				if err != nil {
					return err
				}
				all[server.Agent][fmt.Sprintf("1.%d", i+1)] = judge(c, i)
				c.Close()
			}
		}
		return write()
	}
	up := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	return http.ListenAndServe(strings.TrimPrefix(s.URL, "ws://"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		agent := r.FormValue("agent")
		switch r.URL.Path {
		case "/getCaseCount":
			_ = c.WriteMessage(gorilla.TextMessage, []byte("2"))
		case "/updateReports":
			_ = write()
		case "/runCase":
			var n int
			_, _ = fmt.Sscan(r.FormValue("case"), &n)
			if all[agent] == nil {
				all[agent] = results{}
			}
			all[agent][fmt.Sprintf("1.%d", n)] = judge(c, n-1)
		}
	}))
}

func judge(c *gorilla.Conn, i int) (v verdict) {
	v.Behavior, v.BehaviorClose = "FAILED", "OK"
	_ = c.WriteMessage(gorilla.TextMessage, []byte([]string{"hello", "\xff"}[i]))
	_, got, err := c.ReadMessage()
	if string(got) == "hello" {
		v.Behavior = "OK"
	}
	if ce, ok := err.(*gorilla.CloseError); ok { //nolint:errorlint // it is given as it is
		v.RemoteCloseCode = &ce.Code
	}
	_ = c.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, ""))
	return v
}

// The command runs what is called wstest, with servers and clients, directly and
// through the sidecar, and finds no difference.
func TestAutobahnRuns(t *testing.T) {
	t.Setenv(standIn, "1")
	wstest, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	a := autobahn{wstest: wstest, cases: []string{"*"}, drivers: []transport.Driver{transport.DriverAuto}, tell: func(s string) { told = append(told, s) }}
	if err := a.run(t.Context(), only("gorilla,gorilla-client,go-client")); err != nil {
		t.Fatal(err)
	}
	if a.differences > 0 || len(told) != 3 || !strings.Contains(told[0], "2 cases, 0 differences") {
		t.Errorf("%d differences, %q", a.differences, told)
	}
}

// Where wstest is not installed, it is said what to do.
func TestNoWstest(t *testing.T) {
	_, err := findWstest("no-such-wstest")
	for _, want := range []string{"no-such-wstest is not installed", "pip install autobahntestsuite", "-wstest"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestCompareResults(t *testing.T) {
	all, err := readResults(strings.NewReader(`{
		"a": {"1.1.1": {"behavior": "OK", "behaviorClose": "OK", "duration": 3, "remoteCloseCode": 1000, "reportfile": "a.json"},
		      "6.4.1": {"behavior": "NON-STRICT", "behaviorClose": "OK", "duration": 3, "remoteCloseCode": null, "reportfile": "b.json"}},
		"b": {"1.1.1": {"behavior": "OK", "behaviorClose": "OK", "duration": 99, "remoteCloseCode": 1000, "reportfile": "c.json"},
		      "6.4.1": {"behavior": "NON-STRICT", "behaviorClose": "OK", "duration": 1, "remoteCloseCode": null, "reportfile": "d.json"}},
		"c": {"10.1.1": {"behavior": "OK", "behaviorClose": "OK"}, "9.1": {"behavior": "OK", "behaviorClose": "OK"},
		      "1.1.1": {"behavior": "OK", "behaviorClose": "UNCLEAN", "remoteCloseCode": 1000},
		      "6.4.1": {"behavior": "NON-STRICT", "behaviorClose": "OK", "remoteCloseCode": 1002}},
		"none": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := compareResults(all["a"], all["b"]); len(d) > 0 || err != nil {
		t.Errorf("%q, %v of equal ones", d, err)
	}
	d, err := compareResults(all["a"], all["c"])
	want := []string{
		"1.1.1: directly OK, close OK, 1000; through OK, close UNCLEAN, 1000",
		"6.4.1: directly NON-STRICT, close OK, no code; through NON-STRICT, close OK, 1002",
		"9.1: only through the sidecar", "10.1.1: only through the sidecar",
	}
	if strings.Join(d, "\n") != strings.Join(want, "\n") || err != nil {
		t.Errorf("%q, %v", d, err)
	}
	if d, _ := compareResults(all["c"], all["a"]); d[2] != "9.1: only directly" {
		t.Errorf("%q", d)
	}
	if _, err := compareResults(all["none"], all["none"]); err == nil {
		t.Error("no results pass for equal ones")
	}
	if _, err := readResults(strings.NewReader("<html>")); err == nil {
		t.Error("what is no JSON is read")
	}
}
