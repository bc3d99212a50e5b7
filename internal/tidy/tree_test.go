package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/wsresilience/wsresilience"
)

// leastFiles is far below what the repository has. Fewer means that a test
// looks in the wrong place and would pass for nothing.
const leastFiles = 50

// tree lists the files of the repository, with / and relative to its root.
// Other modules, what git ignores and folders of tools are left out.
func tree(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == ".git" || rel == "bin" || rel == "tools" || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		// In a worktree .git is a file.
		if d.Type().IsRegular() && rel != ".git" && !strings.HasSuffix(rel, ".test") && !strings.HasSuffix(rel, ".out") {
			files = append(files, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < leastFiles {
		t.Fatalf("%d files, want at least %d: is %s the repository?", len(files), leastFiles, root)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func exists(file string) bool {
	_, err := os.Stat(filepath.Join(root, file))
	return err == nil
}

// A source is one parsed Go file.
type source struct {
	file string // relative to the root
	dir  string // its package, as the import table names it
	test bool
	ast  *ast.File
	fset *token.FileSet
}

// sources parses all Go files of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	for _, file := range tree(t) {
		if !strings.HasSuffix(file, ".go") || strings.Contains(file, "testdata/") {
			continue
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, file, read(t, file), parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, source{file, path.Dir(file), strings.HasSuffix(file, "_test.go"), parsed, fset})
	}
	return list
}

// imports maps the names under which a file uses packages to their paths.
func (s *source) imports() map[string]string {
	list := map[string]string{}
	for _, spec := range s.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		list[name] = p
	}
	return list
}

// line returns where a node is, for messages.
func (s *source) line(n ast.Node) string { return s.fset.Position(n.Pos()).String() }
