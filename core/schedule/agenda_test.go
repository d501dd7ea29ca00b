package schedule

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only the methods of the types that have a lock use it: whoever reads them has read
// all that can meet.
func TestAgenda_aloneLocks(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	sections := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				use, ok := n.(*ast.SelectorExpr)
				if !ok || use.Sel.Name != "mu" {
					return true
				}
				sections++
				require.NotNil(t, f.Recv, "%s: %s", name, f.Name)
				pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr)
				require.True(t, ok, "%s: %s", name, f.Name)
				require.Contains(t, []string{"agenda", "waiters"}, pointer.X.(*ast.Ident).Name, "%s: %s locks", name, f.Name)
				return true
			})
		}
	}
	require.Positive(t, sections)
}
