package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The site is whole: each link of each page leads to a file of it, or to one of the
// repository that is there, and each page has a title, a summary and its text in the
// search.
func TestSite(t *testing.T) {
	const root = "../.."
	pages, err := build(root)
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	out := t.TempDir()
	if err := write(root, out, pages); err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`(?:href|src)="([^"#]+)`)
	for _, p := range pages {
		if p.Title == "" || p.Summary == "" || len(p.text) < 100 {
			t.Errorf("%s: title %q, summary %q, %d bytes of text", p.File, p.Title, p.Summary, len(p.text))
		}
		text, err := os.ReadFile(filepath.Join(out, p.URL))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			file := filepath.Join(out, filepath.Dir(p.URL), m[1])
			if rest, ours := strings.CutPrefix(m[1], source); ours {
				file = filepath.Join(root, rest)
			} else if strings.Contains(m[1], ":") {
				continue
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s leads nowhere", p.URL, m[1])
			}
		}
	}
	list, err := os.ReadFile(filepath.Join(out, "llms.txt"))
	if err != nil || strings.Count(string(list), "\n- [") != len(pages) || !strings.HasPrefix(string(list), "# wsresilience\n\n> ") {
		t.Errorf("llms.txt: %v\n%s", err, list)
	}
}

// Links lead where a reader of the repository would have gone.
func TestLinks(t *testing.T) {
	urls := map[string]string{"README.md": "index.html", "docs/A.md": "a.html", "docs/runbooks/B.md": "runbooks/b.html", "docs/runbooks/README.md": "runbooks/readme.html"}
	p, err := render("docs/runbooks/B.md", "# B\n\nSee [a](../A.md#x), [top](../../README.md), [all](../runbooks), [code](../../session/a.go), ![p](../images/p.png), [there](https://b.example/), [here](#y).", urls)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`href="../a.html#x"`, `href="../index.html"`, `href="../runbooks/readme.html"`, `href="` + source + `session/a.go"`, `src="../images/p.png"`, `href="https://b.example/"`, `href="#y"`} {
		if !strings.Contains(string(p.Body), want) {
			t.Errorf("no %s in %s", want, p.Body)
		}
	}
	if !strings.HasPrefix(p.Summary, "See a, top, all, code, ") {
		t.Errorf("summary %q", p.Summary)
	}
}
