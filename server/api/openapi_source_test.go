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
	handlers := src.handlers(t)
	described := descriptions()
	d := newDocument("test")
	for _, op := range operations {
		about := described[op.key()]
		t.Run(about.id+" "+op.method, func(t *testing.T) {
			handler := handlers[op.key()]
			require.NotEmpty(t, handler, "no handler of %s", op.key())
			query, body := src.reads(handler)
			if src.readers[op.key()] {
				demands, _ := src.reads("confirm")
				query = append(query, demands...)
			}

			var documented []string
			for _, ref := range d.query(about.query) {
				p := d.parameters[strings.TrimPrefix(ref["$ref"].(string), "#/components/parameters/")].(node)
				if p["in"] == "query" {
					documented = append(documented, p["name"].(string))
				}
			}
			if strings.Contains(op.preferred, "{tag}") {
				query = nil // the name is in the path then, and nothing else is read
			}
			require.ElementsMatch(t, query, documented, "parameters of %s", handler)

			var fields []string
			if about.body != nil {
				fields = jsonFields(reflect.TypeOf(about.body), "")
				if about.media != "" {
					metadata, _ := reflect.TypeOf(about.body).FieldByName("Metadata")
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
		require.ElementsMatch(t, readSource(t, filepath.Join("..", "..", path)).constants(kind.Name()), list, "the words of %s", kind)
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
	readers   map[string]bool // operations whose handler is a reader, by key
}

func readSource(t *testing.T, dir string) *source {
	t.Helper()
	s := &source{functions: map[string]*ast.FuncDecl{}, types: map[string]ast.Expr{}, readers: map[string]bool{}}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "openapi") {
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
func (s *source) constants(typeName string) []string {
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
			return true
		})
	}
	return all
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

// handlers returns the name of the method behind each operation of the table,
// by the key of the operation.
func (s *source) handlers(t *testing.T) map[string]string {
	t.Helper()
	byKey := map[string]string{}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != "operations" {
				return true
			}
			for i, row := range spec.Values[0].(*ast.CompositeLit).Elts {
				cells := row.(*ast.CompositeLit).Elts
				last := cells[len(cells)-1]
				if call, ok := last.(*ast.CallExpr); ok { // reader or writer
					last = call.Args[0]
					s.readers[operations[i].key()] = call.Fun.(*ast.Ident).Name == "reader"
				}
				byKey[operations[i].key()] = last.(*ast.SelectorExpr).Sel.Name
			}
			return false
		})
	}
	require.Len(t, byKey, len(operations))
	return byKey
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
