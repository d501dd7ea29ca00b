package api

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOpenAPI_handlersReadWhatIsDescribed holds the parameters and the fields
// of bodies against the source of the handlers: what a handler reads is in the
// document, and what is in the document a handler reads. To decode a field is
// not enough: something that the handler calls must use it, too.
func TestOpenAPI_handlersReadWhatIsDescribed(t *testing.T) {
	t.Parallel()
	src := readSource(t, ".")
	handlers := handlers(t)
	for _, op := range operations {
		t.Run(op.id+" "+op.method, func(t *testing.T) {
			handler := handlers[op.route()]
			require.NotEmpty(t, handler, "no handler of %s", op.route())
			query, body := src.reads(handler)
			if op.read != nil {
				demands, _ := src.reads("confirm")
				query = append(query, demands...)
			}

			var documented []string
			for _, p := range op.parameters() {
				if p.in != "header" {
					documented = append(append(documented, p.name), p.older...)
				}
			}
			if strings.Contains(op.preferred, "{tag}") {
				query = nil // the name is in the path then, and nothing else is read
			}
			require.ElementsMatch(t, query, documented, "parameters of %s", handler)

			var fields []string
			if op.in.body != nil {
				fields = jsonFields(reflect.TypeOf(op.in.body), "")
				if op.in.media != "" {
					metadata, _ := reflect.TypeOf(op.in.body).FieldByName("Metadata")
					fields = jsonFields(metadata.Type, "")
				}
			}
			switch handler {
			case "createCredential", "updateCredential", "deleteCredential", "deleteNote", "deleteTag":
				// They share a type of which each reads a part, or need no body.
				require.Subset(t, body, fields, "body of %s", handler)
			case "attach", "repoint":
				// The link is that of a creation, which alone needs all of it.
				require.Subset(t, fields, body, "body of %s", handler)
			default:
				require.ElementsMatch(t, body, fields, "body of %s", handler)
			}
		})
	}
}

// TestOpenAPI_enumsAreWhole holds the words of enums against the constants of
// their types.
func TestOpenAPI_enumsAreWhole(t *testing.T) {
	t.Parallel()
	const module = "github.com/headwater-git/headwater/"
	for kind, list := range enums {
		path := strings.TrimPrefix(kind.PkgPath(), module)
		require.ElementsMatch(t, readSource(t, filepath.Join("..", "..", path)).constants(t, kind.Name()), list, "the words of %s", kind)
	}
	var statuses []string
	for _, word := range resultWords {
		statuses = append(statuses, word)
	}
	require.Subset(t, resultStatuses, statuses)
}

// jsonFields returns the paths of the fields of a type, by their json tags.
func jsonFields(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var all []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			all = append(all, jsonFields(field.Type, prefix)...)
			continue
		}
		all = append(all, prefix+name)
		all = append(all, jsonFields(field.Type, prefix+name+".")...)
	}
	return all
}

// source is the source of a package without its tests.
type source struct {
	files     []*ast.File
	functions map[string]*ast.FuncDecl
	types     map[string]ast.Expr
}

func readSource(t *testing.T, dir string) *source {
	t.Helper()
	s := &source{functions: map[string]*ast.FuncDecl{}, types: map[string]ast.Expr{}}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "openapi") || strings.HasPrefix(name, "operations") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
		require.NoError(t, err)
		s.files = append(s.files, file)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				s.functions[decl.Name.Name] = decl
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok {
						s.types[spec.Name.Name] = spec.Type
					}
				}
			}
		}
	}
	return s
}

// constants returns the values of the constants of a type.
func (s *source) constants(t *testing.T, typeName string) []string {
	t.Helper()
	var all []string
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == typeName {
				for _, value := range spec.Values {
					all = append(all, text(value)...)
				}
			}
			for _, value := range spec.Values {
				// typeName(core.Name): the word is the core's.
				if call, ok := value.(*ast.CallExpr); ok && len(call.Args) == 1 {
					kind, isName := call.Fun.(*ast.Ident)
					word, isOther := call.Args[0].(*ast.SelectorExpr)
					if isName && isOther && kind.Name == typeName {
						all = append(all, readSource(t, filepath.Join("..", "..", "core")).value(word.Sel.Name)...)
					}
				}
			}
			return true
		})
	}
	return all
}

// value returns the text of a constant, or nothing for anything else.
func (s *source) value(name string) []string {
	var found []string
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, id := range spec.Names {
					if id.Name == name && i < len(spec.Values) {
						found = text(spec.Values[i])
					}
				}
			}
			return true
		})
	}
	return found
}

// text returns a string literal, or nothing for anything else.
func text(e ast.Expr) []string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return nil
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return nil
	}
	return []string{value}
}

