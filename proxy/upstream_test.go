package proxy

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
)

// H30: a connection is not taken for a request before what came on it was
// read, and bytes that come before the request is written are an error.
func TestKeptConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, app := net.Pipe()
		defer app.Close()
		k := newKeptConn(ours)
		took := make(chan struct{})
		go func() { k.take(); close(took) }()
		synctest.Wait()
		select {
		case <-took:
			t.Fatal("taken while nobody reads")
		default:
		}
		got := make(chan error, 1)
		read := func() {
			_, err := k.Read(make([]byte, 8))
			got <- err
		}
		go read()
		<-took
		go func() { _, _ = app.Write([]byte("early")) }()
		if err := <-got; !errors.Is(err, errUnasked) {
			t.Errorf("bytes before the request: %v, want %v", err, errUnasked)
		}
		go func() { _, _ = app.Read(make([]byte, 8)) }()
		if _, err := k.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
		go read()
		go func() { _, _ = app.Write([]byte("answer")) }()
		if err := <-got; err != nil {
			t.Errorf("bytes after the request: %v", err)
		}
		go func() { synctest.Wait(); k.Close() }()
		k.take() // returns, since the connection is closed
	})
}

func TestParseUpstream(t *testing.T) {
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
		{"unix:/" + strings.Repeat("x", maxSocketPath), "", "at most 107"},
	} {
		u, err := parseUpstream(tc.give)
		if tc.why == "" {
			if err != nil || u.String() != tc.want {
				t.Errorf("%q: %v, %v; want %s", tc.give, u, err, tc.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.why) || !strings.HasPrefix(err.Error(), "proxy: upstream ") {
			t.Errorf("%q: %v, want an error about %q", tc.give, err, tc.why)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}
