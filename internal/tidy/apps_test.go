package tidy

import (
	"strings"
	"testing"
)

// TestAppsPageNamesTests checks that each line of the page on what changes for an
// app names tests that exist, and that it says nothing beside its tables that
// would need one.
func TestAppsPageNamesTests(t *testing.T) {
	exists, rows := tests(t), 0
	_, sections, _ := strings.Cut(read(t, "docs/APPS.md"), "\n## ")
	for line := range strings.SplitSeq(sections, "\n") {
		switch {
		case line == "", strings.HasPrefix(line, "|---"), strings.HasPrefix(line, "| what |"), strings.HasPrefix(line, "## "), rows == 0 && !strings.HasPrefix(line, "|"):
			continue
		case !strings.HasPrefix(line, "|"):
			t.Errorf("a line outside of the tables: %s", line)
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		names := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(names) == 0 {
			t.Errorf("no test: %s", line)
		}
		for _, n := range names {
			if !exists[n[1]] {
				t.Errorf("there is no %s: %s", n[1], line)
			}
		}
	}
	if rows == 0 {
		t.Error("the page has no lines")
	}
}
