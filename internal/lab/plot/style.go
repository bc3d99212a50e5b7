// Package plot draws pictures of measurements as SVG, for light and for dark
// surroundings and for paper.
package plot

import (
	"fmt"
	"strings"
)

const light = "--ground:#ffffff;--ink:#222222;--faint:#d7dce1;--other:#9aa5b1;--ours:#2f7d6b;--mark:#b03a2e;--extra:#b7791f;--shade:#b03a2e14"

const dark = "--ground:#14181d;--ink:#e4e8ec;--faint:#38414b;--other:#8b97a4;--ours:#4fb39b;--mark:#e07a6d;--extra:#e0a94a;--shade:#e07a6d22"

// Style is what the pictures look like. Each has it, so that it can stand alone.
const Style = "<style>.plot{" + light + "}" +
	"@media (prefers-color-scheme:dark){.plot{" + dark + "}}" +
	"@media print{.plot{" + light + "}}" +
	".plot .ground{fill:var(--ground)}.plot text{fill:var(--ink)}.plot .head{font-weight:bold}" +
	".plot .other{fill:var(--other)}.plot .ours{fill:var(--ours)}" +
	".plot .spread{stroke:var(--ink)}.plot .grid{stroke:var(--faint)}.plot .mark{stroke:var(--mark);stroke-dasharray:4 3}" +
	".plot .event{fill:var(--shade);stroke:var(--mark);stroke-width:.5}" +
	".plot .line{fill:none;stroke-width:1.6;stroke-linejoin:round}" +
	".plot .line.ours{stroke:var(--ours);fill:none}.plot .line.other{stroke:var(--other);fill:none}" +
	".plot .dashed{stroke-dasharray:5 3}</style>"

// begin writes the head of a picture.
func begin(b *strings.Builder, width, height int, about string) {
	fmt.Fprintf(b, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s" width="%d" height="%d" viewBox="0 0 %[2]d %[3]d" font-family="sans-serif" font-size="12">`+"\n", about, width, height)
	b.WriteString(Style + "\n")
	fmt.Fprintf(b, `<rect class="ground" width="%d" height="%d"/>`+"\n", width, height)
}
