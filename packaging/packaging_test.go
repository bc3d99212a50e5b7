package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/internal/agent/settings"
	"github.com/wsresilience/wsresilience/internal/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The settings that the package's files name are settings.
func TestEnvironment(t *testing.T) {
	known := map[string]bool{"GOMEMLIMIT": true}
	for _, v := range config.Variables() {
		known[v.Name] = true
	}
	for _, v := range settings.Variables() {
		known[v.Name] = true
	}
	for _, name := range []string{"sidecar.env", "agent.env"} {
		set := regexp.MustCompile(`(?m)^#?([A-Z_]+)=`).FindAllStringSubmatch(read(t, name), -1)
		if len(set) == 0 {
			t.Errorf("%s sets nothing", name)
		}
		for _, s := range set {
			if !known[s[1]] {
				t.Errorf("%s: there is no setting %s", name, s[1])
			}
		}
	}
}

// What the package contains is there, and the units name what it contains.
func TestContents(t *testing.T) {
	var p struct {
		Contents []struct{ Src, Dst string }
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal([]byte(read(t, "nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, c := range p.Contents {
		has[c.Dst] = true
		if strings.HasPrefix(c.Src, "${BIN}/") {
			if _, err := os.Stat(filepath.Join("../cmd", filepath.Base(c.Src))); err != nil {
				t.Error(err)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join("..", c.Src)); err != nil {
			t.Error(err)
		}
	}
	for _, script := range p.Scripts {
		if _, err := os.Stat(filepath.Join("..", script)); err != nil {
			t.Error(err)
		}
	}
	units, err := filepath.Glob("*.service")
	if err != nil || len(units) != 2 {
		t.Fatal(units, err)
	}
	for _, unit := range units {
		text := read(t, unit)
		for _, m := range regexp.MustCompile(`(?m)^(?:ExecStart|EnvironmentFile)=(\S+)`).FindAllStringSubmatch(text, -1) {
			if !has[m[1]] {
				t.Errorf("%s names %s, which the package does not have", unit, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`blob/main/(\S+)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Error(err)
			}
		}
		if !has["/usr/lib/systemd/system/"+unit] {
			t.Errorf("%s is not in the package", unit)
		}
	}
}

// The service manager waits for longer than the sidecar takes to stop.
func TestStop(t *testing.T) {
	if text := read(t, "wsresilience-sidecar.service"); !strings.Contains(text, "\nTimeoutStopSec=30\n") {
		t.Error("the unit does not say TimeoutStopSec=30")
	}
	for _, v := range config.Variables() {
		if v.Name == "WSR_DRAIN_SECONDS" && v.Default != "8" {
			t.Errorf("WSR_DRAIN_SECONDS is %s: is TimeoutStopSec long enough, and docker stop's 10 s?", v.Default)
		}
	}
}

// What the workflows run is in the repository, and they are YAML.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text := read(t, file)
		var v map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil || v["jobs"] == nil || v["permissions"] == nil {
			t.Errorf("%s: %v, permissions %v", file, err, v["permissions"])
		}
		for _, m := range regexp.MustCompile(`(?m)run: (?:sudo )?((?:packaging|\.ci)/\S+)`).FindAllStringSubmatch(text, -1) {
			if info, err := os.Stat(filepath.Join("..", m[1])); err != nil || info.Mode()&0o111 == 0 {
				t.Errorf("%s runs %s: %v", file, m[1], err)
			}
		}
	}
}
