package measure

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A callCount is how often a system call was made.
type callCount struct {
	name  string
	calls int
}

// ParseStrace reads the table of strace -c, the most frequent call first.
func ParseStrace(text []byte) ([]callCount, error) {
	var counts []callCount
	for line := range bytes.Lines(text) {
		// "% time seconds usecs/call calls [errors] syscall"
		f := strings.Fields(string(line))
		if len(f) < 5 || len(f) > 6 || f[len(f)-1] == "total" || f[len(f)-1] == "syscall" || strings.HasPrefix(f[0], "-") {
			continue
		}
		n, err := strconv.Atoi(f[3])
		if err != nil || n < 0 {
			return nil, fmt.Errorf("measure: strace line %q: no number of calls", line)
		}
		counts = append(counts, callCount{f[len(f)-1], n})
	}
	slices.SortStableFunc(counts, func(a, b callCount) int { return cmp.Compare(b.calls, a.calls) })
	return counts, nil
}

// PerMessage writes the counts divided by the messages; what is rarer than one
// in a thousand is left out.
func PerMessage(counts []callCount, n int) string {
	var parts []string
	for _, c := range counts {
		if each := float64(c.calls) / float64(n); each >= 0.001 {
			parts = append(parts, fmt.Sprintf("%s %.3f", c.name, each))
		}
	}
	return strings.Join(parts, ", ")
}
