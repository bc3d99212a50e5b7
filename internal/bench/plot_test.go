package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// A plot is well-formed whatever the labels, and as wide as its numbers are.
func TestPlot(t *testing.T) {
	svg := drawPanels([]panel{
		{title: "a < b & c", mark: 1, bars: []bar{
			{label: "half", value: 0.5, low: 0.4, top: 0.6},
			{label: "twice", value: 2, low: 1, top: 2, ours: true},
		}},
		{title: "nothing", bars: []bar{{label: "zero"}}},
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
		`width="550.0" height="16" fill="#2f7d6b"`, // the longest takes all the room
		`width="137.5" height="16" fill="#9aa5b1"`, // and a quarter of it
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
