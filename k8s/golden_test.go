package k8s_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/wsresilience/wsresilience/k8s"
	"github.com/wsresilience/wsresilience/k8s/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden puts the sidecar into testdata/*.in.yaml. Beside each is what has
// to come out, and what has to be told of it; where nothing comes out, the
// error. A07 and A08 are among them.
func TestGolden(t *testing.T) {
	for _, stem := range stems(t) {
		t.Run(filepath.Base(stem), func(t *testing.T) {
			in := read(t, stem+".in.yaml")
			strictly(t, in)
			s := goldenSettings(t, stem+".settings.yaml")
			out, results, err := manifest.Inject(in, s)
			if err != nil {
				golden(t, stem+".report", []byte(err.Error()+"\n"))
				if _, err := os.Stat(stem + ".out.yaml"); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s.out.yaml is there, and nothing comes out (%v)", stem, err)
				}
				return
			}
			golden(t, stem+".out.yaml", out)
			golden(t, stem+".report", describe(results))
			strictly(t, out)

			again, _, err := manifest.Inject(out, s)
			if err != nil || !bytes.Equal(again, out) {
				t.Errorf("injected twice it is another one (%v):\n%s", err, again)
			}
			// What came with a sidecar goes without it as well.
			was, _, err := manifest.Uninject(in)
			if err != nil {
				t.Fatal(err)
			}
			back, _, err := manifest.Uninject(out)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := documents(t, back), documents(t, was); !reflect.DeepEqual(got, want) {
				t.Errorf("uninjected it is\n%v\nbut it was\n%v", got, want)
			}
		})
	}
}

// stems are the cases, as paths without the ending.
func stems(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no case in testdata: %v", err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(file, ".in.yaml")
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goldenSettings are those of the case, if it has a file with them.
func goldenSettings(t *testing.T, file string) k8s.Settings {
	t.Helper()
	s := k8s.Settings{Image: "wsresilience:test"}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return s
	}
	if err == nil {
		err = yaml.UnmarshalStrict(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, file); !bytes.Equal(got, want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", file, got, want)
	}
}

func describe(results []manifest.Result) []byte {
	var b bytes.Buffer
	for _, r := range results {
		fmt.Fprintf(&b, "%s: %s %s %s %s %d\n", r.Object, r.Report.Outcome, r.Report.Reason, r.Report.Message, r.Report.Mode, r.Report.Port)
		for _, warning := range r.Report.Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", warning)
		}
	}
	return b.Bytes()
}

// documents are those of a stream of the test's own, which has its markers on
// lines of their own.
func documents(t *testing.T, stream []byte) []any {
	t.Helper()
	var list []any
	for _, document := range bytes.Split(stream, []byte("\n---\n")) {
		var v any
		if err := yaml.Unmarshal(document, &v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}
