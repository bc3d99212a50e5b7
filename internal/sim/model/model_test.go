//go:build spin

package model

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var full = flag.Bool("full", false, "three ownerships and more records: minutes, and some gigabytes")

// A row is the model with some guarantees taken out.
type row struct {
	without string // NO_ macros; empty: nothing is taken out
	fails   string // the assertion that has to fail; empty: none may
}

var rows = []row{
	{"", ""},
	{"NO_FENCE", "epoch[p]>=j_epoch"},
	{"NO_STALL_CHECK", "j_epoch==epoch[p]"},
	{"NO_WHOLE", "out[p]>=said_max"},
	{"NO_QUIET", "in[p]>=handed_max"},
	{"NO_ACK_ORDER", "0"},
	{"NO_EPOCH NO_TOKEN_EPOCH", "epoch[p]>=c_epoch"},
	{"NO_EPOCH", ""}, // either of the two is enough
	{"NO_TOKEN_EPOCH", ""},
}

// The model keeps its promises in every order of everything, and each guarantee is
// needed for that: without it an assertion fails.
func TestModel(t *testing.T) {
	text, err := filepath.Abs("session.pml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		name := r.without
		if name == "" {
			name = "whole"
		}
		if r.fails == "" && r.without != "" && !*full {
			continue // they are as large as the whole
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, text, r)
		})
	}
}

func check(t *testing.T, text string, r row) {
	size := "-DEPOCHS=2 -DREVS=4 -DSAYS=1"
	switch {
	case r.fails == "" && !*full:
		size = "-DEPOCHS=2 -DREVS=3 -DSAYS=1"
	case r.fails == "":
		size = "-DEPOCHS=3 -DREVS=5 -DSAYS=1"
	}
	args := strings.Fields("-a " + size)
	for _, name := range strings.Fields(r.without) {
		args = append(args, "-D"+name)
	}
	dir := t.TempDir()
	run(t, dir, "spin", append(args, text)...)
	run(t, dir, "gcc", "-O1", "-DSAFETY", "-DNOCLAIM", "-DCOLLAPSE", "-DMEMLIM=8000", "-o", "pan", "pan.c")
	out := run(t, dir, "./pan", "-m1000000")
	states := regexp.MustCompile(`(\d+) states, stored`).FindStringSubmatch(out)
	failed := regexp.MustCompile(`assertion violated (.*) \(at depth`).FindStringSubmatch(out)
	switch {
	case states == nil || strings.Contains(out, "out of memory") || strings.Contains(out, "max search depth too small"):
		t.Fatalf("the search did not come to its end:\n%s", out)
	case r.fails == "" && failed != nil:
		t.Errorf("%s fails", failed[1])
	case r.fails != "" && (failed == nil || !strings.Contains(strings.ReplaceAll(failed[1], " ", ""), r.fails)):
		t.Errorf("%s does not fail, but %v", r.fails, failed)
	}
	t.Logf("%s states", states[1])
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w: %s", name, err, out))
	}
	return string(out)
}
