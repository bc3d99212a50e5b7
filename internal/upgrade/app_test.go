package upgrade

import (
	"strings"
	"testing"
)

func TestParseApp(t *testing.T) {
	for _, tc := range []struct{ give, want, why string }{
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080", ""},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080", ""},
		{"http://[::1]:1", "http://[::1]:1", ""},
		{"http://app.internal:65535", "http://app.internal:65535", ""},
		{"unix:/run/app.sock", "unix:/run/app.sock", ""},
		{"", "", "scheme"},
		{"127.0.0.1:8080", "", "not a URL"},
		{"app:8080", "", "scheme"},
		{"https://app:8443", "", "TLS is not spoken"},
		{"ws://app:80", "", "scheme"},
		{"http://app", "", "port is missing"},
		{"http://:80", "", "host is missing"},
		{"http:app:80", "", "host is missing"},
		{"http://app:0", "", "port is not"},
		{"http://app:65536", "", "port is not"},
		{"http://app:80/base", "", "path"},
		{"http://app:80?x", "", "query"},
		{"http://app:80#x", "", "query"},
		{"http://user:secret@app:80", "", "credentials"},
		{"http://user:secret@app:80\x00", "", "credentials"},
		{"unix:", "", "absolute"},
		{"unix:run/app", "", "absolute"},
		{"unix:/", "", "absolute"},
		{"unix:/run//app", "", "absolute"},
		{"unix:/run/a\x00b", "", "zero byte"},
		{"unix:/" + strings.Repeat("x", 107), "", "at most 107"},
	} {
		u, err := ParseApp(tc.give)
		if tc.why == "" {
			if err != nil || u.String() != tc.want {
				t.Errorf("%q: %v, %v; want %s", tc.give, u, err, tc.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.why) || !strings.HasPrefix(err.Error(), "upgrade: upstream ") {
			t.Errorf("%q: %v, want an error about %q", tc.give, err, tc.why)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}
