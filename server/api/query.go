package api

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
)

// checkQuery refuses a query that could be read in two ways, or that says what none of
// the operation's parameters can mean: whoever asks for `state=%zz` would else get the
// list of everything. Parameters that the operation has not are ignored. Errors:
// KindInvalid.
func (op operation) checkQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errQuery
	}
	for _, p := range op.takes() {
		if err := p.check(query, op.names()); err != nil {
			return err
		}
	}
	return nil
}

// errQuery does not repeat the query, which may hold what was meant for elsewhere.
var errQuery = core.Errorf(core.KindInvalid, `the query of the URL cannot be read: a percent sign needs two hexadecimal digits after it (write the sign itself as "%%25"), and parameters are separated by "&" (write a semicolon as "%%3B")`)

// takes returns the parameters of the operation's query, and headers.
func (op operation) takes() []parameter {
	if op.read != nil {
		return append([]parameter{paramMaxStaleness, paramFreshness}, op.in.query...)
	}
	return op.in.query
}

// names reports whether the query names things of a repository: paths and refs, which are
// bytes. All else is text.
func (op operation) names() bool { return op.read != nil || op.write != nil }

// check looks at the values of a parameter.
func (p parameter) check(query url.Values, bytes bool) error {
	if p.in == "header" {
		return nil
	}
	for _, name := range append([]string{p.name}, p.older...) {
		values := query[name]
		if len(values) > 1 && !p.repeated {
			return core.Errorf(core.KindInvalid, "the parameter %q is there more than once; it has one value", name)
		}
		for _, value := range values {
			if strings.ContainsRune(value, 0) || !bytes && !utf8.ValidString(value) {
				return core.Errorf(core.KindInvalid, "the parameter %q must be text in UTF-8, without zero bytes", name)
			}
		}
	}
	return nil
}
