// Command mutants changes one operator or condition of a package after the other in a
// copy, and tells which of these changes no test of the package notices. Those that
// survive either do not matter, or show what is not tested.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A mutant is one change of a file.
type mutant struct {
	file     string
	from, to int // of the bytes that are replaced
	old, new string
	line     int
}

// swapped are the operators that take each other's place.
var swapped = map[token.Token]string{
	token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.EQL: "!=", token.NEQ: "==",
	token.LAND: "||", token.LOR: "&&", token.ADD: "-", token.SUB: "+",
}

func main() {
	sample := flag.Int("sample", 0, "try so many of all mutants, chosen by -seed; 0: all")
	seed := flag.Uint64("seed", 1, "of the sample")
	limit := flag.Duration("limit", time.Minute, "how long the tests may take of one mutant: longer counts as noticed")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), `mutants changes conditions and operators of packages, one at a time, and runs the
package's tests: what they do not notice survives. The code itself is not touched.

  go run ./internal/sim/mutants ./seqwindow ./dedupe ./wire ./heartbeat
  go run ./internal/sim/mutants -sample 100 ./session

`)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	status := 0
	for _, pkg := range flag.Args() {
		all, err := find(pkg)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(2)
		}
		total := len(all)
		rand.New(rand.NewPCG(*seed, 1)).Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
		if *sample > 0 {
			all = all[:min(*sample, total)]
		}
		survived, err := try(pkg, all, *limit)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(2)
		}
		if survived > 0 {
			status = 1
		}
		fmt.Printf("%s: %d of %d mutants were noticed (%d %%), of %d that there are\n", pkg, len(all)-survived, len(all), 100*(len(all)-survived)/max(1, len(all)), total)
	}
	os.Exit(status)
}

// find returns the mutants of a package's files.
func find(pkg string) (list []mutant, err error) {
	paths, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, text, 0)
		if err != nil {
			return nil, err
		}
		at := func(p token.Pos) int { return files.Position(p).Offset }
		add := func(from, to int, new string, pos token.Pos) {
			list = append(list, mutant{path, from, to, string(text[from:to]), new, files.Position(pos).Line})
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				return n.Tok == token.VAR // sizes and texts of constants are not decisions
			case *ast.BinaryExpr:
				if new, ok := swapped[n.Op]; ok && !isText(n) {
					add(at(n.OpPos), at(n.OpPos)+len(n.Op.String()), new, n.OpPos)
				}
			case *ast.IfStmt:
				add(at(n.Cond.Pos()), at(n.Cond.End()), "!("+string(text[at(n.Cond.Pos()):at(n.Cond.End())])+")", n.Cond.Pos())
			case *ast.CaseClause:
				if len(n.List) == 1 && isCondition(n.List[0]) {
					add(at(n.List[0].Pos()), at(n.List[0].End()), "false", n.List[0].Pos())
				}
			case *ast.ExprStmt:
				if _, ok := n.X.(*ast.CallExpr); ok && !isPanic(n.X) {
					add(at(n.Pos()), at(n.End()), "", n.Pos())
				}
			}
			return true
		})
	}
	return list, nil
}

// isText reports whether an expression joins a text, which has no other sign.
func isText(n *ast.BinaryExpr) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			found = true
		}
		return true
	})
	return found && n.Op == token.ADD
}

// isCondition reports whether a case is one of a switch without a value.
func isCondition(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		_, ok := swapped[e.Op]
		return ok && e.Op != token.ADD && e.Op != token.SUB
	case *ast.UnaryExpr:
		return e.Op == token.NOT
	}
	return false
}

func isPanic(e ast.Expr) bool {
	name, ok := e.(*ast.CallExpr).Fun.(*ast.Ident)
	return ok && name.Name == "panic"
}

// try runs the tests on each mutant and tells of those that survive.
func try(pkg string, all []mutant, limit time.Duration) (survived int, err error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	began, told := time.Now(), time.Now()
	for i := range all {
		m := &all[i]
		ok, err := passes(pkg, dir, m, limit)
		if err != nil {
			return 0, err
		}
		if ok {
			survived++
			fmt.Printf("SURVIVED  %s:%d: %s becomes %q\n", m.file, m.line, oneLine(m.old), oneLine(m.new))
		}
		if now := time.Now(); now.Sub(told) > 10*time.Second {
			told = now
			left := now.Sub(began) / time.Duration(i+1) * time.Duration(len(all)-i-1)
			fmt.Printf("%s: %d of %d tried, %d survived, about %v left\n", pkg, i+1, len(all), survived, left.Round(time.Second))
		}
	}
	return survived, nil
}

// passes reports whether the package's tests pass with m. One that does not build is
// noticed.
func passes(pkg, dir string, m *mutant, limit time.Duration) (bool, error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return false, err
	}
	root, err := os.Getwd()
	if err != nil {
		return false, err
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	code := string(text[:m.from]) + m.new + string(text[m.to:])
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.file): changed}})
	if err != nil {
		return false, err
	}
	if err := errors.Join(os.WriteFile(changed, []byte(code), 0o644), os.WriteFile(overlay, replace, 0o644)); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit+time.Minute)
	defer cancel()
	err = exec.CommandContext(ctx, "go", "test", "-vet=off", "-failfast", "-overlay", overlay, "-timeout", limit.String(), pkg).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return false, err
	}
	return err == nil, nil
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 90 {
		s = s[:90] + "…"
	}
	return s
}
