package event

import (
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/wsresilience/wsresilience/internal/traceparent"
)

// Each session keeps one, and Go's allocator has classes of 48 and 64 bytes.
func TestSubjectFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Subject{}); size > 48 {
		t.Errorf("a Subject has %d bytes: above 48 each costs 16 more", size)
	}
}

func TestSubject(t *testing.T) {
	trace, ok := traceparent.Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if !ok {
		t.Fatal("no trace")
	}
	for _, a := range []About{
		{},
		{Path: "/chat", Client: netip.MustParsePrefix("203.0.113.7/32"), Trace: trace, Epoch: 3},
		{Path: "/chat", Client: netip.MustParsePrefix("203.0.113.0/24")},
		{Path: "/", Client: netip.MustParsePrefix("2001:db8:1::/48"), Epoch: 1},
		{Path: "/", Client: netip.MustParsePrefix("2001:db8::7/128"), Trace: trace},
	} {
		s := NewSubject(a)
		if got := (About{s.Path(), s.ClientPrefix(), s.Trace(), s.Epoch()}); got != a {
			t.Errorf("%+v comes back as %+v", a, got)
		}
	}
}

// About nobody nothing is known.
func TestNoSubject(t *testing.T) {
	var s *Subject
	if s.Path() != "" || s.Client() != "" || !s.Trace().IsZero() || s.Epoch() != 0 || s.ClientPrefix().IsValid() {
		t.Errorf("%q, %q, %v, %d", s.Path(), s.Client(), s.Trace(), s.Epoch())
	}
}

func TestSubjectOfLongPath(t *testing.T) {
	for _, path := range []string{"/" + strings.Repeat("a", 1<<20), "/\xff", "/" + strings.Repeat("ä", maxPath)} {
		got := NewSubject(About{Path: path}).Path()
		if len(got) > maxPath+2*len("…") || !strings.HasPrefix(got, "/") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%.10q… of %d bytes is %q", path, len(path), got)
		}
	}
}

func TestClientDetail(t *testing.T) {
	for _, c := range []struct{ address, prefix, whole string }{
		{"203.0.113.7", "203.0.113.0/24", "203.0.113.7"},
		{"::ffff:203.0.113.7", "203.0.113.0/24", "203.0.113.7"},
		{"2001:db8:1:2:3::4", "2001:db8:1::/48", "2001:db8:1:2:3::4"},
		{"fe80::1%eth0", "fe80::/48", "fe80::1"},
	} {
		a := netip.MustParseAddr(c.address)
		for d, want := range map[ClientDetail]string{TellPrefix: c.prefix, TellAddress: c.whole, TellNothing: ""} {
			if got := NewSubject(About{Client: d.Of(a)}).Client(); got != want {
				t.Errorf("%s as %d: %q, want %q", c.address, d, got, want)
			}
		}
	}
	if p := TellAddress.Of(netip.Addr{}); p.IsValid() {
		t.Errorf("no address is %s", p)
	}
}
