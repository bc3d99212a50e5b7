package seqwindow

import (
	"encoding/json"
	"os"
	"testing"
)

// TestSerialVectors reads the comparisons that every implementation must
// agree on (PROTOCOL §12).
func TestSerialVectors(t *testing.T) {
	b, err := os.ReadFile("../testdata/vectors/serial.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name string
		A, B Serial
		Less bool
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, tc := range cases {
		if got := Less(tc.A, tc.B); got != tc.Less {
			t.Errorf("%s: %v", tc.Name, got)
		}
	}
}
