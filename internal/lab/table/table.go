// Package table lays tables out: for a terminal, for Markdown and for HTML.
package table

import (
	"html"
	"strings"
	"unicode/utf8"
)

// A Table has a head and rows of as many cells. The first column is words,
// the others are numbers.
type Table [][]string

// Lines lays the columns out.
func (t Table) Lines() []string {
	width := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var lines []string
	for _, row := range t {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + pad)
				continue
			}
			b.WriteString("  " + pad + cell)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// Markdown is the table in a document.
func (t Table) Markdown() string {
	var b strings.Builder
	for i, row := range t {
		cells := make([]string, len(row))
		for k, cell := range row {
			cells[k] = strings.NewReplacer("|", "\\|", "\n", " ").Replace(cell)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---" + strings.Repeat("|---:", len(row)-1) + "|\n")
		}
	}
	return b.String()
}

// HTML is the table in a page.
func (t Table) HTML() string {
	var b strings.Builder
	b.WriteString("<div class=\"wide\"><table>\n")
	for i, row := range t {
		tag := "td"
		if i == 0 {
			tag = "th"
		}
		b.WriteString("<tr>")
		for k, cell := range row {
			open := tag
			if k == 0 {
				open = "th scope=\"row\""
				if i == 0 {
					open = "th"
				}
			}
			b.WriteString("<" + open + ">" + html.EscapeString(cell) + "</" + open[:2] + ">")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table></div>\n")
	return b.String()
}
