package rehearse

import (
	"math"
	"testing"
)

// What a span took is the difference of two readings; a histogram that is no time,
// or a time that nobody waits for, is none.
func TestSlowest(t *testing.T) {
	read := func(text string) map[string]*histogram {
		all := map[string]*histogram{}
		parseHistograms([]byte(text), all)
		return all
	}
	before := read(`# TYPE a_seconds histogram
a_seconds_bucket{how="x",le="1"} 1
a_seconds_bucket{how="x",le="+Inf"} 1
a_seconds_sum{how="x"} 0.5
a_seconds_count{how="x"} 1
`)
	after := read(`a_seconds_bucket{how="x",le="1"} 3
a_seconds_bucket{how="x",le="3"} 5
a_seconds_bucket{how="x",le="+Inf"} 5
a_seconds_sum{how="x"} 5.5
a_seconds_count{how="x"} 5
b_seconds_sum 0.1
b_seconds_count 10
c_bytes_sum 900
c_bytes_count 1
d_age_seconds_sum 900
d_age_seconds_count 1
idle_seconds_sum 0
idle_seconds_count 0
broken
`)
	got := slowest(before, after)
	if len(got) != 2 || got[0].Name != `a_seconds{how="x"}` || got[0].Count != 4 || got[0].Mean != 1250 || got[1].Name != "b_seconds" || got[1].Mean != 10 {
		t.Fatalf("%+v", got)
	}
	if want := 750.0; math.Abs(got[0].Deviation-want) > 1 { // two at 0.5 s, two at 2 s
		t.Errorf("deviation %v, want about %v", got[0].Deviation, want)
	}
}
