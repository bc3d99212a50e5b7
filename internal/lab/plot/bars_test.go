package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
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

// A chart is well-formed whatever its values are, and shows none that are not
// there.
func TestChart(t *testing.T) {
	c := Chart{
		Title: "a < b", Unit: "ms", Log: true,
		Lines:  []Line{{Label: "x & y", Values: []float64{1, math.NaN(), 100, 1000}, Ours: true}, {Label: "none", Dashed: true}},
		Events: []Event{{From: 1, To: 2, Label: "cut <rst>"}},
	}
	for _, svg := range []string{c.SVG(), (&Chart{}).SVG()} {
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") || strings.Contains(svg, "%!") {
			t.Errorf("broken numbers in\n%s", svg)
		}
	}
	// The scale goes from 1 to 1000 ms, and a gap begins a new stroke.
	if svg := c.SVG(); !strings.Contains(svg, ">1000 ms<") || strings.Count(svg, "M") < 2 || !strings.Contains(svg, "cut &lt;rst&gt;") {
		t.Errorf("in\n%s", svg)
	}
}
