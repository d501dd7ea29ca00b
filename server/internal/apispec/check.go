package apispec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	response := s.resolve(op.responses[strconv.Itoa(status)])
	if response == nil {
		return fmt.Errorf("the document does not have this status")
	}
	declared, _ := response["headers"].(object)
	for name, h := range declared {
		if s.resolve(h)["required"] == true && header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if op.method == http.MethodHead {
		if len(body) > 0 {
			return fmt.Errorf("an answer to HEAD has a body")
		}
		return nil
	}
	content, _ := response["content"].(object)
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("the body should be empty: %.200q", body)
		}
		return nil
	}
	return s.checkBody(content, header.Get("Content-Type"), body)
}

// checkBody checks a body of one of the types of content.
func (s *Spec) checkBody(content object, contentType string, body []byte) error {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("the Content-Type %q: %w", contentType, err)
	}
	kind, ok := content[media].(object)
	if !ok {
		return fmt.Errorf("the Content-Type %q is not in the document", media)
	}
	schema, ok := kind["schema"].(object)
	if !ok {
		return nil // bytes of any kind
	}
	lines := [][]byte{body}
	if media == "application/x-ndjson" {
		lines = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	}
	for _, line := range lines {
		var value any
		if err := json.Unmarshal(line, &value); err != nil {
			return fmt.Errorf("the body is not JSON: %w: %.200q", err, body)
		}
		if err := s.validate("body", value, schema); err != nil {
			return err
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
	if err := s.checkRequest(op, query, header, body); err != nil {
		return fmt.Errorf("request for %s: %w", id, err)
	}
	return nil
}

func (s *Spec) checkRequest(op *operation, query url.Values, header http.Header, body []byte) error {
	known := map[string]object{}
	for _, p := range op.parameters {
		if p["in"] != "query" {
			continue
		}
		name := p["name"].(string)
		known[name] = p
		if p["required"] == true && !query.Has(name) {
			return fmt.Errorf("the parameter %q is missing", name)
		}
	}
	for name, values := range query {
		p, ok := known[name]
		if !ok {
			return fmt.Errorf("the parameter %q is not in the document", name)
		}
		schema := p["schema"].(object)
		if schema["type"] == "array" {
			schema = schema["items"].(object)
		} else if len(values) > 1 {
			return fmt.Errorf("the parameter %q is there %d times", name, len(values))
		}
		for _, value := range values {
			if err := checkText(schema["type"], value); err != nil {
				return fmt.Errorf("the parameter %q: %w", name, err)
			}
		}
	}
	switch {
	case op.body == nil && len(body) > 0:
		return fmt.Errorf("the document has no body")
	case op.body == nil || op.body["required"] != true && len(body) == 0:
		return nil
	}
	return s.checkBody(op.body["content"].(object), header.Get("Content-Type"), body)
}

// checkText checks a parameter, which is text whatever its type.
func checkText(want any, value string) (err error) {
	switch want {
	case "boolean":
		if !slices.Contains([]string{"true", "false"}, strings.ToLower(value)) {
			return fmt.Errorf("%q is no boolean", value)
		}
	case "integer":
		_, err = strconv.Atoi(value)
	}
	return err
}
