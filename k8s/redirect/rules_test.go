package redirect

import (
	"slices"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		rules Rules
		ok    bool
	}{
		{Rules{From: 8080, To: 15801, Probe: 15804}, true},
		{Rules{From: 1, To: 65535, Probe: 2}, true},
		{Rules{To: 15801, Probe: 15804}, false},
		{Rules{From: 8080, Probe: 15804}, false},
		{Rules{From: 8080, To: 15801}, false},
		{Rules{From: 8080, To: 8080, Probe: 15804}, false},
		{Rules{From: 8080, To: 15801, Probe: 8080}, false},
		{Rules{From: 8080, To: 15801, Probe: 15801}, false},
		{Rules{}, false},
	} {
		if err := tt.rules.Check(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.rules, err)
		}
	}
}

func TestHops(t *testing.T) {
	got := Rules{From: 8080, To: 15801, Probe: 15804}.hops()
	want := []hop{{port: 8080, to: 15801}, {port: 15804, to: 8080}}
	if !slices.Equal(got, want) {
		t.Errorf("hops %v, want %v", got, want)
	}
}
