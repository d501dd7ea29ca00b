package apispec

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"time"
)

// keywords are what schemas may hold, with whether it is checked: the others
// only explain.
var keywords = map[string]bool{
	"$ref": true, "type": true, "required": true, "properties": true, "items": true, "enum": true, "additionalProperties": true,
	"pattern": true, "format": true, "contentEncoding": true,
	"description": false, "default": false, "example": false,
	// A number out of range is brought into it, so a request may have it.
	"minimum": false, "maximum": false,
}

// checkSchema refuses a schema that says what this package does not check.
func checkSchema(at string, schema any) error {
	o, ok := schema.(object)
	if !ok {
		return fmt.Errorf("%s is no schema", at)
	}
	for key, value := range o {
		if _, known := keywords[key]; !known {
			return fmt.Errorf("%s: the keyword %q is not known here", at, key)
		}
		switch key {
		case "properties":
			for name, property := range value.(object) {
				if err := checkSchema(at+"."+name, property); err != nil {
					return err
				}
			}
		case "items", "additionalProperties":
			if err := checkSchema(at+"[]", value); err != nil {
				return err
			}
		case "pattern":
			if _, err := regexp.Compile(value.(string)); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		case "required":
			properties, _ := o["properties"].(object)
			for _, name := range value.([]any) {
				if properties[name.(string)] == nil {
					return fmt.Errorf("%s: the required property %q is not described", at, name)
				}
			}
		}
	}
	return nil
}

// validate checks a value against a schema.
func (s *Spec) validate(at string, value any, schema object) error {
	if ref, ok := schema["$ref"].(string); ok {
		target, err := s.lookup(ref)
		if err != nil {
			return err
		}
		if err := s.validate(at, value, target); err != nil {
			return err
		}
	}
	if err := checkType(at, value, schema["type"]); err != nil {
		return err
	}
	if list, ok := schema["enum"].([]any); ok && !slices.Contains(list, value) {
		return fmt.Errorf("%s is %#v, not one of %v", at, value, list)
	}
	switch value := value.(type) {
	case string:
		return checkString(at, value, schema)
	case []any:
		items, ok := schema["items"].(object)
		if !ok {
			return nil
		}
		for i, item := range value {
			if err := s.validate(fmt.Sprintf("%s[%d]", at, i), item, items); err != nil {
				return err
			}
		}
	case object:
		return s.validateObject(at, value, schema)
	}
	return nil
}

func (s *Spec) validateObject(at string, value, schema object) error {
	if list, ok := schema["required"].([]any); ok {
		for _, name := range list {
			if _, ok := value[name.(string)]; !ok {
				return fmt.Errorf("%s has no %q", at, name)
			}
		}
	}
	properties, described := schema["properties"].(object)
	others, open := schema["additionalProperties"].(object)
	for _, name := range slices.Sorted(maps.Keys(value)) {
		property, ok := properties[name].(object)
		switch {
		case ok:
		case open:
			property = others
		case described:
			return fmt.Errorf("%s has %q, which is not in the document", at, name)
		default:
			continue // "type": "object" alone, or a reference that was checked
		}
		if err := s.validate(at+"."+name, value[name], property); err != nil {
			return err
		}
	}
	return nil
}

// checkType checks the JSON type, which may be one name or a list of them.
func checkType(at string, value, want any) error {
	if want == nil {
		return nil
	}
	list, ok := want.([]any)
	if !ok {
		list = []any{want}
	}
	var got string
	switch value := value.(type) {
	case nil:
		got = "null"
	case bool:
		got = "boolean"
	case string:
		got = "string"
	case []any:
		got = "array"
	case object:
		got = "object"
	case float64:
		got = "number"
		if value == math.Trunc(value) && slices.Contains(list, any("integer")) {
			got = "integer"
		}
	}
	if !slices.Contains(list, any(got)) {
		return fmt.Errorf("%s is of type %s, not %v", at, got, want)
	}
	return nil
}

func checkString(at, value string, schema object) error {
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
		return fmt.Errorf("%s is %q, which does not match %s", at, value, pattern)
	}
	if schema["format"] == "date-time" {
		if err := checkTime(value); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	if schema["contentEncoding"] == "base64" {
		if _, err := base64.StdEncoding.DecodeString(value); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// clientTime is what datetime.fromisoformat of Python 3.9 and 3.10 reads, which
// is what the published client parses times with after it has replaced a "Z".
var clientTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:\d\d)$`)

// checkTime reports why a client could not read a time: RFC 3339 allows any
// number of digits after the seconds, the published client does not.
func checkTime(value string) error {
	if !clientTime.MatchString(value) {
		return fmt.Errorf("the time %q has neither whole seconds nor three or six digits of them", value)
	}
	_, err := time.Parse(time.RFC3339, value)
	return err
}
