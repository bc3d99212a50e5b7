package documented

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// A command is one that a page shows: its words, without quotes, and the settings
// before it.
type command struct {
	page     string
	words    []string
	settings []string // NAME=value
}

func (c command) String() string { return c.page + ": " + strings.Join(c.words, " ") }

var (
	fenced = regexp.MustCompile("(?ms)^ *```(sh|console|bash|shell)\n(.*?)^ *```")
	inline = regexp.MustCompile("`([^`\n]+)`")

	// ours begin a command in running text. Anything else there may be a mere name.
	ours = regexp.MustCompile(`^(sudo |[A-Z_]+=\S+ )*(\./|/|bin/)?(wsresilience-[a-z]+|make|helm|go run|go test|npm|packaging/\S+) `)
)

// pages are the texts that people read.
func pages(t *testing.T) (files []string) {
	t.Helper()
	for _, folder := range []string{"docs", "examples", "charts", "packaging"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") && !strings.Contains(name, "node_modules") {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "sdk/js/README.md", "internal/demo/page/index.html"} {
		files = append(files, filepath.Join(root, name))
	}
	return files
}

// extract finds the commands of a page: all in its blocks for a shell, and in its
// running text those that begin with a program of ours.
func extract(page, text string) (found []command) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "<pre tabindex=\"0\"><code>", "```sh\n"), "</code></pre>", "\n```\n") // of the demo's page
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		console := m[1] == "console"
		for line := range strings.SplitSeq(strings.ReplaceAll(m[2], "\\\n", " "), "\n") {
			line, prompted := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if console && !prompted {
				continue // what the command before it prints
			}
			found = append(found, split(page, line)...)
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		if ours.MatchString(m[1]) {
			found = append(found, split(page, m[1])...)
		}
	}
	return found
}

// split takes a line apart: into commands, at what joins them, and those into words.
func split(page, line string) (found []command) {
	var words []string
	end := func() {
		c := command{page: page}
		for i, word := range words {
			name, _, assigned := strings.Cut(word, "=")
			if !assigned || strings.ToUpper(name) != name || strings.HasPrefix(name, "-") {
				if word != "sudo" && word != "env" && word != "exec" {
					c.words = words[i:]
					break
				}
				continue
			}
			c.settings = append(c.settings, word)
		}
		if len(c.words) > 0 || len(c.settings) > 0 {
			found = append(found, c)
		}
		words = nil
	}
	var word strings.Builder
	var quote rune
	inWord := false
	finish := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == '#' && !inWord:
			finish()
			end()
			return found
		case r == '|' || r == ';' || r == '&' || r == '(' || r == ')':
			finish()
			end()
		case r == ' ' || r == '\t':
			finish()
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	finish()
	end()
	return found
}

// all are the commands of all pages.
func all(t *testing.T) (found []command) {
	t.Helper()
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, extract(strings.TrimPrefix(filepath.ToSlash(page), root+"/"), string(text))...)
	}
	return found
}

func TestExtract(t *testing.T) {
	const page = "text `make build` and `maker`, `wsresilience-sidecar`\n" +
		"```console\n$ WSR_A=1 sudo wsresilience-sidecar drain -timeout 3s | cat  # for now\nwhat it prints\n```\n" +
		"```sh\nhelm install x charts/y \\\n  --set 'a.b=c d'\n(cd z && npm ci)\n```\n" +
		"```yaml\nmake: nothing\n```\n"
	var got []string
	for _, c := range extract("p", page) {
		got = append(got, strings.Join(append(c.settings, c.words...), "|"))
	}
	want := []string{"WSR_A=1|wsresilience-sidecar|drain|-timeout|3s", "cat", "helm|install|x|charts/y|--set|a.b=c d", "cd|z", "npm|ci", "make|build"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
