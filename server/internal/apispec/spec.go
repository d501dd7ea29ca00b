// Package apispec holds HTTP exchanges against an OpenAPI 3.1 document, for
// tests. It knows the part of OpenAPI and of JSON Schema that the document of
// this server uses, and refuses a document that uses more, so that nothing is
// left unchecked in silence.
//
// It is stricter than the document says: a field or parameter that the
// document does not have is an error, because the document is meant to have
// them all.
package apispec

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Spec is an OpenAPI document.
type Spec struct {
	root       object
	operations map[string]*operation // by id
}

type object = map[string]any

// operation is one operation of the document.
type operation struct {
	id, method, path string
	parameters       []object // resolved, those of the path too
	body             object   // resolved; nil if there is none
	responses        object
}

// Parse reads a document and checks its structure: references lead somewhere,
// ids are unique, the variables of paths are declared, and schemas use nothing
// that this package does not check.
func Parse(text []byte) (*Spec, error) {
	s := &Spec{operations: map[string]*operation{}}
	if err := json.Unmarshal(text, &s.root); err != nil {
		return nil, err
	}
	if version, _ := s.root["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		return nil, fmt.Errorf("openapi is %q, not 3.1", version)
	}
	if err := s.checkReferences("#", s.root); err != nil {
		return nil, err
	}
	components, _ := s.root["components"].(object)
	schemas, _ := components["schemas"].(object)
	for name, schema := range schemas {
		if err := checkSchema("schemas/"+name, schema); err != nil {
			return nil, err
		}
	}
	paths, _ := s.root["paths"].(object)
	for path, item := range paths {
		if err := s.addPath(path, item.(object)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return s, nil
}

// checkReferences checks every $ref below a value.
func (s *Spec) checkReferences(at string, value any) error {
	switch value := value.(type) {
	case object:
		if ref, ok := value["$ref"].(string); ok {
			if _, err := s.lookup(ref); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
		for key, item := range value {
			if err := s.checkReferences(at+"/"+key, item); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range value {
			if err := s.checkReferences(fmt.Sprintf("%s/%d", at, i), item); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookup finds what a reference within the document means.
func (s *Spec) lookup(ref string) (object, error) {
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("the reference %q leads out of the document", ref)
	}
	at := s.root
	for key := range strings.SplitSeq(path, "/") {
		if at, ok = at[key].(object); !ok {
			return nil, fmt.Errorf("the reference %q leads nowhere", ref)
		}
	}
	return at, nil
}

// resolve follows a reference, if the value is one.
func (s *Spec) resolve(value any) object {
	o, _ := value.(object)
	for {
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		o, _ = s.lookup(ref) // Parse has checked them all
	}
}

// addPath adds the operations of a path.
func (s *Spec) addPath(path string, item object) error {
	for method, value := range item {
		if method == "parameters" {
			continue
		}
		raw := value.(object)
		op := &operation{method: strings.ToUpper(method), path: path, responses: raw["responses"].(object)}
		op.id, _ = raw["operationId"].(string)
		if other, ok := s.operations[op.id]; ok || op.id == "" {
			return fmt.Errorf("the operationId %q of %s is not unique: %v", op.id, method, other)
		}
		s.operations[op.id] = op
		declared := map[string]bool{}
		for _, list := range []any{item["parameters"], raw["parameters"]} {
			list, _ := list.([]any)
			for _, p := range list {
				parameter := s.resolve(p)
				key := fmt.Sprint(parameter["in"], " ", parameter["name"])
				if declared[key] {
					return fmt.Errorf("%s has the parameter %q twice", op.id, key)
				}
				declared[key] = true
				if err := checkSchema(key, parameter["schema"]); err != nil {
					return err
				}
				op.parameters = append(op.parameters, parameter)
			}
		}
		for segment := range strings.SplitSeq(path, "/") {
			if name, ok := strings.CutPrefix(segment, "{"); ok && !declared["path "+strings.TrimSuffix(name, "}")] {
				return fmt.Errorf("%s does not declare the variable %s", op.id, segment)
			}
		}
		if body, ok := raw["requestBody"]; ok {
			op.body = s.resolve(body)
		}
		if len(op.responses) == 0 {
			return fmt.Errorf("%s has no responses", op.id)
		}
	}
	return nil
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

// Find returns the id of the operation that a request is for; path is the
// escaped one. HEAD is found as GET where it is not an operation by itself.
func (s *Spec) Find(method, path string) (id string, ok bool) {
	best := -1
	for _, op := range s.operations {
		variables, fits := match(op.path, path)
		if fits && op.method == method && (best < 0 || variables < best) {
			id, best = op.id, variables
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
