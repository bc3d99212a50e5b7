package script

import (
	"slices"
	"strings"
	"testing"
)

// echo answers each word of a command with a line.
func echo(command []string) []string { return slices.Clone(command) }

func TestPerform(t *testing.T) {
	const asExpected = "# Prose.\n# More.\n\na b\n----\njs> other\na\ngo> b\n\nc\n----\nc\n"
	if got := perform(asExpected, echo); got != asExpected {
		t.Errorf("a script that holds becomes\n%s", got)
	}
	differs := strings.Replace(asExpected, "go> b", "d", 1)
	const want = "# Prose.\n# More.\n\na b\n----\na\nb\n\nc\n----\nc\n"
	if got := perform(differs, echo); got != want {
		t.Errorf("a step that differs becomes\n%s", got)
	}
	if d := diff(differs, want); !strings.Contains(d, "want: js> other") {
		t.Errorf("the first difference is shown as\n%s", d)
	}
}
