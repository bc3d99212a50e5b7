package formats

import "testing"

func TestWrite(t *testing.T) {
	for _, tc := range []struct {
		about  string
		own    Range
		others []Range
		want   uint8
	}{
		{"alone", Range{3, 4}, nil, 4},
		{"among its like", Range{3, 4}, []Range{{3, 4}, {3, 4}}, 4},
		{"with one of the release before", Range{3, 4}, []Range{{3, 4}, {2, 3}}, 3},
		{"of the release before, with the next", Range{2, 3}, []Range{{3, 4}}, 3},
		{"with one of two releases before", Range{3, 4}, []Range{{1, 2}}, 3},
		{"with a release that differs in something else", Range{3, 3}, []Range{{3, 3}}, 3},
		{"with two releases at once", Range{3, 5}, []Range{{2, 4}, {3, 5}, {1, 3}}, 3},
	} {
		if got := Write(tc.own, tc.others...); got != tc.want {
			t.Errorf("%s: writes %d, want %d", tc.about, got, tc.want)
		}
	}
}

func TestReads(t *testing.T) {
	r := Range{3, 4}
	for v, want := range map[uint8]bool{2: false, 3: true, 4: true, 5: false} {
		if r.Reads(v) != want {
			t.Errorf("reads %d: %v", v, !want)
		}
	}
}
