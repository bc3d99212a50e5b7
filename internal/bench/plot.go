package main

import (
	"fmt"
	"html"
	"strings"
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

// A bar is a number with its spread.
type bar struct {
	label           string
	value, low, top float64
	ours            bool
}

// A panel is a group of bars with a scale of its own, and a line at mark.
type panel struct {
	title string
	mark  float64
	bars  []bar
}

// drawPanels writes an SVG picture: a bar per row from nought to the median,
// with a thin line from the lowest round to the highest.
func drawPanels(panels []panel) string {
	height := plotMargin
	for _, p := range panels {
		height += plotHead + len(p.bars)*(plotBar+plotGap) + plotMargin
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	y := plotMargin
	for i := range panels {
		y = panels[i].draw(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw returns where the next panel begins.
func (p *panel) draw(b *strings.Builder, y int) int {
	most := p.mark
	for _, r := range p.bars {
		most = max(most, r.top, r.value)
	}
	if most <= 0 {
		most = 1
	}
	at := func(v float64) float64 { return plotLeft + v/most*(plotWidth-plotLeft-plotRight) }
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold" fill="#222222">%s</text>`+"\n", plotMargin, y+plotHead/2, html.EscapeString(p.title))
	y += plotHead
	top := y
	for _, r := range p.bars {
		fill := "#9aa5b1"
		if r.ours {
			fill = "#2f7d6b"
		}
		middle := y + plotBar/2
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#222222">%s</text>`+"\n", plotLeft-8, middle+4, html.EscapeString(r.label))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", plotLeft, y, at(r.value)-plotLeft, plotBar, fill)
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#222222"/>`+"\n", at(r.low), middle, at(r.top), middle)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" fill="#222222">%s</text>`+"\n", at(max(r.value, r.top))+6, middle+4, number(r.value))
		y += plotBar + plotGap
	}
	if p.mark > 0 {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%[1]f" y2="%[3]d" stroke="#b03a2e" stroke-dasharray="4 3"/>`+"\n", at(p.mark), top-4, y)
	}
	return y + plotMargin
}
