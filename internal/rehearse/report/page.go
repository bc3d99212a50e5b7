package report

import (
	"fmt"
	"html"
	"strings"
)

// pageStyle is that of the page: the reader's light or dark, and paper. It needs
// nothing from elsewhere.
const pageStyle = `
:root{color-scheme:light dark;--ground:#ffffff;--ink:#1c2126;--soft:#5b6670;--rule:#d7dce1;--good:#1f6f5c;--bad:#a93226;--band:#f4f6f8}
@media (prefers-color-scheme:dark){:root{--ground:#14181d;--ink:#e4e8ec;--soft:#9aa5b1;--rule:#38414b;--good:#4fb39b;--bad:#e07a6d;--band:#1b2127}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1060px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}
h2{font-size:19px;margin:36px 0 8px;padding-top:10px;border-top:1px solid var(--rule)}
p{max-width:76ch;margin:8px 0}
.when{color:var(--soft);margin:0 0 18px}
.verdict{font-size:18px;font-weight:600;padding:12px 16px;border-left:5px solid;background:var(--band);max-width:none}
.verdict.good{border-color:var(--good);color:var(--good)}.verdict.bad{border-color:var(--bad);color:var(--bad)}
.wide{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
td{white-space:nowrap}th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);text-align:right;vertical-align:top}
th{font-weight:600}th:first-child{text-align:left;font-weight:400;min-width:15em}tr:first-child th{font-weight:600;color:var(--soft)}
.words td{text-align:left;white-space:normal;overflow-wrap:anywhere}
td.pass{color:var(--good);font-weight:600}td.fail{color:var(--bad);font-weight:600}
svg.plot{display:block;max-width:100%;height:auto;margin:14px 0}
@media print{
:root{color-scheme:light;--ground:#ffffff;--ink:#000000;--soft:#444444;--rule:#bbbbbb;--good:#1f6f5c;--bad:#a93226;--band:#ffffff}
body{font-size:10.5pt}main{max-width:none;padding:0}table{font-size:9pt}.wide{overflow:visible}
h2{break-after:avoid}tr,svg.plot{break-inside:avoid}th,td{padding-right:7pt}
}
`

// HTML is the report as one page that needs no other file.
func (r *Run) HTML(former *Run) string {
	var b strings.Builder
	title := html.EscapeString(r.Title)
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%s</title>\n<style>%s</style>\n</head>\n<body><main>\n<h1>%[1]s</h1>\n", title, pageStyle)
	fmt.Fprintf(&b, "<p class=\"when\">%s, %s, %s</p>\n", html.EscapeString(r.Target), r.Began.UTC().Format("2 January 2006, 15:04 MST"), r.End.Round(1e9))
	class := "bad"
	if r.Met() {
		class = "good"
	}
	fmt.Fprintf(&b, "<p class=\"verdict %s\">%s</p>\n", class, html.EscapeString(r.Verdict()))
	for _, s := range r.document(former) {
		fmt.Fprintf(&b, "<h2>%s</h2>\n", html.EscapeString(s.title))
		for _, line := range s.about {
			if line != r.Verdict()+"." { // it stands above
				fmt.Fprintf(&b, "<p>%s</p>\n", html.EscapeString(line))
			}
		}
		for _, p := range s.plots {
			b.WriteString(p.svg)
		}
		if s.table == nil {
			continue
		}
		text := s.table.HTML()
		text = strings.ReplaceAll(text, "<td>PASS</td>", `<td class="pass">PASS</td>`)
		text = strings.ReplaceAll(text, "<td>FAIL</td>", `<td class="fail">FAIL</td>`)
		if s.words {
			text = `<div class="words">` + text + "</div>\n"
		}
		b.WriteString(text)
	}
	b.WriteString("</main></body>\n</html>\n")
	return b.String()
}
