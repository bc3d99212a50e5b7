package graphql

import (
	"strings"
	"testing"
)

// FuzzOperation: any document ends.
func FuzzOperation(f *testing.F) {
	f.Add("query Q($a: [I!] = 1) @d(x: \"}\") { a } subscription S { b }", "S")
	f.Add("\"\"\" \\\"\"\" ", "")
	f.Fuzz(func(t *testing.T, document, name string) {
		if isSubscription(document, name) && !strings.Contains(document, "subscription") {
			t.Error("a subscription out of nothing")
		}
	})
}
