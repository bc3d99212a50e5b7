package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Measures of a chart of lines, in pixels.
const (
	chartWidth  = 860
	chartHeight = 250
	chartLeft   = 64
	chartRight  = 16
	chartTop    = 58
	chartBottom = 30
)

// A Line is a row of values, one for each second. NaN is no value.
type Line struct {
	Label  string
	Values []float64
	Ours   bool
	Dashed bool
}

// An Event is a time in which something happened, in seconds.
type Event struct {
	From, To float64
	Label    string
}

// A Chart is lines over time. Its scale begins at 0, or with Log at the smallest
// power of ten.
type Chart struct {
	Title, Unit string
	Log         bool
	Lines       []Line
	Events      []Event
}

// SVG draws the chart.
func (c *Chart) SVG() string {
	var b strings.Builder
	begin(&b, chartWidth, chartHeight, html.EscapeString(c.Title))
	fmt.Fprintf(&b, `<text x="%d" y="18" class="head">%s</text>`+"\n", chartLeft, html.EscapeString(c.Title))
	seconds, low, high := c.extent()
	x := func(s float64) float64 { return chartLeft + s/seconds*(chartWidth-chartLeft-chartRight) }
	y := func(v float64) float64 {
		share := v / high
		if c.Log {
			share = math.Log(max(v, low)/low) / math.Log(high/low)
		}
		return chartHeight - chartBottom - share*(chartHeight-chartTop-chartBottom)
	}
	c.grid(&b, seconds, low, high, x, y)
	for i, e := range c.Events {
		to := max(x(min(e.To, seconds)), x(e.From)+1)
		fmt.Fprintf(&b, `<rect class="event" x="%.1f" y="%d" width="%.1f" height="%d"><title>%s</title></rect>`+"\n",
			x(e.From), chartTop, to-x(e.From), chartHeight-chartTop-chartBottom, html.EscapeString(e.Label))
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="9" text-anchor="middle">%d</text>`+"\n", x(e.From), chartTop-3, i+1)
	}
	at := float64(chartLeft)
	for i := range c.Lines {
		c.Lines[i].draw(&b, x, y)
		at = c.Lines[i].legend(&b, at)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// extent returns the length in seconds and the ends of the scale.
func (c *Chart) extent() (seconds, low, high float64) {
	seconds, low = 1, math.Inf(1)
	for _, l := range c.Lines {
		seconds = max(seconds, float64(len(l.Values)))
		for _, v := range l.Values {
			if !math.IsNaN(v) && v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		return seconds, 1, 10
	}
	if !c.Log {
		return seconds, 0, high * 1.05
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	return seconds, low, max(high, low*10)
}

// maxTicks is how many lines a grid has at most, or so.
const maxTicks = 10

func (c *Chart) grid(b *strings.Builder, seconds, low, high float64, x, y func(float64) float64) {
	var at []float64
	if c.Log {
		for v := low; v <= high*1.001; v *= 10 {
			at = append(at, v)
		}
	} else {
		for step, v := nice(high/4), 0.0; v <= high; v += step {
			at = append(at, v)
		}
	}
	for _, v := range at {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%[3]f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			chartLeft, chartWidth-chartRight, y(v), chartLeft-6, y(v)+4, strings.TrimSpace(fmt.Sprintf("%g %s", v, c.Unit)))
	}
	for step, s := max(1, nice(seconds/maxTicks)), 0.0; s <= seconds; s += step {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%d:%02d</text>`+"\n", x(s), chartHeight-10, int(s)/60, int(s)%60)
	}
}

// nice is a number near v that people count by.
func nice(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*power {
			return n * power
		}
	}
	return 10 * power
}

func (l *Line) class() string {
	class := "line other"
	if l.Ours {
		class = "line ours"
	}
	if l.Dashed {
		class += " dashed"
	}
	return class
}

func (l *Line) draw(b *strings.Builder, x, y func(float64) float64) {
	var path strings.Builder
	pen := "M"
	for i, v := range l.Values {
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, x(float64(i)+0.5), y(v))
		pen = "L"
	}
	if path.Len() > 0 {
		fmt.Fprintf(b, `<path class="%s" d="%s"/>`+"\n", l.class(), path.String())
	}
}

// legend returns where the next one begins.
func (l *Line) legend(b *strings.Builder, at float64) float64 {
	const stroke, letter = 22, 6.6
	fmt.Fprintf(b, `<path class="%s" d="M%.1f 32h%d"/><text x="%.1f" y="36" font-size="11">%s</text>`+"\n",
		l.class(), at, stroke, at+stroke+5, html.EscapeString(l.Label))
	return at + stroke + 20 + letter*float64(len([]rune(l.Label)))
}
