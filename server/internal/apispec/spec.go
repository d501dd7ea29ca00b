// Package apispec holds HTTP exchanges against an OpenAPI 3.1 document, for
// tests. The document is read by kin-openapi, and JSON is checked by a JSON
// Schema validator.
//
// It is stricter than the document says: a field or parameter that the
// document does not have is an error, because the document is meant to have
// them all.
package apispec

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Spec is an OpenAPI document.
type Spec struct {
	operations map[string]*operation // by id
}

// operation is one operation of the document.
type operation struct {
	*openapi3.Operation
	method, path string
	parameters   openapi3.Parameters           // those of the path too
	schemas      map[string]*jsonschema.Schema // of bodies, by status and media type; "request" for a status
}

// documentURL names the document to the validator.
const documentURL = "openapi.json"

// Parse reads a document and checks that it is valid OpenAPI, that the ids of
// its operations are unique, and that its schemas can be compiled.
func Parse(text []byte) (*Spec, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(text)
	if err != nil {
		return nil, err
	}
	if !document.IsOpenAPI31OrLater() {
		return nil, fmt.Errorf("openapi is %q, not 3.1", document.OpenAPI)
	}
	if err := document.Validate(loader.Context); err != nil {
		return nil, err
	}
	compiler, err := newCompiler(text)
	if err != nil {
		return nil, err
	}
	s := &Spec{operations: map[string]*operation{}}
	for path, item := range document.Paths.Map() {
		for method, described := range item.Operations() {
			if described.OperationID == "" {
				return nil, fmt.Errorf("%s %s has no operationId", method, path)
			}
			op := &operation{
				Operation: described, method: method, path: path,
				parameters: slices.Concat(item.Parameters, described.Parameters), schemas: map[string]*jsonschema.Schema{},
			}
			if err := op.compile(compiler); err != nil {
				return nil, fmt.Errorf("%s: %w", described.OperationID, err)
			}
			s.operations[described.OperationID] = op
		}
	}
	return s, nil
}

// newCompiler returns a compiler for the schemas of a document. In it, schemas
// that list properties have no others.
func newCompiler(text []byte) (*jsonschema.Compiler, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	closeObjects(document)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.AssertContent()
	compiler.RegisterFormat(&jsonschema.Format{Name: "date-time", Validate: checkTime})
	return compiler, compiler.AddResource(documentURL, document)
}

// closeObjects adds additionalProperties: false to every schema that has
// properties and says nothing of others.
func closeObjects(value any) {
	switch value := value.(type) {
	case map[string]any:
		_, described := value["properties"].(map[string]any)
		if _, open := value["additionalProperties"]; described && value["type"] == "object" && !open {
			value["additionalProperties"] = false
		}
		for _, item := range value {
			closeObjects(item)
		}
	case []any:
		for _, item := range value {
			closeObjects(item)
		}
	}
}

// compile compiles the schemas of the bodies.
func (op *operation) compile(compiler *jsonschema.Compiler) error {
	contents := map[string]openapi3.Content{}
	at := map[string]string{}
	here := "/paths/" + pointerPart(op.path) + "/" + strings.ToLower(op.method)
	if op.RequestBody != nil {
		contents["request"] = op.RequestBody.Value.Content
		at["request"] = pointerTo(op.RequestBody.Ref, here+"/requestBody")
	}
	for status, response := range op.Responses.Map() {
		contents[status] = response.Value.Content
		at[status] = pointerTo(response.Ref, here+"/responses/"+status)
	}
	for key, content := range contents {
		for media, kind := range content {
			if kind.Schema == nil {
				continue // bytes of any kind
			}
			schema, err := compiler.Compile(documentURL + "#" + at[key] + "/content/" + pointerPart(media) + "/schema")
			if err != nil {
				return err
			}
			op.schemas[key+" "+media] = schema
		}
	}
	return nil
}

// pointerTo returns where a reference leads within the document, or else where it
// would stand.
func pointerTo(ref, here string) string {
	if ref == "" {
		return here
	}
	return strings.TrimPrefix(ref, "#")
}

// pointerPart escapes a key for a JSON pointer in a URL.
func pointerPart(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(key)
}

// clientTime is what datetime.fromisoformat of Python 3.9 and 3.10 reads, which
// is what the published client parses times with after it has replaced a "Z".
var clientTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)$`)

// checkTime reports why a client could not read a time: RFC 3339 allows any
// number of digits after the seconds, the published client does not.
func checkTime(value any) error {
	text, ok := value.(string)
	if !ok {
		return nil
	}
	if !clientTime.MatchString(text) {
		return fmt.Errorf("the time %q has neither whole seconds nor three or six digits of them", text)
	}
	_, err := time.Parse(time.RFC3339, text)
	return err
}

// Operations returns the ids of all operations, sorted.
func (s *Spec) Operations() []string { return slices.Sorted(maps.Keys(s.operations)) }

// Route returns method and path template of an operation.
func (s *Spec) Route(id string) (method, path string) {
	if op, ok := s.operations[id]; ok {
		return op.method, op.path
	}
	return "", ""
}

// TakesBody reports whether the operation reads a body.
func (s *Spec) TakesBody(id string) bool {
	return s.operations[id] != nil && s.operations[id].RequestBody != nil
}

// Answers reports whether the document has this status among the answers of an operation.
func (s *Spec) Answers(id string, status int) bool {
	return s.operations[id] != nil && s.operations[id].Responses.Status(status) != nil
}

// Find returns the id of the operation that a request is for; path is the
// escaped one. HEAD is found as GET where it is not an operation by itself.
func (s *Spec) Find(method, path string) (id string, ok bool) {
	best := -1
	for _, op := range s.operations {
		variables, fits := match(op.path, path)
		if fits && op.method == method && (best < 0 || variables < best) {
			id, best = op.OperationID, variables
		}
	}
	if best < 0 && method == http.MethodHead {
		return s.Find(http.MethodGet, path)
	}
	return id, best >= 0
}

// match reports whether a path fits a template, and with how many variables.
func match(template, path string) (variables int, fits bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return 0, false
	}
	for i := range want {
		switch {
		case strings.HasPrefix(want[i], "{") && got[i] != "":
			variables++
		case want[i] != got[i]:
			return 0, false
		}
	}
	return variables, true
}
