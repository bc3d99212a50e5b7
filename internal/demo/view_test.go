package demo

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wsresilience/wsresilience/internal/lab/ledger"
)

var update = flag.Bool("update", false, "write the golden files of the demo's views anew")

// sampleSnapshot is a moment with something in every place.
func sampleSnapshot() *snapshot {
	s := &snapshot{
		options: options{every: 2 * time.Second, rate: 20},
		elapsed: 83 * time.Second, cuts: 31, kills: 7, drains: 1, keys: true,
		pods: [replicas]podView{
			{name: "pod 9", state: podUp, sessions: 1, tunnels: 1},
			{name: "pod 10", state: podDraining, plain: 2},
		},
		notes: []note{
			{81 * time.Second, cutFault, "cut: half open, the clients are not told"},
			{82 * time.Second, "", "resilient: adopted (owner_lost) after 238ms"},
			{83 * time.Second, "", "plain: 48 messages missing on the way to it"},
		},
	}
	s.accounts[plain] = account{
		counts: [2]count{
			{Count: ledger.Count{Sent: 1660, Got: 1203, Lost: 456, Reordered: 2}, unsent: 112},
			{Count: ledger.Count{Sent: 1661, Got: 1502, Lost: 159, Doubled: 1}},
		},
		comebacks: 30, wait: 2449 * time.Millisecond,
	}
	s.accounts[resilient] = account{
		counts: [2]count{
			{Count: ledger.Count{Sent: 1661, Got: 1660, Tail: 1}, unsent: 3},
			{Count: ledger.Count{Sent: 1661, Got: 1661, Again: 2}},
		},
		connected: true, comebacks: 1, adoptions: 8, wait: 1238 * time.Millisecond,
	}
	return s
}

func TestViews(t *testing.T) {
	s := sampleSnapshot()
	settling := sampleSnapshot()
	settling.settling = true
	page := sampleSnapshot()
	page.page, page.watched = "http://127.0.0.1:15800/", true
	for name, got := range map[string]string{
		"dashboard": dashboard(s, palette{}),
		"page":      dashboard(page, palette{}),
		"colours":   strings.ReplaceAll(dashboard(settling, colours()), "\x1b", "ESC"),
		"lines":     statusLine(s) + "\n" + verdict(s),
	} {
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not as in %s (go test -update writes it anew):\n%s", name, file, got)
		}
	}
}

// The dashboard must fit the smallest common terminal, whatever there is to
// say, and always have the same height, since it is drawn over itself.
func TestDashboardFits(t *testing.T) {
	full := sampleSnapshot()
	full.notes = make([]note, maxNotes)
	full.page = "http://127.0.0.1:15800/"
	empty := &snapshot{options: full.options}
	for _, s := range []*snapshot{full, empty} {
		lines := strings.SplitAfter(dashboard(s, palette{}), "\n")
		if n := len(lines) - 1; n != strings.Count(dashboard(full, palette{}), "\n") || n > 23 {
			t.Errorf("%d lines", n)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

func TestViewDrawsOverItself(t *testing.T) {
	var out strings.Builder
	v := &view{out: &out, terminal: true}
	s := sampleSnapshot()
	v.begin(s)
	v.draw(s)
	first := out.Len()
	v.end(s)
	height := strings.Count(dashboard(s, palette{}), "\n")
	for _, tt := range []struct {
		what, text, want string
	}{
		{"the first frame hides the cursor", out.String()[:first], "\x1b[?25l"},
		{"the second begins where the first did", out.String()[first:], "\x1b[23A\r"},
		{"the end shows the cursor again", out.String()[first:], "\x1b[?25h"},
		{"the verdict is the last", out.String()[first:], verdict(s)},
	} {
		if !strings.Contains(tt.text, tt.want) {
			t.Errorf("%s: want %q in %q", tt.what, tt.want, tt.text)
		}
	}
	if height != 23 {
		t.Errorf("a frame has %d lines", height)
	}
}
