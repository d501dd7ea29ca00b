package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/headwater-git/headwater/providers"
)

var errTooLarge = errors.New("larger than 1 MiB")

// secretMark marks every value that came from env() or file(), also inside of
// a template, so that no message repeats it.
type secretMark struct{}

// values evaluates the attributes of one provider block.
type values struct {
	p       *parser
	secrets *[]providers.Secret
	context *hcl.EvalContext
}

func newValues(p *parser, secrets *[]providers.Secret) *values {
	v := &values{p: p, secrets: secrets}
	v.context = &hcl.EvalContext{Functions: map[string]function.Function{
		"env":  v.function("name", v.readEnv),
		"file": v.function("path", v.readFile),
	}}
	return v
}

// function makes an HCL function of one string that returns a secret. The
// callee learns whether its argument is secret, and must not be repeated in a message.
func (v *values) function(param string, read func(arg string, secret bool) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: param, Type: cty.String, AllowMarked: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			arg, marks := args[0].Unmark()
			text, err := read(arg.AsString(), len(marks) > 0)
			if err != nil {
				return cty.NilVal, err
			}
			*v.secrets = append(*v.secrets, providers.Secret(text))
			return cty.StringVal(text).Mark(secretMark{}), nil
		},
	})
}

func (v *values) readEnv(name string, secret bool) (string, error) {
	if secret {
		return "", errors.New("the name of the variable must be written out")
	}
	if v.p.env == nil {
		return "", fmt.Errorf("environment variable %q is not set", name)
	}
	value, ok := v.p.env(name)
	if !ok {
		return "", fmt.Errorf("environment variable %q is not set", name)
	}
	return value, nil
}

// readFile reads a secret from a file. Editors and echo end a file with a
// newline, and a token that ends with one is refused by every host.
func (v *values) readFile(path string, secret bool) (string, error) {
	src, err := readFile(v.p.path(path))
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // without the path
		}
		if secret {
			return "", fmt.Errorf("the file cannot be read: %w", err)
		}
		return "", fmt.Errorf("file %q cannot be read: %w", path, err)
	}
	if !utf8.Valid(src) {
		// It could not be sent to the plugin.
		return "", errors.New("the file is not UTF-8 text")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(src), "\n"), "\r"), nil
}

// eval evaluates an attribute. The value is known and unmarked; it may be null.
func (v *values) eval(attr *hclsyntax.Attribute) (cty.Value, bool) {
	value, found := attr.Expr.Value(v.context)
	if found.HasErrors() {
		v.p.ds.addHCL(found)
		return cty.NilVal, false
	}
	value, _ = value.UnmarkDeep()
	if !value.IsWhollyKnown() {
		v.p.ds.add(attr.SrcRange, "%s has no known value", attr.Name)
		return cty.NilVal, false
	}
	return value, true
}

// scalar evaluates an attribute of one exact type. There is no conversion:
// allow_private = "false" should be an error and not true or false.
func (v *values) scalar(attr *hclsyntax.Attribute, want cty.Type, words string) (cty.Value, bool) {
	value, ok := v.eval(attr)
	if !ok {
		return cty.NilVal, false
	}
	if value.IsNull() || value.Type() != want {
		v.p.ds.add(attr.SrcRange, "%s must be %s", attr.Name, words)
		return cty.NilVal, false
	}
	return value, true
}

func (v *values) string(attr *hclsyntax.Attribute) (string, bool) {
	value, ok := v.scalar(attr, cty.String, "a string")
	if !ok {
		return "", false
	}
	if value.AsString() == "" {
		v.p.ds.add(attr.SrcRange, "%s must not be empty", attr.Name)
		return "", false
	}
	return value.AsString(), true
}

func (v *values) bool(attr *hclsyntax.Attribute) bool {
	value, ok := v.scalar(attr, cty.Bool, "true or false")
	return ok && value.True()
}

func (v *values) int(attr *hclsyntax.Attribute, low, high int64) int {
	value, ok := v.scalar(attr, cty.Number, "a number")
	if !ok {
		return 0
	}
	n, accuracy := value.AsBigFloat().Int64()
	if accuracy != big.Exact || n < low || n > high {
		v.p.ds.add(attr.SrcRange, "%s must be a whole number from %d to %d", attr.Name, low, high)
		return 0
	}
	return int(n)
}

// strings returns a list of strings, nil after an error that it has recorded.
func (v *values) strings(attr *hclsyntax.Attribute) []string {
	value, ok := v.eval(attr)
	if !ok {
		return nil
	}
	list, ok := stringList(value)
	if !ok {
		v.p.ds.add(attr.SrcRange, "%s must be a list of strings", attr.Name)
		return nil
	}
	if slices.Contains(list, "") {
		v.p.ds.add(attr.SrcRange, "%s must not hold an empty string", attr.Name)
		return nil
	}
	return list
}

// stringList converts a list, tuple or set of strings.
func stringList(value cty.Value) ([]string, bool) {
	if value.IsNull() || !(value.Type().IsTupleType() || value.Type().IsListType() || value.Type().IsSetType()) {
		return nil, false
	}
	var out []string
	for it := value.ElementIterator(); it.Next(); {
		_, element := it.Element()
		if element.IsNull() || element.Type() != cty.String {
			return nil, false
		}
		out = append(out, element.AsString())
	}
	return out, true
}

// sortedAttributes returns the attributes of a body in the order of the file,
// so that problems are reported in that order.
func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	out := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, attr := range body.Attributes {
		out = append(out, attr)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	return out
}

// checkNumbers refuses numbers with an exponent of more than three digits. They
// are kept with arbitrary precision, so that one of a few bytes would become a
// text of gigabytes when it is converted to a string.
func checkNumbers(filename string, src []byte) Diagnostics {
	var ds Diagnostics
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	for _, token := range tokens {
		if token.Type != hclsyntax.TokenNumberLit {
			continue
		}
		_, exponent, ok := strings.Cut(strings.ToLower(string(token.Bytes)), "e")
		if ok && len(strings.TrimLeft(exponent, "+-0")) > 3 {
			ds.add(token.Range, "the number is out of range")
		}
	}
	return ds
}
