package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wsresilience/wsresilience/internal/lab/table"
)

// The files of a report.
const (
	PageFile     = "report.html"
	markdownFile = "report.md"
	junitFile    = "junit.xml"
	RawFile      = "run.jsonl"
	rawRun       = "run" // what the first line is called
)

// Write writes all files of the report into a folder, which it makes.
func (r *Run) Write(dir string, former *Run) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	junit, err := r.JUnit()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	files := map[string]string{PageFile: r.HTML(former), markdownFile: r.Markdown(former), junitFile: junit, RawFile: r.raw()}
	for _, s := range r.document(former) {
		for _, p := range s.plots {
			files[p.file] = p.svg
		}
	}
	var errs []error
	for name, text := range files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return errors.Join(errs...)
}

// raw is everything, a line of JSON each: the run, then its seconds, then
// what did not go as it should.
func (r *Run) raw() string {
	var b strings.Builder
	put := func(kind string, v any) {
		line, err := json.Marshal(map[string]any{kind: v})
		if err != nil { // NaN or so, which nothing here makes
			line = []byte(fmt.Sprintf("{%q:%q}", "error", err))
		}
		b.Write(append(line, '\n'))
	}
	whole := *r
	whole.Series, whole.Oddities = nil, nil
	put(rawRun, whole)
	for i := range r.Series {
		for k := range r.Series[i] {
			put(r.Sides[i].Side, &r.Series[i][k])
		}
	}
	for i := range r.Oddities {
		for k := range r.Oddities[i] {
			put(r.Sides[i].Side+" client", &r.Oddities[i][k])
		}
	}
	return b.String()
}

// Read reads a former run from its folder. Only its first line is.
func Read(dir string) (*Run, error) {
	text, err := os.ReadFile(filepath.Join(dir, RawFile))
	if err != nil {
		return nil, fmt.Errorf("report: a former run: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	var line map[string]*Run
	if err := json.Unmarshal([]byte(first), &line); err != nil || line[rawRun] == nil {
		return nil, fmt.Errorf("report: %s is not the %s of a rehearsal", dir, RawFile)
	}
	return line[rawRun], nil
}

// Summary is what a terminal shows at the end.
func (r *Run) Summary() string {
	var b strings.Builder
	for _, t := range []table.Table{r.sidesSection().table, r.baselineSection().table, r.verdictSection().table} {
		for _, line := range t.Lines() {
			b.WriteString(line + "\n")
		}
		b.WriteString("\n")
	}
	b.WriteString(r.Verdict() + "\n")
	return b.String()
}
