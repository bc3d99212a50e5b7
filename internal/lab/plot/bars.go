package plot

import (
	"fmt"
	"html"
	"strings"

	"github.com/wsresilience/wsresilience/internal/lab/stats"
)

// Measures of a plot, in pixels.
const (
	plotWidth  = 860
	plotLeft   = 230 // where the bars begin
	plotRight  = 80  // for the numbers
	plotBar    = 16
	plotGap    = 5
	plotHead   = 34
	plotMargin = 16
)

// A Bar is a number with its spread.
type Bar struct {
	Label           string
	Value, Low, Top float64
	Ours            bool
}

// A Panel is a group of bars with a scale of its own, and a line at Mark.
type Panel struct {
	Title string
	Mark  float64
	Bars  []Bar
}

// Bars writes an SVG picture: a bar per row from nought to the value, with a thin
// line from the lowest round to the highest.
func Bars(panels []Panel) string {
	height := plotMargin
	for _, p := range panels {
		height += plotHead + len(p.Bars)*(plotBar+plotGap) + plotMargin
	}
	var b strings.Builder
	begin(&b, plotWidth, height, "bars")
	y := plotMargin
	for i := range panels {
		y = panels[i].draw(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw returns where the next panel begins.
func (p *Panel) draw(b *strings.Builder, y int) int {
	most := p.Mark
	for _, r := range p.Bars {
		most = max(most, r.Top, r.Value)
	}
	if most <= 0 {
		most = 1
	}
	at := func(v float64) float64 { return plotLeft + v/most*(plotWidth-plotLeft-plotRight) }
	fmt.Fprintf(b, `<text x="%d" y="%d" class="head">%s</text>`+"\n", plotMargin, y+plotHead/2, html.EscapeString(p.Title))
	y += plotHead
	top := y
	for _, r := range p.Bars {
		class := "other"
		if r.Ours {
			class = "ours"
		}
		middle := y + plotBar/2
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-8, middle+4, html.EscapeString(r.Label))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" class="%s"/>`+"\n", plotLeft, y, at(r.Value)-plotLeft, plotBar, class)
		if r.Top > 0 {
			fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="spread"/>`+"\n", at(r.Low), middle, at(r.Top), middle)
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", at(max(r.Value, r.Top))+6, middle+4, stats.Number(r.Value))
		y += plotBar + plotGap
	}
	if p.Mark > 0 {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%[1]f" y2="%[3]d" class="mark"/>`+"\n", at(p.Mark), top-4, y)
	}
	return y + plotMargin
}
