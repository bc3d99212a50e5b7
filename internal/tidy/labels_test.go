package tidy

import (
	"go/ast"
	"go/token"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/wsresilience/wsresilience/observe"
)

// reporters are the functions of proxy and session that are handed a label.
// closeCause returns one, and refusal is a type.
var reporters = map[string]func(*observe.Metrics, string){
	"Refused":    (*observe.Metrics).Refused,
	"Detached":   (*observe.Metrics).Detached,
	"closeCause": (*observe.Metrics).Detached,
	"Dialled":    func(m *observe.Metrics, label string) { m.Dialled(label, 0) },
	"end":        func(m *observe.Metrics, label string) { m.Ended("resilient", label, 0) },
	"End":        func(m *observe.Metrics, label string) { m.Ended("plain", label, 0) },
	"finish":     func(m *observe.Metrics, label string) { m.Ended("plain", label, 0) },
	"refusal":    (*observe.Metrics).Refused,
}

var (
	label   = regexp.MustCompile(`^[a-z_]+$`)
	unknown = regexp.MustCompile(`(?m)^wsr_.*="other".* [1-9]`)
)

// TestLabelsAreKnown: observe counts what is in none of its lists as other,
// so a label that is new in proxy or session would go unseen.
func TestLabelsAreKnown(t *testing.T) {
	seen := 0
	for _, s := range sources(t) {
		if s.test || s.dir != "proxy" && s.dir != "session" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			report, literals := labels(n)
			for _, l := range literals {
				seen++
				m := observe.New()
				report(m, l)
				w := httptest.NewRecorder()
				m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
				if unknown.MatchString(w.Body.String()) {
					t.Errorf("%s: package observe does not list the label %q", s.line(n), l)
				}
			}
			return true
		})
	}
	if seen < 20 {
		t.Errorf("only %d labels were found", seen)
	}
}

// labels returns the literal labels that a node hands to a reporter.
func labels(n ast.Node) (report func(*observe.Metrics, string), literals []string) {
	var name string
	var exprs []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		exprs = n.Args
		switch f := n.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
	case *ast.CompositeLit: // its label comes last
		if typ, ok := n.Type.(*ast.Ident); ok && len(n.Elts) > 0 {
			name, exprs = typ.Name, n.Elts[len(n.Elts)-1:]
		}
	case *ast.FuncDecl:
		name = n.Name.Name
		if name == "closeCause" {
			exprs = returned(n)
		}
	}
	for _, e := range exprs {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING || reporters[name] == nil {
			continue
		}
		if l, _ := strconv.Unquote(lit.Value); label.MatchString(l) {
			literals = append(literals, l)
		}
	}
	return reporters[name], literals
}

// returned lists what a function returns.
func returned(f *ast.FuncDecl) (exprs []ast.Expr) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok {
			exprs = slices.Concat(exprs, r.Results)
		}
		return true
	})
	return exprs
}
