// Package charts holds the Helm chart. Its tests run Helm, and look at what
// comes out as the API server would.
package charts

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Where the tests install to.
const (
	chart     = "wsresilience"
	name      = "live"      // of the release
	namespace = "transport" // of the release
	fullname  = name + "-wsresilience"
)

// helmBinary builds Helm, which takes minutes the first time, and returns
// where it is. It also opens all files of the chart: what Helm reads, go test
// does not know of, and would take an old result for a chart that has changed.
var helmBinary = sync.OnceValues(func() (string, error) {
	err := fs.WalkDir(os.DirFS(chart), ".", func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = os.ReadFile(filepath.Join(chart, file))
		}
		return err
	})
	if err != nil {
		return "", err
	}
	var problems bytes.Buffer
	cmd := exec.Command("go", "tool", "-modfile=../tools/go.mod", "-n", "helm")
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return problems.String(), err
	}
	return strings.TrimSpace(string(out)), nil
})

// helm runs Helm with a file of values, and returns what it prints.
func helm(t *testing.T, values string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	binary, err := helmBinary()
	if err != nil {
		t.Fatalf("building helm: %v\n%s", err, binary)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, append(args, "--values", file)...)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(file), "KUBECONFIG="+os.DevNull)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// template returns the manifests of an installation.
func template(t *testing.T, values string) string {
	t.Helper()
	out, errs, err := helm(t, values, "template", name, chart, "--namespace", namespace)
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, errs)
	}
	return out
}

// templates are those that were made, by their values: many tests look at the
// same, and each run of Helm takes its time.
var templates = map[string]string{}

// rendered is template, made once.
func rendered(t *testing.T, values string) string {
	t.Helper()
	if _, ok := templates[values]; !ok {
		templates[values] = template(t, values)
	}
	return templates[values]
}

func TestLint(t *testing.T) {
	for _, s := range valueSets {
		t.Run(s.name, func(t *testing.T) {
			if out, errs, err := helm(t, s.values, "lint", "--strict", chart); err != nil {
				t.Errorf("%v\n%s%s", err, out, errs)
			}
		})
	}
}

// TestNotesTellTheNextStep: what is printed after an installation names what
// this installation has.
func TestNotesTellTheNextStep(t *testing.T) {
	tests := []struct{ values, has, hasNot string }{
		{"", "statefulset/" + fullname + "-nats", "does not outlive its pod"},
		{"nats: {bundled: {enabled: false}}", "does not outlive its pod", "statefulset"},
		{"nats: {bundled: {enabled: false}, url: nats://n:4222}", "deployment/" + fullname + "-injector", "statefulset"},
		{"secrets: {managed: false}", "with token-keys and nats-url", "does not outlive its pod"},
		{"nats: {bundled: {existingSecret: passwords}}", "The volumes of NATS stay", "its Secret"},
	}
	for _, test := range tests {
		out, errs, err := helm(t, test.values, "install", name, chart, "--namespace", namespace, "--dry-run=client")
		if err != nil {
			t.Errorf("%q: %v\n%s", test.values, err, errs)
			continue
		}
		_, notes, ok := strings.Cut(out, "NOTES:")
		if !ok || !strings.Contains(notes, test.has) || strings.Contains(notes, test.hasNot) || !strings.Contains(notes, "kubectl label namespace") {
			t.Errorf("%q: want %q and not %q:\n%s", test.values, test.has, test.hasNot, notes)
		}
	}
}

// TestRenderingTwice: only the passwords differ, which without a cluster
// cannot be looked up.
func TestRenderingTwice(t *testing.T) {
	const given = "nats: {bundled: {existingSecret: passwords}}"
	if first, second := template(t, given), template(t, given); first != second {
		t.Error("two renderings with the same values differ")
	}
	first, second := strings.Split(template(t, ""), "\n"), strings.Split(template(t, ""), "\n")
	if len(first) != len(second) {
		t.Fatalf("%d lines, then %d", len(first), len(second))
	}
	var differ []string
	for i := range first {
		if key, _, _ := strings.Cut(first[i], ":"); first[i] != second[i] {
			differ = append(differ, strings.TrimSpace(key))
		}
	}
	if got := strings.Join(differ, " "); got != "route-password" {
		t.Errorf("what differs is %q", got)
	}
}
