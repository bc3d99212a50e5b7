package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// A plot is well-formed whatever the labels, and as wide as its numbers are.
func TestPlot(t *testing.T) {
	svg := Bars([]Panel{
		{Title: "a < b & c", Mark: 1, Bars: []Bar{
			{Label: "half", Value: 0.5, Low: 0.4, Top: 0.6},
			{Label: "twice", Value: 2, Low: 1, Top: 2, Ours: true},
		}},
		{Title: "nothing", Bars: []Bar{{Label: "zero"}}},
	})
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
	for _, want := range []string{
		"a &lt; b &amp; c",
		`width="550.0" height="16" class="ours"`,  // the longest takes all the room
		`width="137.5" height="16" class="other"`, // and a quarter of it
		`x1="340.0"`, // lowest of "half": 230 + 550/5
		`x1="505.0"`, // the mark
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "%!") {
		t.Errorf("broken numbers in\n%s", svg)
	}
}
