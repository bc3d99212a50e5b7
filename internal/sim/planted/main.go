// Command planted puts one bug after the other into a copy of the code, and tells who
// finds it: the simulated fleets, or the tests of the packages, and how fast. A bug that
// nobody finds says that a promise is not tested.
//
// A bug is a patch beside this file, with a head that says which promise it breaks and
// whose tests ought to find it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bug is one patch.
type bug struct {
	name    string
	promise string
	tests   []string // arguments of go test
	files   []string // that it changes
	path    string
}

// A verdict is who found a bug.
type verdict struct {
	bug   *bug
	tests string // what failed; empty: nothing did
	took  time.Duration
	sim   string // the promise that was seen broken; empty: none was
	after time.Duration
}

func main() {
	only := flag.String("only", "", "bugs whose name has this in it; empty: all")
	dir := flag.String("dir", "internal/sim/planted", "where the patches are")
	sessions := flag.Int("sessions", 4000, "simulated sessions for each; 0: none")
	tests := flag.Bool("tests", true, "run the packages' tests too")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), `planted puts one bug after the other into a copy of the code, and tells who finds it.
It runs in the module's folder. The code itself is not touched.

  go run ./internal/sim/planted                      all
  go run ./internal/sim/planted -only fenced         those with that in their name
  go run ./internal/sim/planted -tests=false         by the simulated fleets alone

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	bugs, err := load(*dir, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "planted:", err)
		os.Exit(2)
	}
	var all []verdict
	for i := range bugs {
		fmt.Printf("%2d of %d  %-24s ", i+1, len(bugs), bugs[i].name)
		v, err := try(&bugs[i], *sessions, *tests)
		if err != nil {
			fmt.Fprintln(os.Stderr, "\nplanted:", bugs[i].name+":", err)
			os.Exit(2)
		}
		fmt.Println(v)
		all = append(all, v)
	}
	os.Exit(sum(all, *sessions > 0, *tests))
}

// load reads the patches.
func load(dir, only string) (list []bug, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		b := bug{name: strings.TrimSuffix(filepath.Base(path), ".patch"), path: path}
		if !strings.Contains(b.name, only) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if rest, ok := strings.CutPrefix(line, "Promise: "); ok {
				b.promise = rest
			} else if rest, ok := strings.CutPrefix(line, "Tests: "); ok {
				b.tests = strings.Fields(rest)
			} else if rest, ok := strings.CutPrefix(line, "+++ b/"); ok {
				b.files = append(b.files, rest)
			}
		}
		if b.promise == "" || len(b.tests) == 0 || len(b.files) == 0 {
			return nil, fmt.Errorf("%s: a patch begins with the lines Promise: and Tests:", path)
		}
		list = append(list, b)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no patch in %s has %q in its name", dir, only)
	}
	return list, nil
}

// try plants a bug and looks who finds it.
func try(b *bug, sessions int, tests bool) (v verdict, err error) {
	v.bug = b
	overlay, remove, err := plant(b)
	if err != nil {
		return v, err
	}
	defer remove()
	if tests {
		began := time.Now()
		out, failed, err := run("go", append([]string{"test", "-overlay", overlay, "-timeout", "5m"}, b.tests...)...)
		if err != nil {
			return v, err
		}
		if v.took = time.Since(began); failed {
			v.tests = firstFailure(out)
		}
	}
	if sessions > 0 {
		program := filepath.Join(filepath.Dir(overlay), "proof")
		if out, failed, err := run("go", "build", "-overlay", overlay, "-o", program, "./internal/sim/proof"); err != nil || failed {
			return v, fmt.Errorf("it does not build: %w: %s", err, out)
		}
		began := time.Now()
		out, failed, err := run(program, "-sessions", fmt.Sprint(sessions), "-most", "1")
		if err != nil {
			return v, err
		}
		if v.after = time.Since(began); failed {
			v.sim = broken(out)
		}
	}
	return v, nil
}

// plant makes the changed files, and an overlay for the go command that puts them in
// the place of the real ones.
func plant(b *bug) (overlay string, remove func(), err error) {
	root, err := os.Getwd()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "planted")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	replace := map[string]string{}
	for _, file := range b.files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", remove, err
		}
		to := filepath.Join(dir, "code", file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644)); err != nil {
			return "", remove, err
		}
		replace[filepath.Join(root, file)] = to
	}
	patch, err := filepath.Abs(b.path)
	if err != nil {
		return "", remove, err
	}
	apply := exec.Command("git", "apply", patch)
	apply.Dir = filepath.Join(dir, "code")
	if out, err := apply.CombinedOutput(); err != nil {
		return "", remove, fmt.Errorf("the patch does not fit the code any more, write it anew: %s", out)
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", remove, err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, remove, os.WriteFile(overlay, text, 0o644)
}

// run runs a command, and reports whether it failed by itself.
func run(name string, args ...string) (out string, failed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var b bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return b.String(), true, nil
	}
	return b.String(), false, err
}

func firstFailure(out string) string {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
			name, _, _ := strings.Cut(rest, " ")
			return name
		}
	}
	if strings.Contains(out, "panic:") {
		return "panic"
	}
	return "a test"
}

func broken(out string) string {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "BROKEN, "); ok {
			_, rest, _ = strings.Cut(rest, ": ")
			promise, _, _ := strings.Cut(rest, ":")
			return promise
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "never happened: ") {
			return strings.TrimSpace(line)
		}
	}
	return "it failed"
}

func (v verdict) String() string {
	tests, sim := "not by tests", "not by fleets"
	if v.tests != "" {
		tests = fmt.Sprintf("by %s in %v", v.tests, v.took.Round(100*time.Millisecond))
	}
	if v.sim != "" {
		sim = fmt.Sprintf("by fleets in %v (%s)", v.after.Round(100*time.Millisecond), v.sim)
	}
	return tests + "; " + sim
}

// sum tells of all, and returns the exit status: 1 if a bug has survived.
func sum(all []verdict, sims, tests bool) int {
	var byTests, bySim int
	var took []time.Duration
	var survived []string
	for _, v := range all {
		if v.tests != "" {
			byTests++
		}
		if v.sim != "" {
			bySim++
			took = append(took, v.after)
		}
		if v.tests == "" && v.sim == "" {
			survived = append(survived, v.bug.name+": "+v.bug.promise)
		}
	}
	fmt.Printf("\n%d of %d bugs were found", len(all)-len(survived), len(all))
	if tests {
		fmt.Printf(", %d by the packages' tests", byTests)
	}
	if sims {
		slices.Sort(took)
		fmt.Printf(", %d by simulated fleets", bySim)
		if len(took) > 0 {
			fmt.Printf(", the median in %v", took[len(took)/2].Round(100*time.Millisecond))
		}
	}
	fmt.Println()
	for _, s := range survived {
		fmt.Println("SURVIVED:", s)
	}
	if len(survived) > 0 {
		return 1
	}
	return 0
}
