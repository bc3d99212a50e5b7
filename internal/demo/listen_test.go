package demo

import (
	"net/netip"
	"testing"
)

// What is printed and what a code says leads to the page, whatever it listens on.
func TestPageURLs(t *testing.T) {
	machine := netip.MustParseAddr("192.0.2.7")
	for _, tt := range []struct {
		at           string
		machine      netip.Addr
		here, others string
	}{
		{"127.0.0.1:15800", machine, "http://127.0.0.1:15800/", ""},
		{"[::1]:80", machine, "http://[::1]:80/", ""},
		{"0.0.0.0:15800", machine, "http://127.0.0.1:15800/", "http://192.0.2.7:15800/"},
		{"[::]:15800", machine, "http://127.0.0.1:15800/", "http://192.0.2.7:15800/"},
		{"[::]:15800", netip.Addr{}, "http://127.0.0.1:15800/", ""},
		{"192.0.2.9:81", machine, "http://192.0.2.9:81/", "http://192.0.2.9:81/"},
	} {
		if here, others := pageURLs(netip.MustParseAddrPort(tt.at), tt.machine); here != tt.here || others != tt.others {
			t.Errorf("%s: %q, %q, want %q, %q", tt.at, here, others, tt.here, tt.others)
		}
	}
}

// A container says by its environment that its port is reached from outside.
func TestDefaultListen(t *testing.T) {
	for set, want := range map[string]string{"": pageAddress, ":15800": ":15800"} {
		if got := defaultListen(func(string) string { return set }); got != want {
			t.Errorf("with %q: %s", set, got)
		}
	}
	for _, good := range []string{"", ":15800", "0.0.0.0:0", "[::]:80", "localhost:80", "192.0.2.1:80"} {
		if err := checkListen(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}
