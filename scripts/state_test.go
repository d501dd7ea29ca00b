package scripts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArchitecture_noHiddenState checks, in everything but generated code,
// that importing a package does nothing and that two servers in one process
// share nothing: no init functions, no package variable that is assigned to
// after its declaration.
func TestArchitecture_noHiddenState(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if under(rel(p.ImportPath), "scripts/...") {
			continue
		}
		files := parsePackage(t, p)
		variables := packageVariables(files)
		for _, file := range files {
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if !ok || f.Body == nil {
					continue
				}
				if f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has an init function", rel(p.ImportPath))
				}
				for _, name := range assigned(f) {
					if variables[name] {
						t.Errorf("%s: %s assigns to the package variable %s", rel(p.ImportPath), f.Name.Name, name)
					}
				}
			}
		}
	}
}

// TestArchitecture_exitOnlyInMain finds calls that end the process. The SDK is
// the one exception: a plugin whose server is gone has to go.
func TestArchitecture_exitOnlyInMain(t *testing.T) {
	t.Parallel()
	ends := map[string]bool{"os.Exit": true, "log.Fatal": true, "log.Fatalf": true, "log.Fatalln": true}
	for _, p := range listPackages(t) {
		if p.Name == "main" || under(rel(p.ImportPath), "providers/sdk") {
			continue
		}
		for _, file := range parsePackage(t, p) {
			ast.Inspect(file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && ends[x.Name+"."+sel.Sel.Name] {
					t.Errorf("%s calls %s.%s", rel(p.ImportPath), x.Name, sel.Sel.Name)
				}
				return true
			})
		}
	}
}

// parsePackage parses the files of a package, generated ones left out.
func parsePackage(t *testing.T, p goPackage) []*ast.File {
	t.Helper()
	var files []*ast.File
	set := token.NewFileSet()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		if !ast.IsGenerated(f) {
			files = append(files, f)
		}
	}
	return files
}

// packageVariables returns the names of the package's variables.
func packageVariables(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	for _, file := range files {
		for _, decl := range file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.Name != "_" {
						names[name.Name] = true
					}
				}
			}
		}
	}
	return names
}

// assigned returns the names that a function assigns to, in whole or in part,
// without declaring them anywhere inside. It looks at names, not at scopes:
// a local variable hides a package variable of the same name.
func assigned(f *ast.FuncDecl) []string {
	declared, targets := map[string]bool{}, map[string]bool{}
	declare := func(names ...*ast.Ident) {
		for _, n := range names {
			declared[n.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			declare(n.Names...)
		case *ast.ValueSpec:
			declare(n.Names...)
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					declare(id)
				}
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
					declare(id)
				} else if name := base(left); name != "" {
					targets[name] = true
				}
			}
		case *ast.IncDecStmt:
			if name := base(n.X); name != "" {
				targets[name] = true
			}
		}
		return true
	})
	var names []string
	for name := range targets {
		if !declared[name] {
			names = append(names, name)
		}
	}
	return names
}

// base returns the variable that an assignment to e changes: x for x, x.f,
// x[i] and *x.
func base(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return base(e.X)
	case *ast.IndexExpr:
		return base(e.X)
	case *ast.StarExpr:
		return base(e.X)
	case *ast.ParenExpr:
		return base(e.X)
	}
	return ""
}
