package clientaddr

import (
	"net/netip"
	"strings"
	"testing"
)

func TestClient(t *testing.T) {
	private := Private()
	edge := Proxies{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}
	x := func(lists ...string) Said { return Said{XForwardedFor: lists} }
	f := func(lists ...string) Said { return Said{Forwarded: lists} }
	for _, c := range []struct {
		trusted Proxies
		peer    string
		said    Said
		want    string
	}{
		// Nobody in between.
		{private, "203.0.113.7", Said{}, "203.0.113.7"},
		{private, "10.1.2.3", Said{}, "10.1.2.3"},
		// Anybody can say that.
		{private, "203.0.113.7", x("198.51.100.1"), "203.0.113.7"},
		{private, "203.0.113.7", f("for=198.51.100.1"), "203.0.113.7"},
		{nil, "10.1.2.3", x("198.51.100.1"), "10.1.2.3"},
		{edge, "10.1.2.3", x("198.51.100.1"), "10.1.2.3"},
		// One proxy. What stands before is the client's own word.
		{private, "10.1.2.3", x("198.51.100.1"), "198.51.100.1"},
		{private, "10.1.2.3", x("192.0.2.1, 198.51.100.1"), "198.51.100.1"},
		{private, "10.1.2.3", x("192.0.2.1", "198.51.100.1"), "198.51.100.1"},
		{private, "10.1.2.3", x("192.0.2.1,198.51.100.1\t"), "198.51.100.1"},
		{private, "10.1.2.3", x("garbage, 198.51.100.1"), "198.51.100.1"},
		{edge, "203.0.113.9", x("198.51.100.1"), "198.51.100.1"},
		// A chain, as a balancer, an ingress and a mesh.
		{private, "127.0.0.6", x("192.0.2.1, 198.51.100.1, 10.0.0.9"), "198.51.100.1"},
		{private, "127.0.0.6", x("198.51.100.1", "10.0.0.9", "100.64.0.1"), "198.51.100.1"},
		{private, "10.0.0.9", x("203.0.113.9, 10.0.0.8"), "203.0.113.9"}, // a balancer outside that is not trusted
		{append(edge, private...), "10.0.0.9", x("192.0.2.1, 203.0.113.9, 10.0.0.8"), "192.0.2.1"},
		// Clients inside.
		{private, "10.0.0.9", x("10.0.0.7"), "10.0.0.7"},
		{private, "10.0.0.9", x("10.0.0.7, 10.0.0.8"), "10.0.0.7"},
		// Forms.
		{private, "127.0.0.6", x("198.51.100.1:4711"), "198.51.100.1"},
		{private, "fd00::1", x("2001:db8::7"), "2001:db8::7"},
		{private, "fd00::1", x("[2001:db8::7]"), "2001:db8::7"},
		{private, "fd00::1", x("[2001:db8::7]:4711"), "2001:db8::7"},
		{private, "::ffff:100.64.0.1", x("::ffff:198.51.100.1"), "198.51.100.1"},
		{edge, "2001:db8:1::9", x("2001:db8:2::9"), "2001:db8:2::9"},
		{private, "fe80::1%eth0", x("fe80::2%eth1"), "fe80::2"},
		// What says nothing leaves the last that is known.
		{private, "10.1.2.3", x(""), "10.1.2.3"},
		{private, "10.1.2.3", x("unknown"), "10.1.2.3"},
		{private, "10.1.2.3", x("Bearer hunter2"), "10.1.2.3"},
		{private, "10.1.2.3", x("198.51.100.1,"), "10.1.2.3"},
		{private, "10.1.2.3", x("198.51.100.1", ""), "10.1.2.3"},
		{private, "10.1.2.3", x("198.51.100.1, unknown, 10.0.0.8"), "10.0.0.8"},
		{private, "10.1.2.3", x("198.51.100.1" + strings.Repeat(", 10.0.0.8", 15)), "198.51.100.1"},
		{private, "10.1.2.3", x("198.51.100.1" + strings.Repeat(", 10.0.0.8", 16)), "10.0.0.8"}, // more than there can be
		{private, "", x("198.51.100.1"), "invalid IP"},
		// RFC 7239.
		{private, "10.1.2.3", f("for=198.51.100.1"), "198.51.100.1"},
		{private, "10.1.2.3", f(`For="198.51.100.1:4711";proto=https;by=203.0.113.43`), "198.51.100.1"},
		{private, "10.1.2.3", f(`proto=https;for="[2001:db8:cafe::17]:4711"`), "2001:db8:cafe::17"},
		{private, "10.1.2.3", f(`for="[2001:db8:cafe::17]"`), "2001:db8:cafe::17"},
		{private, "10.1.2.3", f("for=192.0.2.1, for=198.51.100.1;proto=http, for=10.0.0.8"), "198.51.100.1"},
		{private, "10.1.2.3", f("for=192.0.2.1", "for=198.51.100.1"), "198.51.100.1"},
		{private, "10.1.2.3", f("for=_hidden"), "10.1.2.3"},
		{private, "10.1.2.3", f("for=unknown"), "10.1.2.3"},
		{private, "10.1.2.3", f("proto=https"), "10.1.2.3"},
		{private, "10.1.2.3", f("for=192.0.2.1;for=198.51.100.1"), "10.1.2.3"},
		{private, "10.1.2.3", f(`for="a, for=198.51.100.1`), "198.51.100.1"}, // whatever stands before
		// Both: a proxy writes one, and the other one is the client's word.
		{private, "10.1.2.3", Said{[]string{"198.51.100.1"}, []string{"for=198.51.100.1"}}, "198.51.100.1"},
		{private, "10.1.2.3", Said{[]string{"198.51.100.1"}, []string{"for=192.0.2.1"}}, "10.1.2.3"},
		{private, "10.1.2.3", Said{[]string{"192.0.2.1"}, []string{"for=unknown"}}, "10.1.2.3"},
	} {
		peer, _ := netip.ParseAddr(c.peer)
		if got := c.trusted.Client(peer, c.said).String(); got != c.want {
			t.Errorf("%s says %q: %s, want %s", c.peer, c.said, got, c.want)
		}
	}
}

func TestNetwork(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := Network(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", a, got, want)
		}
	}
	if Network(netip.Addr{}).IsValid() {
		t.Error("no address counts as one")
	}
}

// Whatever is said, it costs little, and whom nobody trusts is the client.
func FuzzClient(f *testing.F) {
	f.Add("198.51.100.1, 10.0.0.8", `for="[2001:db8::1]:80";proto=http`)
	f.Add("a,b,,", "for=;for")
	f.Fuzz(func(t *testing.T, x, forwarded string) {
		said := Said{[]string{x}, []string{forwarded}}
		outside, inside := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("10.0.0.1")
		if got := Private().Client(outside, said); got != outside {
			t.Errorf("%q moved a client to %s", said, got)
		}
		if got := Private().Client(inside, said); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q: %v", said, got)
		}
	})
}
