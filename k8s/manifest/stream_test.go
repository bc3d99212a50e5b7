package manifest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wsresilience/wsresilience/k8s"
)

var settings = k8s.Settings{Image: "wsresilience:test"}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: i, ports: [{name: http, containerPort: 8080}]}]}\n"

// TestWhatIsNotConcernedStays, byte for byte.
func TestWhatIsNotConcernedStays(t *testing.T) {
	for _, stream := range []string{
		"", "\n", "# only a comment\n", "---\n---\n", "--- # first\na:   1\r\n---\nb: [ ]  # x",
		"apiVersion: example.org/v1\nkind: Pod\nspec: 1\n", `{"apiVersion":"v1",   "kind":"List"}`,
		"a: |\n  ---\n  text\n",
	} {
		out, results, err := Inject([]byte(stream), settings)
		if err != nil || string(out) != stream || len(results) != 0 {
			t.Errorf("%q came out as %q, %v, %v", stream, out, results, err)
		}
	}
}

func TestMistakesAreToldWithTheirDocument(t *testing.T) {
	for name, bad := range map[string]string{
		"no YAML":         "a: [",
		"a key twice":     "a: 1\na: 2\n",
		"no object":       "- 1\n",
		"no template":     "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n",
		"a pod of a text": "apiVersion: v1\nkind: Pod\nspec: text\n",
		"a bad value":     strings.Replace(pod, "name: a}", "name: a, annotations: {wsresilience.io/mode: x}}", 1),
	} {
		out, _, err := Inject([]byte(pod+"---\n"+bad), settings)
		if err == nil || !strings.Contains(err.Error(), "document 2") || out != nil {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if _, _, err := Inject(make([]byte, MaxStream+1), settings); err == nil {
		t.Error("a stream that is too long is taken")
	}
}

// FuzzStream: nothing makes it panic, and what is injected stays so, and can be
// undone.
func FuzzStream(f *testing.F) {
	f.Add([]byte(pod))
	f.Add([]byte("kind: Namespace\napiVersion: v1\nmetadata: {annotations: {wsresilience.io/mode: explicit}}\n---\n" + pod))
	f.Add([]byte("---\n" + pod + "---\nkind: List\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if joined := bytes.Join(split(stream), nil); !bytes.Equal(joined, stream) {
			t.Fatalf("the parts are %q", joined)
		}
		out, _, err := Inject(stream, settings)
		if err != nil {
			return
		}
		again, _, err := Inject(out, settings)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("injected twice it is %q (%v), once %q", again, err, out)
		}
		if _, _, err := Uninject(out); err != nil {
			t.Errorf("%q cannot be undone: %v", out, err)
		}
	})
}
