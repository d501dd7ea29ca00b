// Package scripts_test holds the rules that no single package can check about
// itself: which package may depend on which, and what may lie at the top.
package scripts_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/headwater-git/headwater"

// goPackage is what go list says of one package, test files left out.
type goPackage struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Imports    []string // direct
	Deps       []string // transitive
	Standard   bool
}

// rel is the path below the module, "" for a package of another module.
func rel(importPath string) string {
	path, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return path
}

// listPackages returns every package of the module.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Dir,GoFiles,Imports,Deps,Standard", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// under reports whether path is one of the patterns: "core" is that package
// alone, "core/..." that package and everything below it.
func under(path string, patterns ...string) bool {
	for _, p := range patterns {
		if tree, ok := strings.CutSuffix(p, "/..."); ok {
			if path == tree || strings.HasPrefix(path, tree+"/") {
				return true
			}
		} else if path == p {
			return true
		}
	}
	return false
}

// edge is a rule: packages that match from, but not except, must not depend on
// packages that match to, directly or through others.
type edge struct {
	name   string
	from   []string
	except []string
	to     []string
	allow  []string // of to
}

// testPackages are imported by tests alone.
func testPackages() []string {
	return []string{
		"core/git/internal/gittest", "core/internal/coretest", "core/lfs/lfstest", "core/longtest", "core/mirror/mirrortest", "core/repo/repotest", "plugins/internal/webhooktest", "providers/providertest", "providers/providertest/fixture",
		"providers/forgetest", "providers/giteatest", "providers/plugintest",
		"server/internal/apispec", "server/internal/sdktest", "server/internal/servertest", "store/postgrestest", "store/storetest",
	}
}

// forbidden is the dependency rule of the design: arrows point to core, and
// core points to the provider contract alone. Plugins know hosts and nothing
// of the core; server and store meet in server.New only.
func forbidden() []edge {
	everything := []string{"core/...", "providers/...", "plugins/...", "server/...", "store/...", "scripts/..."}
	return []edge{
		{name: "the provider contract stands alone", from: []string{"providers"}, to: everything},
		{name: "core types know the contract alone", from: []string{"core"}, to: everything, allow: []string{"providers"}},
		{name: "the core knows no host, store or server", from: []string{"core/..."}, except: testPackages(),
			to: everything, allow: []string{"core/...", "providers", "providers/netguard", "providers/subprocess"}},
		{name: "git knows nothing of repositories", from: []string{"core/git/..."}, to: []string{"core/..."}, allow: []string{"core", "core/durable", "core/trace", "core/git/..."}},
		{name: "what git and hosts say is read without a git", from: []string{"core/git/pktline", "core/git/progress", "core/git/hosterror", "core/git/fsck"},
			to: []string{"core/..."}, allow: []string{"core", "core/git/pktline", "core/git/progress", "core/git/hosterror", "core/git/fsck"}},
		{name: "access knows nothing of git", from: []string{"core/access"}, to: []string{"core/..."}, allow: []string{"core", "core/access", "core/limit"}},
		{name: "issued tokens know nothing of git", from: []string{"core/token"}, to: []string{"core/..."},
			allow: []string{"core", "core/access", "core/limit", "core/token"}},
		{name: "the schedule knows nothing of the work", from: []string{"core/schedule"}, to: []string{"core/..."}, allow: []string{"core", "core/loop", "core/schedule"}},
		{name: "loops know nothing of what they repeat", from: []string{"core/loop"}, to: []string{"core/..."}, allow: []string{"core", "core/loop"}},
		{name: "limits know nothing of what they bound", from: []string{"core/limit"}, to: []string{"core/..."}, allow: []string{"core", "core/limit"}},
		{name: "nothing in the core stands on the engine", from: []string{"core/..."}, except: []string{"core/engine"}, to: []string{"core/engine"}},
		{name: "plugins know hosts, not the core", from: []string{"plugins/..."},
			to: everything, allow: []string{"plugins/...", "providers", "providers/sdk", "providers/netguard", "providers/v1/..."}},
		{name: "plugins do not know each other", from: []string{"plugins/..."}, except: []string{"plugins/builtin"},
			to: []string{"plugins/builtin"}},
		{name: "the SDK is all that an author needs", from: []string{"providers/sdk"}, to: everything,
			allow: []string{"providers", "providers/sdk", "providers/v1/...", "providers/netguard"}},
		{name: "the plugin host knows no core", from: []string{"providers/host/...", "providers/config", "providers/v1/...", "providers/netguard"},
			to: everything, allow: []string{"providers/..."}},
		{name: "a store knows core alone", from: []string{"store/..."}, to: everything, allow: []string{"core", "core/durable", "providers", "store/..."}},
		{name: "the edges know the engine, not what is behind it", from: []string{"server/api", "server/console", "server/explorer", "server/githttp", "server/inbound", "server/middleware"},
			to: []string{"store/...", "plugins/...", "providers/host", "providers/config", "providers/sdk"}},
		{name: "the middleware knows no surface", from: []string{"server/middleware"}, to: everything,
			allow: []string{"core", "core/access", "core/limit", "core/trace", "providers"}},
		{name: "the client of the API stands alone", from: []string{"server/client"}, to: everything, allow: []string{"server/client"}},
		{name: "the page of the API is made of its document", from: []string{"server/explorer"}, to: everything, allow: []string{"server/explorer"}},
		{name: "the server is made without plugins", from: []string{"server"}, to: []string{"plugins/..."}},
		{name: "nothing stands on the command line", from: everything, except: []string{"server/cmd/headwater"}, to: []string{"server/cmd/..."}},
		{name: "test packages stay out of programs", from: everything, except: append([]string{"scripts/..."}, testPackages()...), to: testPackages()},
		{name: "nothing stands on scripts", from: everything, except: []string{"scripts/..."}, to: []string{"scripts/..."}},
	}
}

