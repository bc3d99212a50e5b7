package report

import (
	"fmt"
	"strings"
)

// Markdown is the report as a document; its pictures are files beside it.
func (r *Run) Markdown(former *Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", r.Title)
	for _, s := range r.document(former) {
		fmt.Fprintf(&b, "\n## %s\n", s.title)
		for _, line := range s.about {
			fmt.Fprintf(&b, "\n%s\n", line)
		}
		for _, p := range s.plots {
			fmt.Fprintf(&b, "\n![%s](%s)\n", p.about, p.file)
		}
		if s.table != nil {
			b.WriteString("\n" + s.table.Markdown())
		}
	}
	return b.String()
}
