package instance

import "testing"

func TestNames(t *testing.T) {
	for _, address := range []string{"10.0.0.1:15801", "[fe80::1%eth0]:15801", "pod-0.app:1", ""} {
		a, b := New(address), New(address)
		if a == b || Address(a) != address || len(a) != len(address)+Overhead {
			t.Errorf("%q and %q, at %q", a, b, Address(a))
		}
	}
	self := New("10.0.0.1:15801")
	for name, want := range map[string]bool{
		self: false, New("10.0.0.1:15801"): true, "10.0.0.1:15801": true,
		New("10.0.0.2:15801"): false, "": false,
	} {
		if Others(name, self) != want {
			t.Errorf("%q beside %q: %v", name, self, !want)
		}
	}
}