func TestArchitecture_forbiddenEdges(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for _, rule := range forbidden() {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range packages {
				from := rel(p.ImportPath)
				if !under(from, rule.from...) || under(from, rule.except...) {
					continue
				}
				for _, dep := range p.Deps {
					to := rel(dep)
					if to != "" && to != from && under(to, rule.to...) && !under(to, rule.allow...) {
						t.Errorf("%s must not depend on %s", from, to)
					}
				}
			}
		})
	}
}

// TestArchitecture_standardLibraryOnly guards the two packages that everybody
// stands on: what they import, a plugin author and every part of the core gets.
func TestArchitecture_standardLibraryOnly(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if !under(rel(p.ImportPath), "providers", "core") {
			continue
		}
		for _, dep := range p.Deps {
			first, _, _ := strings.Cut(dep, "/")
			if strings.Contains(first, ".") && rel(dep) == "" && !strings.HasPrefix(dep, "vendor/") {
				t.Errorf("%s must not depend on %s", rel(p.ImportPath), dep)
			}
		}
	}
}

// TestArchitecture_subprocesses keeps the places that start programs few: each
// must build its argv and environment with care.
func TestArchitecture_subprocesses(t *testing.T) {
	t.Parallel()
	allowed := append([]string{"core/git/...", "providers/host", "scripts/..."}, testPackages()...)
	for _, p := range listPackages(t) {
		if slices.Contains(p.Imports, "os/exec") && !under(rel(p.ImportPath), allowed...) {
			t.Errorf("%s must not import os/exec: git is run by core/git, plugins by providers/host", rel(p.ImportPath))
		}
	}
}

// TestArchitecture_testingOnlyInTestPackages keeps test code out of programs.
// It looks at direct imports, because go-plugin itself imports testing.
func TestArchitecture_testingOnlyInTestPackages(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if slices.Contains(p.Imports, "testing") && !strings.HasSuffix(p.ImportPath, "test") {
			t.Errorf("%s must not import testing: it is part of the programs", rel(p.ImportPath))
		}
	}
}

// TestArchitecture_wholeStore keeps the whole store to what wires the parts together:
// every other field and parameter is an interface with what its package uses.
func TestArchitecture_wholeStore(t *testing.T) {
	t.Parallel()
	wiring := append([]string{"core/engine", "server", "server/cmd/headwater", "store"}, testPackages()...)
	for _, p := range listPackages(t) {
		if under(rel(p.ImportPath), wiring...) {
			continue
		}
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(tree, func(n ast.Node) bool {
				field, ok := n.(*ast.Field)
				if !ok {
					return true
				}
				if typ, ok := field.Type.(*ast.SelectorExpr); ok && typ.Sel.Name == "Store" {
					if x, ok := typ.X.(*ast.Ident); ok && x.Name == "core" {
						t.Errorf("%s takes the whole store: take an interface with what the package uses", set.Position(field.Pos()))
					}
				}
				return true
			})
		}
	}
}

// TestArchitecture_topLevel keeps the top of the repository to the names that
// the design has.
func TestArchitecture_topLevel(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"core", "providers", "plugins", "server", "store", "scripts", "docs", ".ci",
		"go.mod", "go.sum", "providers.hcl", "README.md", "LICENSE", ".gitignore", ".golangci.yml",
	}
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached")
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err)
	for _, file := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		top, _, _ := strings.Cut(file, "/")
		if !slices.Contains(allowed, top) {
			t.Errorf("%q does not belong at the top level", top)
		}
	}
}
