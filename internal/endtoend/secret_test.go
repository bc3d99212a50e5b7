package endtoend

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A secret is a Secret as Kubernetes mounts it: its files are links into a folder
// that is a link, which is swapped.
type secret struct {
	t   *testing.T
	dir string
	n   int
}

func newSecret(t *testing.T) *secret { return &secret{t: t, dir: t.TempDir()} }

func (m *secret) path(name string) string { return filepath.Join(m.dir, name) }

// swap makes files all that is mounted.
func (m *secret) swap(files map[string][]byte) {
	m.t.Helper()
	m.n++
	version, link := fmt.Sprint("..", m.n), filepath.Join(m.dir, "..data")
	errs := []error{os.Mkdir(m.path(version), 0o700)}
	for name, data := range files {
		errs = append(errs, os.WriteFile(filepath.Join(m.path(version), name), data, 0o600))
		if _, err := os.Lstat(m.path(name)); err != nil {
			errs = append(errs, os.Symlink(filepath.Join("..data", name), m.path(name)))
		}
	}
	if err := errors.Join(append(errs,
		os.Symlink(version, link+".new"),
		os.Rename(link+".new", link),
		os.RemoveAll(m.path(fmt.Sprint("..", m.n-1))),
	)...); err != nil {
		m.t.Fatal(err)
	}
}
