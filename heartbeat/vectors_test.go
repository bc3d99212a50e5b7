package heartbeat

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// TestVectors reads the payloads that every implementation must agree on
// (PROTOCOL §12).
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("../testdata/vectors/heartbeat.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Bytes string
		Error       bool
		Fields      struct {
			Seq      uint32
			TSMillis string // a string, since JSON numbers end at 2^53
		}
	}
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, tc := range cases {
		t.Run(tc.Name, func(t *testing.T) {
			in, err := hex.DecodeString(tc.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ParsePayload(in)
			if tc.Error {
				if err == nil {
					t.Fatalf("accepted as %+v", p)
				}
				return
			}
			ts, terr := strconv.ParseUint(tc.Fields.TSMillis, 10, 64)
			if err != nil || terr != nil || p != (Payload{Seq: tc.Fields.Seq, TimeMillis: ts}) {
				t.Fatalf("decoded as %+v, %v, %v", p, err, terr)
			}
			if out := AppendPayload(nil, p); !bytes.Equal(out, in) {
				t.Fatalf("encoded again as % x", out)
			}
		})
	}
}
