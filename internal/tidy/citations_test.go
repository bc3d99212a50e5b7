package tidy

import (
	"regexp"
	"strings"
	"testing"
)

// Texts that code cites, by the word it cites them with.
var citable = map[string]string{
	"PROTOCOL":     "docs/PROTOCOL.md",
	"DESIGN":       "docs/DESIGN.md",
	"ARCHITECTURE": "docs/ARCHITECTURE.md",
}

var (
	// citation is a text's name with one or more of its sections.
	citation = regexp.MustCompile(`\b(PROTOCOL|DESIGN|ARCHITECTURE) (§[0-9.]*[0-9](?:(?:, | and |, and | to )§[0-9.]*[0-9])*)`)
	section  = regexp.MustCompile(`§([0-9.]*[0-9])`)
	numbered = regexp.MustCompile(`(?m)^#{2,4} ([0-9.]*[0-9])\.? `)

	// row is the id of an attack or fault, as in W08.
	row        = regexp.MustCompile(`\b([HWUTCAENF][0-9]{2})\b[^=]`)
	documented = regexp.MustCompile(`(?m)^\| ([HWUTCAENF][0-9]{2}) \|`)

	invariant  = regexp.MustCompile(`\bI(?:[1-9]|1[0-9])\b`)
	invariants = regexp.MustCompile(`(?m)^\| (I[0-9]+) \|`)

	// elsewhere is what a reader of the repository cannot look up.
	elsewhere = regexp.MustCompile(`\b[Dd]esign sections? [0-9]|\bnotes, section [0-9]|(?:^|[^-a-z]) issues? [0-9]+\b|\(design\)|\bdesign §`)

	// wrapped joins a comment's lines, so that a citation may cross them.
	wrapped = regexp.MustCompile(`\n\s*(?://|\*|#)? ?`)
)

// set returns the first groups of all matches of re in the pages.
func set(t *testing.T, re *regexp.Regexp, files ...string) map[string]bool {
	found := map[string]bool{}
	for _, file := range files {
		for _, m := range re.FindAllStringSubmatch(read(t, file), -1) {
			found[m[1]] = true
		}
	}
	if len(found) == 0 {
		t.Errorf("nothing is numbered in %v: is the pattern right?", files)
	}
	return found
}

// TestCitationsResolve: what code, tests and pages cite stands in this
// repository.
func TestCitationsResolve(t *testing.T) {
	sections := map[string]map[string]bool{}
	for name, file := range citable {
		if name != "ARCHITECTURE" { // it has no numbers: citing one is a mistake
			sections[name] = set(t, numbered, file)
		}
	}
	rows := set(t, documented, "docs/ATTACKS.md")
	known := set(t, invariants, "docs/ARCHITECTURE.md")
	seen := map[string]int{}
	for _, file := range tree(t) {
		if !cites(file) {
			continue
		}
		text := wrapped.ReplaceAllString(read(t, file), " ")
		for _, m := range citation.FindAllStringSubmatch(text, -1) {
			for _, s := range section.FindAllStringSubmatch(m[2], -1) {
				seen["section"]++
				if !sections[m[1]][s[1]] {
					t.Errorf("%s cites %s §%s, which %s does not have", file, m[1], s[1], citable[m[1]])
				}
			}
		}
		if m := elsewhere.FindString(text); m != "" {
			t.Errorf("%s cites %q, which is not in the repository: cite docs/DESIGN.md or docs/PROTOCOL.md, or say the reason", file, m)
		}
		if !strings.HasSuffix(file, ".go") {
			continue
		}
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			seen["row"]++
			if !rows[m[1]] {
				t.Errorf("%s names row %s, which docs/ATTACKS.md does not have", file, m[1])
			}
		}
		for _, id := range invariant.FindAllString(text, -1) {
			seen["invariant"]++
			if !known[id] {
				t.Errorf("%s names invariant %s, which docs/ARCHITECTURE.md does not have", file, id)
			}
		}
	}
	for _, kind := range []string{"section", "row", "invariant"} {
		if seen[kind] < 20 {
			t.Errorf("only %d citations of a %s were found: is the pattern right?", seen[kind], kind)
		}
	}
}

// cites reports whether a file is text of ours in which citations are read.
func cites(file string) bool {
	if strings.HasPrefix(file, "internal/tidy/citations_test") || strings.Contains(file, "node_modules/") {
		return false
	}
	for _, ending := range []string{".go", ".ts", ".md"} {
		if strings.HasSuffix(file, ending) {
			return true
		}
	}
	return false
}
