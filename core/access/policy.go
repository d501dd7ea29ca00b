package access

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Op is one restriction of a ref policy.
type Op string

// The ops.
const (
	NoPush      Op = "no-push"       // refuse every change of the ref
	NoForcePush Op = "no-force-push" // refuse updates that are no fast-forward, and deletion
	VerifySig   Op = "verify-sig"    // refuse new commits without a signature that verifies
)

// catchAll is the pattern that matches every ref.
const catchAll = "*"

// Rule is what a policy says about one ref. The zero Rule allows everything.
type Rule struct {
	NoPush      bool
	NoForcePush bool
	VerifySig   bool
}

func (r *Rule) add(op Op) error {
	switch op {
	case NoPush:
		r.NoPush = true
	case NoForcePush:
		r.NoForcePush = true
	case VerifySig:
		r.VerifySig = true
	default:
		// An op that we do not know is a restriction that we would not enforce.
		return fmt.Errorf("unknown op %q; known are %s, %s and %s", op, NoPush, NoForcePush, VerifySig)
	}
	return nil
}

// Policy is an ordered list of rules for refs. The zero Policy allows
// everything. A Policy is never changed after it is made, so it can be shared.
type Policy struct {
	entries []policyEntry
}

// policyEntry is one rule with the refs it is for, in full form.
type policyEntry struct {
	pattern string // exact ref name, or with prefix: what the name starts with
	prefix  bool
	rule    Rule
}

func (e policyEntry) catchesAll() bool { return e.prefix && e.pattern == "" }

func (e policyEntry) matches(ref string) bool {
	if e.prefix {
		return strings.HasPrefix(ref, e.pattern)
	}
	return ref == e.pattern
}

// ParsePolicy reads the claims "refs" and "ops" of a token. Both may be absent.
//
// refs is an array of [pattern, [op, ...]]. A pattern is a full ref name, a
// prefix that ends with "/*", or "*" for every ref; one that starts neither
// with "refs/" nor is "*" or "HEAD" is the name of a branch. ops is the older,
// repository-wide form: it counts as part of the first "*" entry, or as one at
// the end.
//
// A claim that is not understood whole is an error, because the part left out
// would be a restriction that is not enforced. The error names the entry and is
// a KindInvalid [*core.Error].
func ParsePolicy(refs json.RawMessage, ops []string) (Policy, error) {
	var p Policy
	if len(refs) > 0 {
		var raw []json.RawMessage
		if err := json.Unmarshal(refs, &raw); err != nil {
			return Policy{}, core.Errorf(core.KindInvalid, `the claim "refs" must be an array of [pattern, [op, ...]]`)
		}
		for i, r := range raw {
			e, err := parseEntry(r)
			if err != nil {
				return Policy{}, core.Errorf(core.KindInvalid, `the claim "refs" is malformed at entry %d: %s`, i+1, err)
			}
			p.entries = append(p.entries, e)
		}
	}
	if len(ops) == 0 {
		return p, nil
	}

	all := -1
	for i, e := range p.entries {
		if e.catchesAll() {
			all = i
			break
		}
	}
	if all < 0 {
		p.entries = append(p.entries, policyEntry{prefix: true})
		all = len(p.entries) - 1
	}
	for i, op := range ops {
		if err := p.entries[all].rule.add(Op(op)); err != nil {
			return Policy{}, core.Errorf(core.KindInvalid, `the claim "ops" is malformed at entry %d: %s`, i+1, err)
		}
	}
	return p, nil
}

// parseEntry reads [pattern, [op, ...]].
func parseEntry(raw json.RawMessage) (policyEntry, error) {
	var tuple []json.RawMessage
	if err := json.Unmarshal(raw, &tuple); err != nil || len(tuple) != 2 {
		return policyEntry{}, fmt.Errorf("want [pattern, [op, ...]]")
	}
	// Pointers and the nil check tell null apart: encoding/json would take it
	// for an empty string or list, which here means "allow".
	var pattern *string
	if err := json.Unmarshal(tuple[0], &pattern); err != nil || pattern == nil {
		return policyEntry{}, fmt.Errorf("the pattern must be a string")
	}
	var ops []*string
	if err := json.Unmarshal(tuple[1], &ops); err != nil || ops == nil {
		return policyEntry{}, fmt.Errorf("the ops of %q must be an array of strings", *pattern)
	}
	e, err := parsePattern(*pattern)
	if err != nil {
		return policyEntry{}, err
	}
	for _, op := range ops {
		if op == nil {
			return policyEntry{}, fmt.Errorf("the ops of %q must be an array of strings", *pattern)
		}
		if err := e.rule.add(Op(*op)); err != nil {
			return policyEntry{}, err
		}
	}
	return e, nil
}

// parsePattern refuses what can match no ref, such as "main/" or "feat*": who
// wrote that meant something else, and a restriction would silently be lost.
func parsePattern(pattern string) (policyEntry, error) {
	switch pattern {
	case catchAll:
		return policyEntry{prefix: true}, nil
	case "HEAD":
		return policyEntry{pattern: pattern}, nil
	}
	full := pattern
	if !strings.HasPrefix(full, "refs/") {
		full = "refs/heads/" + full
	}
	if prefix, ok := strings.CutSuffix(full, "/*"); ok {
		if core.ValidateRefName(prefix+"/x") != nil {
			return policyEntry{}, fmt.Errorf("the pattern %q can match no ref", pattern)
		}
		return policyEntry{pattern: prefix + "/", prefix: true}, nil
	}
	if strings.Contains(full, "*") {
		return policyEntry{}, fmt.Errorf(`in the pattern %q the "*" is not at the end after a "/"`, pattern)
	}
	if core.ValidateRefName(full) != nil {
		return policyEntry{}, fmt.Errorf("the pattern %q can match no ref", pattern)
	}
	return policyEntry{pattern: full}, nil
}

// Rule returns what the policy says about a ref, given by the name that the
// client uses: the rule of the first entry that matches. No match allows
// everything.
func (p Policy) Rule(ref string) Rule {
	for _, e := range p.entries {
		if e.matches(ref) {
			return e.rule
		}
	}
	return Rule{}
}

// ForbidsPush reports whether there are refs, by whatever pattern, that the
// policy lets nobody push.
func (p Policy) ForbidsPush() bool {
	return slices.ContainsFunc(p.entries, func(e policyEntry) bool { return e.rule.NoPush })
}

// AllowsPush reports whether there are refs, by whatever name, that the policy lets be
// pushed.
func (p Policy) AllowsPush() bool {
	for _, e := range p.entries {
		name := e.pattern
		if e.prefix {
			name += "\x00" // below the prefix, and no name that another entry has
		}
		switch {
		case !p.Rule(name).NoPush:
			return true
		case e.catchesAll():
			return false
		}
	}
	return true // what no entry matches
}

// IsZero reports whether the policy has no entries at all.
func (p Policy) IsZero() bool { return len(p.entries) == 0 }

// Refs returns the policy as a claim "refs" that means the same.
func (p Policy) Refs() []RefOps {
	var refs []RefOps
	for _, e := range p.entries {
		one := RefOps{Pattern: e.pattern, Ops: []Op{}}
		if e.prefix {
			one.Pattern += catchAll
		}
		for _, op := range []struct {
			op    Op
			holds bool
		}{{NoPush, e.rule.NoPush}, {NoForcePush, e.rule.NoForcePush}, {VerifySig, e.rule.VerifySig}} {
			if op.holds {
				one.Ops = append(one.Ops, op.op)
			}
		}
		refs = append(refs, one)
	}
	return refs
}
