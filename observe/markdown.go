package observe

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown returns the table of our metrics for docs/METRICS.md. It is made
// from what a scrape shows, so it cannot leave one out.
func Markdown() string {
	families, err := New().registry.Gather()
	if err != nil {
		panic("observe: metrics contradict each other: " + err.Error())
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "wsr_") {
			continue
		}
		var order []string
		values := map[string][]string{}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				name := label.GetName()
				if values[name] == nil {
					order = append(order, name)
				}
				if v := label.GetValue(); v != "" && !slices.Contains(values[name], v) {
					values[name] = append(values[name], v)
				}
			}
		}
		var labels []string
		for _, name := range order {
			text := "`" + name + "`"
			if family.GetName() != "wsr_build_info" { // its values are this build's
				text += ": " + strings.Join(values[name], ", ")
			}
			labels = append(labels, text)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", family.GetName(),
			strings.ToLower(family.GetType().String()), strings.Join(labels, "; "), family.GetHelp())
	}
	return b.String()
}
