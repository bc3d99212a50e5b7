package tidy

import (
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/wsresilience/wsresilience/internal/agent"
	"github.com/wsresilience/wsresilience/internal/agent/settings"
	"github.com/wsresilience/wsresilience/internal/config"
	"github.com/wsresilience/wsresilience/internal/doctor/diagnosis"
	"github.com/wsresilience/wsresilience/observe"
)

var update = flag.Bool("update", false, "rewrite the generated tables")

// generated lists the tables that come from the code, and where they stand.
var generated = []struct {
	file, name string
	text       func() string
}{
	{"docs/CONFIG.md", "settings", config.Markdown},
	{"docs/AGENT.md", "settings", settings.Markdown},
	{"docs/AGENT.md", "metrics", agent.MetricsMarkdown},
	{"docs/METRICS.md", "metrics", observe.Markdown},
	{"docs/PROXIES.md", "symptoms", diagnosis.Markdown},
}

func TestGeneratedTables(t *testing.T) {
	for _, g := range generated {
		text := read(t, g.file)
		begin, end := "<!-- begin "+g.name+" -->\n", "<!-- end "+g.name+" -->\n"
		before, rest, ok := strings.Cut(text, begin)
		old, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Errorf("%s: no %q and %q", g.file, begin, end)
			continue
		}
		if old == g.text() {
			continue
		}
		if !*update {
			t.Errorf("%s: the table is not that of the code; make docs writes it", g.file)
			continue
		}
		if err := os.WriteFile(filepath.Join(root, g.file), []byte(before+begin+g.text()+end+after), 0o644); err != nil {
			t.Error(err)
		}
	}
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *#*$`)
)

// pages returns the Markdown files.
func pages(t *testing.T) []string {
	var list []string
	for _, file := range tree(t) {
		if strings.HasSuffix(file, ".md") {
			list = append(list, file)
		}
	}
	return list
}

func TestLinksResolve(t *testing.T) {
	checked := 0
	for _, page := range pages(t) {
		text := code.ReplaceAllString(fence.ReplaceAllString(read(t, page), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			checked++
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			switch {
			case !exists(file):
				t.Errorf("%s: link to %s, which does not exist", page, m[1])
			case anchor != "" && !anchors(read(t, file))[anchor]:
				t.Errorf("%s: link to %s, a heading that does not exist", page, m[1])
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d links were found", checked)
	}
}

// anchors lists the names that GitHub gives to the headings of a page.
func anchors(text string) map[string]bool {
	list := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		name := slug
		for i := 1; list[name]; i++ {
			name = fmt.Sprintf("%s-%d", slug, i)
		}
		list[name] = true
	}
	return list
}

var (
	setting = regexp.MustCompile(`\bWSR_[A-Z0-9]+(_[A-Z0-9]+)*\b`)
	metric  = regexp.MustCompile(`\bwsr_[a-z0-9]+(_[a-z0-9]+)*\b`)

	// streams and buckets of the journal look like settings and are none.
	stream = regexp.MustCompile(`^WSR_(LOG|LEASE|IDEM)(_[A-Z0-9]+)?$`)
)

// TestDocumentedNamesExist: a setting or metric that a page names is there.
func TestDocumentedNamesExist(t *testing.T) {
	documented, metrics := config.Markdown()+settings.Markdown(), observe.Markdown()+agent.MetricsMarkdown()+injectorMetrics(t)
	for _, page := range pages(t) {
		text := read(t, page)
		for _, name := range setting.FindAllString(text, -1) {
			if !strings.Contains(documented, "`"+name+"`") && !stream.MatchString(name) {
				t.Errorf("%s: there is no setting %s", page, name)
			}
		}
		for _, name := range metric.FindAllString(text, -1) {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !strings.Contains(metrics, "`"+name+"`") && !strings.Contains(metrics, "`"+base+"`") {
				t.Errorf("%s: there is no metric %s", page, name)
			}
		}
	}
}

// injectorMetrics lists the names that the injector's source registers.
func injectorMetrics(t *testing.T) string {
	var list strings.Builder
	for _, m := range regexp.MustCompile(`Name: "(wsr_injector_\w+)"`).FindAllStringSubmatch(read(t, "k8s/admission/metrics.go"), -1) {
		fmt.Fprintf(&list, "`%s`\n", m[1])
	}
	if list.Len() == 0 {
		t.Error("the injector has no metrics: did they move?")
	}
	return list.String()
}

func TestNoConflictIsLeft(t *testing.T) {
	for _, file := range tree(t) {
		for i, line := range strings.Split(read(t, file), "\n") {
			if strings.HasPrefix(line, "<<<<<<<"+" ") || strings.HasPrefix(line, ">>>>>>>"+" ") {
				t.Errorf("%s:%d: a merge is not finished", file, i+1)
			}
		}
	}
}

// private matches what says more about who wrote a file than about its
// subject: home and work folders, and package registries of a build machine.
var private = regexp.MustCompile(`(^|[\s"'(=:` + "`" + `])/(work|farm|root|home/\w+|Users/\w+)/` +
	`|\b(registry\.npmjs\.org|registry\.yarnpkg\.com|proxy\.golang\.org|sum\.golang\.org|goproxy\.\w+|artifactory|nexus\.)`)

func TestNoMachineIsNamed(t *testing.T) {
	for _, file := range tree(t) {
		if strings.HasPrefix(file, "internal/tidy/") {
			continue
		}
		text := read(t, file)
		if strings.ContainsRune(text, 0) {
			continue // not text
		}
		for i, line := range strings.Split(text, "\n") {
			if m := private.FindString(line); m != "" {
				t.Errorf("%s:%d names a machine: %q", file, i+1, m)
			}
		}
	}
}
