package config

import (
	"fmt"
	"strings"
)

// maxShown bounds how much of a bad value is printed: enough to recognise it.
const maxShown = 64

// A Problem is one thing that is wrong with the settings. It holds no secret.
type Problem struct {
	Names   []string // the variables, more than one where they contradict each other
	Given   string   // as given, masked and shortened; empty if nothing was
	Where   string   // in which line of the config file; empty: in the environment
	Why     string
	Allowed string // what would have been accepted; may be empty
}

// Error implements error, on one line.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(strings.Join(p.Names, ", "))
	if p.Given != "" {
		b.WriteString("=" + p.Given)
	}
	if p.Where != "" {
		b.WriteString(" (" + p.Where + ")")
	}
	b.WriteString(": " + p.Why)
	if p.Allowed != "" {
		b.WriteString("; allowed: " + p.Allowed)
	}
	return b.String()
}

// Problems is all that is wrong with the settings.
type Problems []Problem

// Error implements error, with one line for each problem below a first line.
func (ps Problems) Error() string {
	var b strings.Builder
	if len(ps) == 1 {
		b.WriteString("config: one setting is wrong:")
	} else {
		fmt.Fprintf(&b, "config: %d settings are wrong:", len(ps))
	}
	for _, p := range ps {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

// maskURL hides credentials in what is, or may have been meant as, one URL or
// several: everything before the last @, since a password may hold any sign.
func maskURL(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return masked + s[i:]
	}
	return s
}

// show prepares a given value for print.
func show(value string, secret bool) string {
	if secret {
		return fmt.Sprintf("%s (%d bytes)", masked, len(value))
	}
	value = maskURL(value)
	if len(value) > maxShown {
		return fmt.Sprintf("%q... (%d bytes)", value[:maxShown], len(value))
	}
	return fmt.Sprintf("%q", value)
}

// nearest returns the candidate that is most like name, or "" if none is
// close enough to be a typing error: a quarter of its letters may differ.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)/4+1
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is how many letters must be inserted, deleted or replaced to make
// b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