// handlers returns the name of the method behind each operation, by its route.
func handlers(t *testing.T) map[string]string {
	t.Helper()
	byRoute := map[string]string{}
	paths, err := filepath.Glob("operations_*.go")
	require.NoError(t, err)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			row, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			var op operation
			handler := ""
			for _, element := range row.Elts {
				field, ok := element.(*ast.KeyValueExpr)
				if !ok {
					return true
				}
				switch name := field.Key.(*ast.Ident).Name; name {
				case "method":
					op.method = strings.ToUpper(strings.TrimPrefix(field.Value.(*ast.SelectorExpr).Sel.Name, "Method"))
				case "preferred":
					op.preferred = strings.Join(text(field.Value), "")
				case "legacy":
					op.legacy = strings.Join(text(field.Value), "")
				case "serve", "read", "write":
					last := field.Value
					if call, ok := last.(*ast.CallExpr); ok { // webhooks or decide
						last = call.Args[0]
					}
					handler = last.(*ast.SelectorExpr).Sel.Name
				}
			}
			if handler != "" {
				byRoute[op.route()] = handler
			}
			return true
		})
	}
	require.Len(t, byRoute, len(operations))
	return byRoute
}

// reads returns the parameters that a handler and what it calls here read from
// the query, and the fields of the body that they decode and use.
func (s *source) reads(handler string) (query, body []string) {
	// Next is a method of other things, too; pieces of content are read later.
	visited := map[string]bool{"Next": true}
	used := map[string]bool{} // names of fields
	var decoded []ast.Expr
	var visit func(name string)
	visit = func(name string) {
		function := s.functions[name]
		if function == nil || visited[name] {
			return
		}
		visited[name] = true
		ast.Inspect(function, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch called := n.Fun.(type) {
				case *ast.Ident:
					visit(called.Name)
				case *ast.SelectorExpr:
					if isQuery(called.X) && slices.Contains([]string{"Get", "any", "flag", "namespace"}, called.Sel.Name) {
						for _, arg := range n.Args {
							query = append(query, text(arg)...)
						}
					}
					visit(called.Sel.Name)
				}
			case *ast.IndexExpr: // q.Values["path"]
				if values, ok := n.X.(*ast.SelectorExpr); ok && isQuery(values.X) {
					query = append(query, text(n.Index)...)
				}
			case *ast.SelectorExpr:
				used[n.Sel.Name] = true
			case *ast.ValueSpec: // var body createBody
				if name := n.Names[0].Name; name == "body" || name == "meta" {
					decoded = append(decoded, n.Type)
				}
			case *ast.AssignStmt: // body := settingsBody(...), a conversion
				name, ok := n.Lhs[0].(*ast.Ident)
				if !ok || name.Name != "body" || n.Tok != token.DEFINE {
					break
				}
				if call, ok := n.Rhs[0].(*ast.CallExpr); ok {
					if to, ok := call.Fun.(*ast.Ident); ok && s.types[to.Name] != nil {
						decoded = append(decoded, to)
					}
				}
			}
			return true
		})
	}
	visit(handler)
	for _, e := range decoded {
		body = append(body, s.fields(e, "", used)...)
	}
	slices.Sort(query)
	slices.Sort(body)
	return slices.Compact(query), slices.Compact(body)
}

// isQuery reports whether an expression is the query of a request.
func isQuery(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "q" || e.Name == "query"
	case *ast.CallExpr: // r.URL.Query()
		called, ok := e.Fun.(*ast.SelectorExpr)
		return ok && called.Sel.Name == "Query"
	}
	return false
}

// fields is jsonFields for the source of a type, without the fields that are
// not used. A struct of which no field is named is handed on whole.
func (s *source) fields(e ast.Expr, prefix string, used map[string]bool) []string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return s.fields(e.X, prefix, used)
	case *ast.ArrayType:
		return s.fields(e.Elt, prefix, used)
	case *ast.Ident:
		return s.fields(s.types[e.Name], prefix, used)
	case *ast.StructType:
		whole := !slices.ContainsFunc(e.Fields.List, func(f *ast.Field) bool { return f.Names == nil || used[f.Names[0].Name] })
		var all []string
		for _, field := range e.Fields.List {
			name := ""
			if field.Tag != nil {
				tag, _ := strconv.Unquote(field.Tag.Value)
				name, _, _ = strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			}
			if name == "" {
				all = append(all, s.fields(field.Type, prefix, used)...)
				continue
			}
			if !whole && !used[field.Names[0].Name] {
				continue
			}
			all = append(all, prefix+name)
			all = append(all, s.fields(field.Type, prefix+name+".", used)...)
		}
		return all
	}
	return nil
}
