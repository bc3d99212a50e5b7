package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
)

// TestDoctorCommand: exit codes, and what is said of wrong arguments.
func TestDoctorCommand(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	app := l.Addr().String()
	environ := []string{"WSR_UPSTREAM=http://" + app, "WSR_DATA_DIR=" + t.TempDir(), "WSR_LISTEN=127.0.0.1:15891", "WSR_ADMIN_LISTEN=127.0.0.1:15892"}
	for _, c := range []struct {
		args    []string
		environ []string
		code    int
		stdout  string
		stderr  string
	}{
		{[]string{"-quick", "ws://127.0.0.1:1/ws"}, nil, 1, "[refused]", "looking up"},
		{[]string{"ws://127.0.0.1:1/ws", "-quick", "-silent"}, nil, 1, "[refused]", ""},
		{[]string{"-silent", "-json", "ws://127.0.0.1:1/ws"}, nil, 1, `"id": "refused"`, ""},
		{[]string{"ftp://127.0.0.1/"}, nil, 2, "", "allowed is ws://"},
		{[]string{"ws:///path"}, nil, 2, "", "no host"},
		{[]string{"ws://a", "ws://b"}, nil, 2, "", "one URL"},
		{[]string{"-H", "none", "ws://a"}, nil, 2, "", "Name: value"},
		{[]string{"-idle", "-1s", "ws://a"}, nil, 2, "", "-idle"},
		{[]string{"-ca", "/dev/null", "ws://a"}, nil, 2, "", "no certificate"},
		{[]string{"-stream", "x", "ws://a"}, nil, 2, "", "starts with /"},
		{[]string{"-quick"}, environ, 2, "", "for a URL only"},
		{[]string{"-silent"}, nil, 1, "[settings]", ""},
		{[]string{"-silent"}, environ, 0, "as far as this can see", ""},
		{[]string{"-h"}, nil, 0, "", "exit codes"},
	} {
		var stdout, stderr strings.Builder
		code := command(t.Context(), append([]string{"doctor"}, c.args...), c.environ, &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) || c.code == 2 && stdout.String() != "" {
			t.Errorf("doctor %q: %d, want %d\n%s%s", c.args, code, c.code, stdout.String(), stderr.String())
		}
		if strings.Contains(strings.Join(c.args, " "), "-json") && !json.Valid([]byte(stdout.String())) {
			t.Errorf("doctor %q: no JSON: %s", c.args, stdout.String())
		}
	}
}
