package main

import (
	"testing"

	"github.com/wsresilience/wsresilience/internal/transport"
)

// The servers of this process, directly and through the sidecar.
func TestNothingDiffers(t *testing.T) {
	for _, s := range goServers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			_, total, err := compareServer(t.Context(), s, 1, 15, []transport.Driver{transport.DriverAuto}, func(d string) { t.Error(d) })
			if err != nil || total < 15 {
				t.Errorf("%d exchanges, %v", total, err)
			}
		})
	}
}

// What differs is found.
func TestDifferences(t *testing.T) {
	a := outcome{request: "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n", answer: "HTTP/1.1 200 OK\r\nDate: 1\r\nX: y\r\n\r\n"}
	b := a
	b.request = "GET / HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: app.example\r\n\r\n"
	b.answer = "HTTP/1.1 200 OK\r\nDate: 2\r\nX: y\r\n\r\n"
	if d := difference(a, b); d != "" {
		t.Error(d)
	}
	for _, change := range []func(*outcome){
		func(o *outcome) { o.request = "GET / HTTP/1.1\r\nhost: app.example\r\n\r\n" },
		func(o *outcome) { o.answer = "HTTP/1.1 200 OK\r\nDate: 2\r\nx: y\r\n\r\n" },
		func(o *outcome) { o.closed = true },
	} {
		c := b
		if change(&c); difference(a, c) == "" {
			t.Errorf("%+v is not found", c)
		}
	}
}
