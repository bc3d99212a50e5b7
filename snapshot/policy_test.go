package snapshot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wsresilience/wsresilience/snapshot"
	"github.com/wsresilience/wsresilience/snapshot/presets"
	"github.com/wsresilience/wsresilience/snapshot/snapshottest"
)

func TestPolicyErrors(t *testing.T) {
	const sel = `"select":{"pointer":"/t","equals":"s"}`
	for _, c := range []struct{ rules, protocols, want string }{
		{`{`, "", "rules: unexpected EOF"},
		{`{"rules":[]}`, "", `0 in "rules", want 1 to 64`},
		{`{"rules":[{"path":"/a",` + sel + `}]} x`, "", "something follows"},
		{`{"rules":[{"path":"/a",` + sel + `,"keys":""}]}`, "", `unknown field "keys"`},
		{`{"rules":[{"path":"/a"}]}`, "", `rule 1: no "select"`},
		{`{"rules":[{"path":"a",` + sel + `}]}`, "", `rule 1: path "a": does not start with /`},
		{`{"rules":[{"path":"/a*b",` + sel + `}]}`, "", `path "/a*b": has a *`},
		{`{"rules":[{"path":"/a",` + sel + `},{"path":"/a",` + sel + `,"ttl":"1m"}]}`, "", "rule 2: has path, select and key of rule 1"},
		{`{"rules":[{"path":"/a","request":{"regexp":"^Q"},"key":"/id"}]}`, "", `"request" and "reply" go together`},
		{`{"rules":[{"path":"/a","reply":{"regexp":"^Q"},"key":"/id"}]}`, "", `"request" and "reply" go together`},
		{`{"rules":[{"path":"/a",` + sel + `,"request":{"regexp":"a"},"reply":{"regexp":"b"},"key":"/id"}]}`, "", `goes with "path", "reply" and "key" only`},
		{`{"rules":[{"path":"/a","request":{"regexp":"a"},"reply":{"regexp":"b (.)"}}]}`, "", "which reply answers which request"},
		{`{"rules":[{"path":"/a","request":{"regexp":"("},"reply":{"regexp":"b"},"key":"/id"}]}`, "", "request: regexp"},
		{`{"rules":[{"path":"/a","request":{"regexp":"a"},"reply":{"pointer":"/b"},"key":"/id"}]}`, "", "reply: want either"},
		{`{"rules":[{"path":"a","request":{"regexp":"a"},"reply":{"regexp":"b"},"key":"/id"}]}`, "", "path"},
		{`{"rules":[{"path":"/a",` + sel + `,"ttl":"1"}]}`, "", `ttl "1": not a duration`},
		{`{"rules":[{"path":"/a",` + sel + `,"merge":"x"}]}`, "", `merge "x": not last-write-wins or conflict-free`},
		{`{"rules":[{"path":"/a",` + sel + `,"key":"c"}]}`, "", `key "c": not an RFC 6901 pointer`},
		{`{"rules":[{"path":"/a",` + sel + `,"drop":{"regexp":"("}}]}`, "", "drop: regexp \"(\": error parsing"},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t"}}]}`, "", `want either "pointer" and "equals", or "regexp"`},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t~2","equals":1}}]}`, "", `pointer "/t~2"`},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":[]}}]}`, "", "0 values"},
		{`{"rules":[{"path":"/a","select":{"pointer":"/t","equals":[{}]}}]}`, "", "{} is an object or a list"},
		{`{"rules":[{"path":"/a","select":{"regexp":"` + strings.Repeat("a", snapshot.MaxRegexp+1) + `"}}]}`, "", "regexp of 513 bytes"},
		{"", "http", `protocol "http": not one of auto, off, actioncable, centrifuge, graphql-transport-ws, `},
		{"", "/a=phoenix,stomp", `protocol "stomp": want path=protocol`},
		{"", "a=phoenix", `path "a": does not start with /`},
	} {
		_, err := snapshot.New([]byte(c.rules), c.protocols, time.Minute, presets.All())
		if err == nil || !strings.HasPrefix(err.Error(), "snapshot: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%s, %s): %v, want %s", c.rules, c.protocols, err, c.want)
		}
	}
}

func TestPolicyCovers(t *testing.T) {
	g := snapshottest.Policy(t, `{"rules":[{"path":"/chat/*","select":{"pointer":"/t","equals":"s"}}]}`, "/graphql=graphql-transport-ws, /p/=phoenix,/p/x=actioncable", presets.All()...)
	for path, preset := range map[string]string{
		"/chat/": "", "/chat/a/b": "", "/graphql": "graphql-transport-ws", "/p/x": "phoenix",
	} {
		if k := g.Tracker(path); k == nil || !k.Covers() || k.Protocol() != preset {
			t.Errorf("%s: %v", path, k)
		}
	}
	var none *snapshot.Policy
	for _, g := range []*snapshot.Policy{g, none, snapshottest.Policy(t, "", "", presets.All()...)} {
		for _, path := range []string{"/chat", "/graphql/", "/", ""} {
			if g.Tracker(path) != nil {
				t.Errorf("%q is covered", path)
			}
		}
	}
	if !snapshottest.Policy(t, "", "phoenix", presets.All()...).Tracker("/any").Covers() {
		t.Error("one protocol does not cover all")
	}
}
