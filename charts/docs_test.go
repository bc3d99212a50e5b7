package charts

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// valueName is how a page names a value of the chart.
var valueName = regexp.MustCompile("[`= ]((?:image|injector|monitoring|nats|networkPolicy|policy|secrets|sidecar|webhook|certificates)(?:\\.[a-zA-Z]+)+)")

// TestDocumentedValuesExist: a value of the chart that a page names is there.
func TestDocumentedValuesExist(t *testing.T) {
	var known []string
	for _, s := range settings(t) {
		known = append(known, s.key)
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	runbooks, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(append(pages, runbooks...), "wsresilience/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range valueName.FindAllStringSubmatch(string(text), -1) {
			name := m[1]
			if name == "image.tar" {
				continue // a file
			}
			there := func(k string) bool {
				return k == name || strings.HasPrefix(k, name+".") || strings.HasPrefix(name, k+".") // a part of it, or inside of a map
			}
			if found++; !slices.ContainsFunc(known, there) {
				t.Errorf("%s: the chart has no value %s", page, name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d values are named", found)
	}
}
