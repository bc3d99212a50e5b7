// Command site makes a website of README and docs: pages with a menu and a search
// that needs no server, and llms.txt for programs that read. It is a module of its
// own, so that nobody who uses the sidecar has what it needs.
package main

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"flag"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
)

// source is where files lie that the site has no page for.
const source = "https://github.com/wsresilience/wsresilience/blob/main/"

//go:embed page.html style.css search.js
var assets embed.FS

// A page is one of the site's.
type page struct {
	File, URL, Title, Summary string // File is relative to the repository, URL to the site
	Body                      template.HTML
	text                      string // for the search
}

func main() {
	root := flag.String("root", ".", "`folder` of the repository")
	out := flag.String("out", "dist/site", "`folder` that the site is written to")
	flag.Parse()
	pages, err := build(*root)
	if err == nil {
		err = write(*root, *out, pages)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "site: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("%d pages in %s\n", len(pages), *out)
}

// build renders all pages: the README, the changelog, and what is in docs.
func build(root string) (pages []*page, err error) {
	files := []string{"README.md", "CHANGELOG.md", "examples/README.md"}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") {
			var rel string
			rel, err = filepath.Rel(root, name)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	urls := map[string]string{}
	for _, f := range files {
		urls[f] = urlOf(f)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f)))
		if err != nil {
			return nil, err
		}
		p, err := render(f, string(text), urls)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		pages = append(pages, p)
	}
	slices.SortFunc(pages, func(a, b *page) int { return cmp.Or(rank(a.File)-rank(b.File), strings.Compare(a.File, b.File)) })
	return pages, nil
}

// first are the pages that a reader begins with.
var first = []string{"README.md", "docs/HOW.md", "docs/INSTALL.md", "docs/KUBERNETES.md", "docs/PAGES.md", "docs/JAVASCRIPT.md", "examples/README.md", "docs/COMPARISON.md", "docs/FAQ.md"}

func rank(file string) int {
	if i := slices.Index(first, file); i >= 0 {
		return i
	}
	return len(first)
}

// urlOf is where a page of the site is: a file beside its fellows, so that it works
// from a disk too.
func urlOf(file string) string {
	switch file {
	case "README.md":
		return "index.html"
	case "CHANGELOG.md":
		return "changelog.html"
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(file, "docs/"), ".md")) + ".html"
}

var (
	markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()), goldmark.WithRendererOptions(html.WithUnsafe()))
	link     = regexp.MustCompile(`(href|src)="([^"#:]*)(#[^"]*)?"`)
	tags     = regexp.MustCompile(`<[^>]*>`)
	spaces   = regexp.MustCompile(`\s+`)
	number   = regexp.MustCompile(`^\d+\. `) // of a list
	picture  = regexp.MustCompile(`\.(png|svg|jpg)$`)
)

// render makes a page of Markdown, and has its links lead to pages of the site,
// pictures of the site, or files of the repository.
func render(file, text string, urls map[string]string) (*page, error) {
	var b bytes.Buffer
	if err := markdown.Convert([]byte(text), &b); err != nil {
		return nil, err
	}
	p := &page{File: file, URL: urls[file]}
	up := strings.Repeat("../", strings.Count(p.URL, "/"))
	body := link.ReplaceAllStringFunc(b.String(), func(found string) string {
		m := link.FindStringSubmatch(found)
		to := path.Join(path.Dir(file), m[2])
		switch {
		case m[2] == "":
			return found
		case urls[to] != "":
			return fmt.Sprintf(`%s="%s%s%s"`, m[1], up, urls[to], m[3])
		case urls[to+"/README.md"] != "":
			return fmt.Sprintf(`%s="%s%s%s"`, m[1], up, urls[to+"/README.md"], m[3])
		case picture.MatchString(to):
			return fmt.Sprintf(`%s="%simages/%s"`, m[1], up, path.Base(to))
		}
		return fmt.Sprintf(`%s="%s%s%s"`, m[1], source, to, m[3])
	})
	p.Body = template.HTML(body)
	p.text = strings.TrimSpace(spaces.ReplaceAllString(tags.ReplaceAllString(body, " "), " "))
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if title, ok := strings.CutPrefix(line, "# "); ok && p.Title == "" {
			p.Title = strings.ReplaceAll(title, "`", "")
		} else if p.Title != "" && line != "" && !fenced && !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "!") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "<") {
			p.Summary, _, _ = strings.Cut(plain(number.ReplaceAllString(line, "")), ". ")
			p.Summary = strings.TrimSuffix(p.Summary, ".")
			break
		}
	}
	if p.Title == "" {
		p.Title = strings.TrimSuffix(path.Base(file), ".md")
	}
	return p, nil
}

var mdLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// plain is a line of Markdown without its marks.
func plain(line string) string {
	return strings.NewReplacer("**", "", "`", "").Replace(mdLink.ReplaceAllString(line, "$1"))
}

// write writes the site.
func write(root, out string, pages []*page) error {
	shell, err := template.ParseFS(assets, "page.html")
	if err != nil {
		return err
	}
	files := map[string][]byte{"llms.txt": []byte(llms(pages))}
	type entry struct{ URL, Title, Text string }
	var index []entry
	for _, p := range pages {
		var b bytes.Buffer
		data := map[string]any{"Page": p, "Pages": pages, "Up": strings.Repeat("../", strings.Count(p.URL, "/"))}
		if err := shell.Execute(&b, data); err != nil {
			return err
		}
		files[p.URL] = b.Bytes()
		index = append(index, entry{p.URL, p.Title, p.text})
	}
	list, err := json.Marshal(index)
	if err != nil {
		return err
	}
	files["search-index.js"] = append([]byte("window.searchIndex = "), append(list, ';', '\n')...)
	for _, name := range []string{"style.css", "search.js"} {
		if files[name], err = assets.ReadFile(name); err != nil {
			return err
		}
	}
	images, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.[ps][nv]g"))
	if err != nil {
		return err
	}
	deeper, _ := filepath.Glob(filepath.Join(root, "docs", "*", "*", "*.[ps][nv]g")) // the pattern is good
	for _, name := range append(images, deeper...) {
		if files["images/"+filepath.Base(name)], err = os.ReadFile(name); err != nil {
			return err
		}
	}
	for name, content := range files {
		file := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// llms lists the pages as https://llmstxt.org has it.
func llms(pages []*page) string {
	var b strings.Builder
	b.WriteString("# wsresilience\n\n> " + pages[0].Summary + ".\n\n## Docs\n\n")
	for _, p := range pages {
		fmt.Fprintf(&b, "- [%s](%s%s): %s\n", p.Title, source, p.File, p.Summary)
	}
	return b.String()
}
