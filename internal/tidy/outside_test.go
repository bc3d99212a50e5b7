package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOutsideModuleGetsLittle: a module that imports the client needs two modules
// beside ours, in its go.mod, its go.sum and its program: neither Kubernetes nor a
// NATS server. All of them are in the module cache, since ours needs them.
func TestOutsideModuleGetsLittle(t *testing.T) {
	folder := t.TempDir()
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module example.com/outside\n\ngo 1.26.0\n\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + here + "\n",
		"go.sum":  string(ours), // hashes, so that nothing is asked for; tidying leaves what is needed
		"main.go": "package main\n\nimport _ \"" + module + "/client\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("get", ".")
	linked := strings.Fields(run("list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "."))
	slices.Sort(linked)
	want := []string{"example.com/outside", "github.com/gobwas/httphead", "github.com/gobwas/ws", module}
	if got := slices.Compact(linked); !slices.Equal(got, want) {
		t.Errorf("linked are %q, want %q", got, want)
	}
	manifest, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"k8s.io", "nats-io", "prometheus", "ncruces"} {
		if strings.Contains(string(manifest), foreign) {
			t.Errorf("its go.mod has %s:\n%s", foreign, manifest)
		}
	}
}
