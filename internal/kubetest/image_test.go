package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestImage: the archive says of itself what is true, and comes out the same
// twice.
func TestImage(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(binary, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	for _, b := range []*bytes.Buffer{&one, &two} {
		if err := writeImage(b, "example.com/echo:dev", binary, "amd64"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same binary gave two images")
	}
	files := untar(t, &one)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Fatalf("manifest %s: %v", files["manifest.json"], err)
	}
	config, layer := files[manifest[0].Config], files[manifest[0].Layers[0]]
	if manifest[0].Config != digest(config)+".json" {
		t.Errorf("the config is named %s, and is %s", manifest[0].Config, digest(config))
	}
	var c struct {
		Architecture string
		RootFS       struct {
			IDs []string `json:"diff_ids"`
		}
		Config struct{ Entrypoint []string }
	}
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	if c.Architecture != "amd64" || len(c.RootFS.IDs) != 1 || c.RootFS.IDs[0] != "sha256:"+digest(layer) {
		t.Errorf("config %s", config)
	}
	if got := untar(t, bytes.NewReader(layer))[c.Config.Entrypoint[0][1:]]; string(got) != "a program" {
		t.Errorf("the entry point %q is %q", c.Config.Entrypoint, got)
	}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}
