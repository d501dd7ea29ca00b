package apispec

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// CheckResponse reports what of an answer to an operation is not as the
// document says: a status that it does not have, a header that is missing, a
// body of another type, or one that does not fit its schema. The body of an
// answer to HEAD is nil.
func (s *Spec) CheckResponse(id string, status int, header http.Header, body []byte) error {
	op, ok := s.operations[id]
	if !ok {
		return fmt.Errorf("there is no operation %q", id)
	}
	if err := s.checkResponse(op, status, header, body); err != nil {
		return fmt.Errorf("%s answered %d: %w", id, status, err)
	}
	return nil
}

func (s *Spec) checkResponse(op *operation, status int, header http.Header, body []byte) error {
	ref := op.Responses.Status(status)
	if ref == nil {
		return fmt.Errorf("the document does not have this status")
	}
	for name, h := range ref.Value.Headers {
		if h.Value.Required && header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if op.method == http.MethodHead {
		if len(body) > 0 {
			return fmt.Errorf("an answer to HEAD has a body")
		}
		return nil
	}
	if len(ref.Value.Content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("the body should be empty: %.200q", body)
		}
		return nil
	}
	return op.checkBody(strconv.Itoa(status), ref.Value.Content, header.Get("Content-Type"), body)
}

// checkBody checks a body of one of the types of content: of the request, or of
// the answer with a status.
func (op *operation) checkBody(of string, content openapi3.Content, contentType string, body []byte) error {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("the Content-Type %q: %w", contentType, err)
	}
	if content[media] == nil {
		return fmt.Errorf("the Content-Type %q is not in the document", media)
	}
	schema := op.schemas[of+" "+media]
	if schema == nil {
		return nil // bytes of any kind
	}
	lines := [][]byte{body}
	if media == "application/x-ndjson" {
		lines = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	for _, line := range lines {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if err != nil {
			return fmt.Errorf("the body is not JSON: %w: %.200q", err, body)
		}
		if err := schema.Validate(value); err != nil {
			return fmt.Errorf("the body: %w", err)
		}
	}
	return nil
}

// CheckRequest reports what of a request for an operation the document does
// not have, or what it demands and the request has not. No body is nil.
func (s *Spec) CheckRequest(id string, query url.Values, header http.Header, body []byte) error {
	op, ok := s.operations[id]
	if !ok {
		return fmt.Errorf("there is no operation %q", id)
	}
	if err := op.checkRequest(query, header, body); err != nil {
		return fmt.Errorf("request for %s: %w", id, err)
	}
	return nil
}

// olderNamesKey is the extension of a parameter that lists its older names,
// which servers take as well.
const olderNamesKey = "x-older-names"

func (op *operation) checkRequest(query url.Values, header http.Header, body []byte) error {
	known := map[string]*openapi3.Parameter{}
	for _, ref := range op.parameters {
		p := ref.Value
		if p.In != openapi3.ParameterInQuery {
			continue
		}
		known[p.Name] = p
		older, _ := p.Extensions[olderNamesKey].([]any)
		for _, name := range older {
			known[name.(string)] = p
		}
		if p.Required && !query.Has(p.Name) {
			return fmt.Errorf("the parameter %q is missing", p.Name)
		}
	}
	for name, values := range query {
		p, ok := known[name]
		if !ok {
			return fmt.Errorf("the parameter %q is not in the document", name)
		}
		schema := p.Schema.Value
		if schema.Type.Is(openapi3.TypeArray) {
			schema = schema.Items.Value
		} else if len(values) > 1 {
			return fmt.Errorf("the parameter %q is there %d times", name, len(values))
		}
		for _, value := range values {
			if err := checkText(schema.Type, value); err != nil {
				return fmt.Errorf("the parameter %q: %w", name, err)
			}
		}
	}
	switch {
	case op.RequestBody == nil && len(body) > 0:
		return fmt.Errorf("the document has no body")
	case op.RequestBody == nil || !op.RequestBody.Value.Required && len(body) == 0:
		return nil
	}
	return op.checkBody("request", op.RequestBody.Value.Content, header.Get("Content-Type"), body)
}

// checkText checks a parameter, which is text whatever its type. A number out
// of range is brought into it, so a request may have it.
func checkText(kind *openapi3.Types, value string) (err error) {
	switch {
	case kind.Is(openapi3.TypeBoolean):
		if !slices.Contains([]string{"true", "false"}, strings.ToLower(value)) {
			return fmt.Errorf("%q is no boolean", value)
		}
	case kind.Is(openapi3.TypeInteger):
		_, err = strconv.Atoi(value)
	}
	return err
}
