package scripts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// standardWords has, for each word that only its author understands here, the one
// that the field uses. Forms of a word are listed one by one: "flight" is missing
// because requests in flight are a standard term.
func standardWords() map[string]string {
	return map[string]string{
		"fly": "run", "flies": "runs", "flew": "ran", "flying": "running", "flights": "runs",
		"land": "finish or apply", "lands": "finishes", "landed": "finished or applied", "landing": "finishing",
		"takeoff": "start", "onboard": "admit", "ground": "cancel", "grounded": "cancelled",
		"hear": "receive or list", "hears": "receives", "heard": "received or listed", "unheard": "not listed",
		"told": "notified, sent or given", "ballot": "results", "ballots": "results",
		"verdict": "result or decision", "verdicts": "results or decisions",
		"dress": "host kind", "dresses": "host kinds", "dressed": "shaped", "kin": "class",
		"crowded": "waiting for capacity", "doubt": "recheck", "doubts": "rechecks", "witness": "ref writer",
		"door": "writer", "doors": "writers", "sift": "apply policies", "sifted": "filtered",
		"makeroom": "drop conflicting creates",
	}
}

var (
	camel = regexp.MustCompile(`[A-Z]*[a-z]+|[A-Z]+`)
	plain = regexp.MustCompile(`[A-Za-z]+`)
)

// partsOf returns the words of an identifier, and the whole of it, because makeRoom
// is one image in two words.
func partsOf(identifier string) []string {
	return append(camel.FindAllString(identifier, -1), identifier)
}

// TestWords_standard looks for words of the table in the names, comments and texts
// of all code, tests too, but for what is generated.
func TestWords_standard(t *testing.T) {
	t.Parallel()
	words := standardWords()
	for _, p := range listPackages(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		require.NoError(t, err)
		var uses []string
		for _, file := range files {
			uses = append(uses, unusualWords(t, file, words)...)
		}
		if len(uses) > 0 {
			t.Errorf("%s has words that strangers do not know:\n%s", rel(p.ImportPath), strings.Join(uses, "\n"))
		}
	}
}

// limits come before a number that is never one, or that is said of bytes.
var (
	counting = regexp.MustCompile(`(\S+ )?%d (?:of %d )?(?:kept )?([a-z]+(?:s|\(s\)))(?:\W|$)`)
	limits   = []string{"most ", "the ", "changes ", "than ", "allocate ", "exceed ", "exceeds ", "to ", "may have ", "has ", "have "}
)

// countsInText returns a number before a plural in a text, which would be wrong of one.
func countsInText(text string) string {
	for _, m := range counting.FindAllStringSubmatch(text, -1) {
		limit := slices.Contains(limits, m[1])
		if !limit && !slices.Contains([]string{"bytes", "minutes", "ms", "is", "exceeds", "keeps", "lets"}, m[2]) {
			return m[0]
		}
	}
	return ""
}

// TestWords_counts holds that core.Count says how many of something there are.
func TestWords_counts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"%d problems": true, "%d of %d provider(s) failed": true, "%d repositories are gone": true,
		"at most %d patterns": false, "larger than %d bytes": false, "%d of %s": false, "%d of %d branches": true,
	} {
		require.Equal(t, want, countsInText(text) != "", text)
	}
	for _, p := range listPackages(t) {
		if strings.HasPrefix(rel(p.ImportPath), "scripts") || strings.HasSuffix(p.ImportPath, "test") || strings.HasSuffix(p.ImportPath, "/apispec") {
			continue // what only we read
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			tree, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(tree, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if found := countsInText(lit.Value); found != "" {
						t.Errorf("%s: %q may be about one: say it by core.Count", rel(p.ImportPath)+"/"+filepath.Base(file), found)
					}
				}
				return true
			})
		}
	}
}

// unusualWords returns each use in a file, with its place and the standard word.
func unusualWords(t *testing.T, file string, words map[string]string) []string {
	t.Helper()
	if filepath.Base(file) == "words_test.go" {
		return nil
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, filepath.Base(file), text, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	if ast.IsGenerated(tree) {
		return nil
	}
	var out []string
	note := func(at token.Pos, all []string) {
		for _, w := range all {
			if standard := words[strings.ToLower(w)]; standard != "" {
				out = append(out, set.Position(at).String()+": "+w+"; write: "+standard)
			}
		}
	}
	for _, group := range tree.Comments {
		for _, c := range group.List {
			// kin-openapi is the name of a module.
			note(c.Pos(), plain.FindAllString(strings.ReplaceAll(c.Text, "kin-openapi", ""), -1))
		}
	}
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false // the names of other people's modules
		// A field or method is an issue where it is declared, maybe in another package.
		case *ast.SelectorExpr:
			ast.Inspect(n.X, visit)
			return false
		case *ast.KeyValueExpr:
			if _, ok := n.Key.(*ast.Ident); !ok {
				return true
			}
			ast.Inspect(n.Value, visit)
			return false
		case *ast.Ident:
			note(n.Pos(), partsOf(n.Name))
		case *ast.BasicLit:
			if n.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(n.Value)
			require.NoError(t, err)
			note(n.Pos(), plain.FindAllString(text, -1))
		}
		return true
	}
	ast.Inspect(tree, visit)
	slices.Sort(out)
	return slices.Compact(out)
}
