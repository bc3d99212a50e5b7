package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)

// named finds the tests that a page names.
var named = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")

// tests returns the names of all tests.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	exists := make(map[string]bool)
	for _, name := range tree(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, f := range declared.FindAllStringSubmatch(read(t, name), -1) {
			exists[f[1]] = true
		}
	}
	return exists
}

// TestThreatModelNamesTests checks that each line of the threat model names
// tests that exist, or says that it is not defended.
func TestThreatModelNamesTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| who | is trusted with | cannot | shown by |")
	if !found {
		t.Fatal("SECURITY.md has no table of the threat model")
	}
	exists := tests(t)
	rows := 0
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		shown := cells[len(cells)-1]
		names := named.FindAllStringSubmatch(shown, -1)
		if len(names) == 0 && strings.TrimSpace(shown) != "not defended" {
			t.Errorf("no test: %s", line)
		}
		for _, n := range names {
			if !exists[n[1]] {
				t.Errorf("there is no %s: %s", n[1], line)
			}
		}
	}
	if rows == 0 {
		t.Error("the threat model has no rows")
	}
}
