package charts

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/k8s"
)

var update = flag.Bool("update", false, "rewrite the table of values in the chart's README")

// A setting is one row of the README: a key of values.yaml that has a value.
type setting struct{ key, value, comment string }

// settings reads values.yaml by its lines, since its comments matter. It knows
// mappings that are indented by two spaces and values of one line, and wants a comment on each key.
func settings(t *testing.T) (list []setting) {
	t.Helper()
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var path, comment []string
	for n, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		depth := (len(line) - len(trimmed)) / 2
		if trimmed == "" {
			comment = nil
			continue
		}
		if c, ok := strings.CutPrefix(trimmed, "# "); ok {
			comment = append(comment, c)
			continue
		}
		key, value, ok := strings.Cut(trimmed, ":")
		if !ok || depth > len(path) {
			t.Fatalf("values.yaml:%d: %q", n+1, line)
		}
		path = append(path[:depth:depth], key)
		whole := strings.Join(path, ".")
		value = strings.TrimSpace(value)
		if len(comment) == 0 {
			t.Errorf("values.yaml:%d: %s has no comment", n+1, whole)
		}
		if value != "" {
			list = append(list, setting{whole, value, strings.Join(comment, " ")})
		}
		comment = nil
	}
	return list
}

// TestReadme: the table of values is that of values.yaml.
func TestReadme(t *testing.T) {
	rows := settings(t)
	if len(rows) < 50 {
		t.Fatalf("only %d values were found", len(rows))
	}
	var table strings.Builder
	table.WriteString("| value | default | |\n|---|---|---|\n")
	for _, row := range rows {
		value := "`" + row.value + "`"
		if row.value == `""` {
			value = ""
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", row.key, value, strings.ReplaceAll(row.comment, "|", `\|`))
	}
	const begin, end = "<!-- begin values -->\n", "<!-- end values -->\n"
	file := chart + "/README.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the values", file)
	}
	if old == table.String() {
		return
	}
	if !*update {
		t.Fatalf("%s is not what values.yaml says: go test ./charts -run Readme -update", file)
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDefaultResourcesAreTold: the comment says what the injector does where
// nothing is set.
func TestDefaultResourcesAreTold(t *testing.T) {
	r := k8s.DefaultResources()
	want := fmt.Sprintf("Default: %v and %v requested, %v allowed.", r.Requests.Cpu(), r.Requests.Memory(), r.Limits.Memory())
	for _, row := range settings(t) {
		if row.key == "sidecar.resources" && !strings.Contains(row.comment, want) {
			t.Errorf("%s: %q, want %q", row.key, row.comment, want)
		}
	}
}
