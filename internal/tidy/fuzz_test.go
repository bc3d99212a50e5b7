package tidy

import (
	"go/ast"
	"path"
	"strings"
	"testing"
)

// TestFuzzTargetsHaveSeeds: each fuzz target starts from something, and each
// committed corpus belongs to one. A corpus that is lost would go unseen.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	corpora := map[string]int{} // folder of a corpus to its files
	for _, file := range tree(t) {
		if dir := path.Dir(file); strings.HasSuffix(path.Dir(dir), "testdata/fuzz") {
			corpora[dir]++
		}
	}
	targets := map[string]bool{}
	for _, s := range sources(t) {
		for _, decl := range s.ast.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !s.test || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			corpus := path.Join(s.dir, "testdata/fuzz", f.Name.Name)
			targets[corpus] = true
			if corpora[corpus] == 0 && !callsAdd(f) {
				t.Errorf("%s: %s has no f.Add and no file in %s", s.line(f), f.Name.Name, corpus)
			}
		}
	}
	if len(targets) < 5 {
		t.Errorf("only %d fuzz targets were found", len(targets))
	}
	for corpus := range corpora {
		if !targets[corpus] {
			t.Errorf("%s belongs to no fuzz target", corpus)
		}
	}
}

// callsAdd reports whether a fuzz target hands its *testing.F a seed, by itself
// or by passing it to a function that does.
func callsAdd(f *ast.FuncDecl) bool {
	param := f.Type.Params.List[0].Names[0].Name
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			x, isIdent := sel.X.(*ast.Ident)
			found = found || isIdent && x.Name == param && sel.Sel.Name == "Add"
		}
		for _, arg := range call.Args {
			x, isIdent := arg.(*ast.Ident)
			found = found || isIdent && x.Name == param
		}
		return true
	})
	return found
}
