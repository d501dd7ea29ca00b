package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/headwater-git/headwater/providers"
)

// attribute is one of the provider's own attributes.
type attribute struct {
	pos   Pos
	value cty.Value
}

// encode returns the attributes as one JSON object. A null attribute is left
// out, as if it were not there.
func (p *parser) encode(attributes map[string]attribute) json.RawMessage {
	object := map[string]any{}
	for name, attr := range attributes {
		if attr.value.IsNull() {
			continue
		}
		value, err := plain(attr.value)
		if err != nil {
			p.ds = append(p.ds, Diagnostic{Pos: attr.pos, Message: fmt.Sprintf("%s: %v", name, err)})
			continue
		}
		object[name] = value
	}
	out, err := json.Marshal(object)
	if err != nil {
		// Strings, numbers, booleans, lists and maps of them always marshal.
		panic("config: " + err.Error())
	}
	return out
}

// plain converts a value to what encoding/json knows.
func plain(value cty.Value) (any, error) {
	t := value.Type()
	switch {
	case value.IsNull():
		return nil, nil
	case t == cty.String:
		return value.AsString(), nil
	case t == cty.Bool:
		return value.True(), nil
	case t == cty.Number:
		return plainNumber(value.AsBigFloat())
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		out := []any{}
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			e, err := plain(element)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	case t.IsObjectType() || t.IsMapType():
		out := map[string]any{}
		for it := value.ElementIterator(); it.Next(); {
			key, element := it.Element()
			e, err := plain(element)
			if err != nil {
				return nil, err
			}
			out[key.AsString()] = e
		}
		return out, nil
	default:
		return nil, fmt.Errorf("a value of type %s cannot be given to a plugin", t.FriendlyName())
	}
}

func plainNumber(n *big.Float) (any, error) {
	if i, accuracy := n.Int64(); accuracy == big.Exact {
		return i, nil
	}
	f, _ := n.Float64()
	if math.IsInf(f, 0) {
		return nil, fmt.Errorf("the number is out of range")
	}
	return f, nil
}

// CheckAttributes checks the provider's own attributes against its manifest:
// every one is known and of its type, and none that is required is missing.
// Errors are [Diagnostics].
func (p *Provider) CheckAttributes(m providers.Manifest) error {
	var ds Diagnostics
	known := map[string]providers.Attribute{}
	for _, a := range m.Attributes {
		known[a.Name] = a
		if _, ok := p.attributes[a.Name]; !ok && a.Required {
			ds = append(ds, Diagnostic{Pos: p.Pos, Message: fmt.Sprintf("provider %q needs the attribute %q: %s", p.Instance, a.Name, a.Doc)})
		}
	}
	for name, attr := range p.attributes {
		want, ok := known[name]
		switch {
		case !ok:
			ds = append(ds, Diagnostic{Pos: attr.pos, Message: fmt.Sprintf("provider %q has no attribute %q; %s", p.Instance, name, knownNames(known))})
		case attr.value.IsNull() && want.Required:
			ds = append(ds, Diagnostic{Pos: attr.pos, Message: fmt.Sprintf("%s must not be null", name)})
		case !attr.value.IsNull() && !hasType(attr.value, want.Type):
			ds = append(ds, Diagnostic{Pos: attr.pos, Message: fmt.Sprintf("%s must be a %s", name, want.Type)})
		}
	}
	slices.SortFunc(ds, func(a, b Diagnostic) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return strings.Compare(a.Message, b.Message)
	})
	return ds.err()
}

// SecretAttributes returns the values of the string attributes that the
// manifest calls sensitive, also those that were written out in the file.
func (p *Provider) SecretAttributes(m providers.Manifest) []providers.Secret {
	var out []providers.Secret
	for _, a := range m.Attributes {
		attr, ok := p.attributes[a.Name]
		if !ok || !a.Sensitive || attr.value.IsNull() {
			continue
		}
		if attr.value.Type() == cty.String {
			out = append(out, providers.Secret(attr.value.AsString()))
		} else if list, ok := stringList(attr.value); ok {
			for _, s := range list {
				out = append(out, providers.Secret(s))
			}
		}
	}
	return out
}

func hasType(value cty.Value, want string) bool {
	switch want {
	case "string":
		return value.Type() == cty.String
	case "number":
		return value.Type() == cty.Number
	case "bool":
		return value.Type() == cty.Bool
	case "list":
		_, ok := stringList(value)
		return ok
	default:
		// A type of a newer contract: the plugin checks it in Configure.
		return true
	}
}

func knownNames(known map[string]providers.Attribute) string {
	if len(known) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
}
