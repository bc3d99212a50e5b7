package appaddr

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct{ give, network, address, why string }{
		{"http://127.0.0.1:8080", "tcp", "127.0.0.1:8080", ""},
		{"http://127.0.0.1:8080/", "tcp", "127.0.0.1:8080", ""},
		{"http://[::1]:1", "tcp", "[::1]:1", ""},
		{"http://app.internal:65535", "tcp", "app.internal:65535", ""},
		{"unix:/run/app.sock", "unix", "/run/app.sock", ""},
		{"", "", "", "scheme"},
		{"127.0.0.1:8080", "", "", "not a URL"},
		{"app:8080", "", "", "scheme"},
		{"https://app:8443", "", "", "TLS is not spoken"},
		{"ws://app:80", "", "", "scheme"},
		{"http://app", "", "", "port is missing"},
		{"http://:80", "", "", "host is missing"},
		{"http:app:80", "", "", "host is missing"},
		{"http://app:0", "", "", "port is not"},
		{"http://app:65536", "", "", "port is not"},
		{"http://app:80/base", "", "", "path"},
		{"http://app:80?x", "", "", "query"},
		{"http://app:80#x", "", "", "query"},
		{"http://user:secret@app:80", "", "", "credentials"},
		{"http://user:secret@app:80\x00", "", "", "credentials"},
		{"unix:", "", "", "absolute"},
		{"unix:run/app", "", "", "absolute"},
		{"unix:/", "", "", "absolute"},
		{"unix:/run//app", "", "", "absolute"},
		{"unix:/run/a\x00b", "", "", "zero byte"},
		{"unix:/" + strings.Repeat("x", maxSocketPath), "", "", "at most 107"},
	} {
		network, address, err := Parse(tc.give)
		switch {
		case tc.why == "" && (err != nil || network != tc.network || address != tc.address):
			t.Errorf("%q: %s %s, %v; want %s %s", tc.give, network, address, err, tc.network, tc.address)
		case tc.why != "" && (err == nil || !strings.Contains(err.Error(), tc.why) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%q: %v, want an error about %q and without the password", tc.give, err, tc.why)
		}
	}
}
