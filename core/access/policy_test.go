package access

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core"
)

func TestPolicy_Rule_table(t *testing.T) {
	t.Parallel()
	var (
		noPush  = Rule{NoPush: true}
		noForce = Rule{NoForcePush: true}
		signed  = Rule{VerifySig: true}
		none    = Rule{}
	)
	for _, tt := range []struct {
		name string
		refs string
		ops  []string
		want map[string]Rule
	}{
		{"no claim", ``, nil, map[string]Rule{"refs/heads/main": none}},
		{"null", `null`, nil, map[string]Rule{"refs/heads/main": none}},
		{"exact", `[["refs/heads/main",["no-push"]]]`, nil,
			map[string]Rule{"refs/heads/main": noPush, "refs/heads/main2": none, "refs/heads/main/x": none, "refs/tags/main": none}},
		{"short branch", `[["main",["no-push"]]]`, nil, map[string]Rule{"refs/heads/main": noPush, "refs/tags/main": none}},
		{"short glob", `[["agents/*",["no-force-push"]]]`, nil,
			map[string]Rule{"refs/heads/agents/a": noForce, "refs/heads/agents/a/b": noForce, "refs/heads/agents": none, "refs/heads/agents2": none}},
		{"short form of a word that looks full", `[["heads/main",["no-push"]]]`, nil,
			map[string]Rule{"refs/heads/heads/main": noPush, "refs/heads/main": none}},
		{"tags need the full form", `[["refs/tags/*",["no-push"]]]`, nil, map[string]Rule{"refs/tags/v1": noPush, "refs/heads/tags/v1": none}},
		{"all of refs", `[["refs/*",["no-push"]]]`, nil, map[string]Rule{"refs/heads/a": noPush, "HEAD": none}},
		{"HEAD is not a branch", `[["HEAD",["no-push"]]]`, nil, map[string]Rule{"HEAD": noPush, "refs/heads/HEAD": none}},
		{"star is every ref", `[["*",["verify-sig"]]]`, nil, map[string]Rule{"refs/heads/a": signed, "refs/notes/commits": signed, "HEAD": signed}},
		{"first match wins", `[["main",["no-force-push"]],["refs/heads/*",["verify-sig"]],["*",["no-push"]]]`, nil,
			map[string]Rule{"refs/heads/main": noForce, "refs/heads/x": signed, "refs/tags/v1": noPush}},
		{"a general entry first hides the special one", `[["*",[]],["main",["no-push"]]]`, nil, map[string]Rule{"refs/heads/main": none}},
		{"empty ops allow", `[["ok/*",[]],["*",["no-push"]]]`, nil, map[string]Rule{"refs/heads/ok/a": none, "refs/heads/main": noPush}},
		{"several ops", `[["main",["no-force-push","verify-sig","no-force-push"]]]`, nil,
			map[string]Rule{"refs/heads/main": {NoForcePush: true, VerifySig: true}}},
		{"legacy ops alone", ``, []string{"no-push"}, map[string]Rule{"refs/heads/a": noPush, "refs/tags/v1": noPush}},
		{"legacy ops come last", `[["main",[]]]`, []string{"no-push"}, map[string]Rule{"refs/heads/main": none, "refs/heads/a": noPush}},
		{"legacy ops join the catch-all", `[["*",["verify-sig"]],["main",["no-push"]]]`, []string{"no-force-push"},
			map[string]Rule{"refs/heads/a": {VerifySig: true, NoForcePush: true}, "refs/heads/main": {VerifySig: true, NoForcePush: true}}},
		{"legacy ops do not join refs/*", `[["refs/*",["verify-sig"]]]`, []string{"no-push"}, map[string]Rule{"refs/heads/a": signed, "HEAD": noPush}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := ParsePolicy(json.RawMessage(tt.refs), tt.ops)
			require.NoError(t, err)
			got := map[string]Rule{}
			for ref := range tt.want {
				got[ref] = p.Rule(ref)
			}
			require.Empty(t, cmp.Diff(tt.want, got))
		})
	}
}

func TestParsePolicy_refusesAndNamesTheEntry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, refs string
		ops        []string
		want       string
	}{
		{"object", `{}`, nil, `the claim "refs" must be an array`},
		{"string", `"main"`, nil, `the claim "refs" must be an array`},
		{"entry is a string", `[["a",[]],"main"]`, nil, "entry 2: want [pattern"},
		{"entry is an object", `[{"pattern":"main","ops":[]}]`, nil, "entry 1: want [pattern"},
		{"entry is null", `[null]`, nil, "entry 1: want [pattern"},
		{"pattern alone", `[["main"]]`, nil, "entry 1: want [pattern"},
		{"three parts", `[["main",[],[]]]`, nil, "entry 1: want [pattern"},
		{"pattern is null", `[[null,["no-push"]]]`, nil, "entry 1: the pattern must be a string"},
		{"pattern is a number", `[[1,["no-push"]]]`, nil, "entry 1: the pattern must be a string"},
		{"ops are a string", `[["main","no-push"]]`, nil, `entry 1: the ops of "main"`},
		{"ops are null", `[["main",null]]`, nil, `entry 1: the ops of "main"`},
		{"op is null", `[["main",[null]]]`, nil, `entry 1: the ops of "main"`},
		{"op is a number", `[["main",[1]]]`, nil, `entry 1: the ops of "main"`},
		{"unknown op", `[["a",["no-push"]],["b",["no-pushing"]]]`, nil, `entry 2: unknown op "no-pushing"`},
		{"op of another case", `[["a",["No-Push"]]]`, nil, `unknown op "No-Push"`},
		{"unknown legacy op", ``, []string{"no-push", "x"}, `the claim "ops" is malformed at entry 2: unknown op "x"`},
		{"star in the middle", `[["refs/*/main",["no-push"]]]`, nil, `"*" is not at the end`},
		{"star without a slash", `[["feat*",["no-push"]]]`, nil, `"*" is not at the end`},
		{"two stars", `[["a/*/*",["no-push"]]]`, nil, "can match no ref"},
		{"empty", `[["",["no-push"]]]`, nil, "can match no ref"},
		{"only a slash", `[["/*",["no-push"]]]`, nil, "can match no ref"},
		{"trailing slash", `[["main/",["no-push"]]]`, nil, "can match no ref"},
		{"space", `[["my branch",["no-push"]]]`, nil, "can match no ref"},
		{"bare refs", `[["refs/",["no-push"]]]`, nil, "can match no ref"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePolicy(json.RawMessage(tt.refs), tt.ops)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		})
	}
}

func TestPolicy_IsZero_onlyWithoutEntries(t *testing.T) {
	t.Parallel()
	require.True(t, Policy{}.IsZero())
	p, err := ParsePolicy(json.RawMessage(`[]`), nil)
	require.NoError(t, err)
	require.True(t, p.IsZero())
	p, err = ParsePolicy(nil, []string{"no-push"})
	require.NoError(t, err)
	require.False(t, p.IsZero())
}

// TestPolicy_Rule_agreesWithTheWords compares with a second reading of the
// contract, written the slow way: text in, text compared.
func TestPolicy_Rule_agreesWithTheWords(t *testing.T) {
	t.Parallel()
	names := []string{"main", "a/b", "a/b/c", "refs/heads/main", "refs/heads/a/b", "refs/tags/v1", "refs/notes/commits"}
	patterns := append([]string{"*", "HEAD", "a/*", "refs/*", "refs/heads/*", "refs/heads/a/*", "refs/tags/*"}, names...)
	rapid.Check(t, func(t *rapid.T) {
		op := rapid.SampledFrom([]Op{NoPush, NoForcePush, VerifySig})
		entries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) RefOps {
			return RefOps{rapid.SampledFrom(patterns).Draw(t, "pattern"), rapid.SliceOfN(op, 0, 3).Draw(t, "ops")}
		}), 0, 6).Draw(t, "entries")
		ref := rapid.SampledFrom([]string{"HEAD", "refs/heads/main", "refs/heads/a/b", "refs/heads/a/b/c", "refs/tags/v1", "refs/notes/commits", "refs/x"}).Draw(t, "ref")
		legacy := rapid.SliceOfN(op, 0, 2).Draw(t, "legacy")

		want := Rule{}
		note := func(ops []Op) {
			for _, op := range ops {
				want.NoPush = want.NoPush || op == NoPush
				want.NoForcePush = want.NoForcePush || op == NoForcePush
				want.VerifySig = want.VerifySig || op == VerifySig
			}
		}
		star, decided := false, false
		for _, e := range entries {
			first := e.Pattern == "*" && !star
			star = star || first
			if decided {
				continue
			}
			full := e.Pattern
			if full != "*" && full != "HEAD" && !strings.HasPrefix(full, "refs/") {
				full = "refs/heads/" + full
			}
			if full == "*" || full == ref || strings.HasSuffix(full, "/*") && strings.HasPrefix(ref, full[:len(full)-1]) {
				decided = true
				note(e.Ops)
				if first {
					note(legacy)
				}
			}
		}
		if !star && !decided {
			note(legacy)
		}

		raw, err := json.Marshal(entries)
		require.NoError(t, err)
		var words []string
		for _, op := range legacy {
			words = append(words, string(op))
		}
		p, err := ParsePolicy(raw, words)
		require.NoError(t, err)
		require.Equal(t, want, p.Rule(ref))
	})
}

// FuzzParsePolicy_neverLosesARestriction checks that what is accepted is
// understood whole: every op of every entry shows on some ref of its own.
func FuzzParsePolicy_neverLosesARestriction(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `[["*",["no-push"]]]`, `[["main",["no-push"]],["refs/tags/*",["verify-sig"]]]`, `[["a/*",[]]]`, `[["",["no-push"]]]`,
		`[["refs/",["no-push"]]]`, `[["x"]]`, `[[null,[]]]`, `[["a",null]]`, `[["a",["b"]]]`, `{"a":1}`, `[["main/",["no-push"]]]`, `[["\u0000",["no-push"]]]`, `[[["a"],[]]]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, refs []byte) {
		p, err := ParsePolicy(refs, nil)
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		var tuples [][2]json.RawMessage
		if len(refs) > 0 {
			require.NoError(t, json.Unmarshal(refs, &tuples))
		}
		require.Len(t, p.entries, len(tuples))
		for i, tuple := range tuples {
			var ops []string
			require.NoError(t, json.Unmarshal(tuple[1], &ops))
			e := p.entries[i]
			ref := e.pattern
			if e.prefix {
				ref += "refs/x"
			}
			alone := Policy{entries: []policyEntry{e}}
			require.Equal(t, len(ops) > 0, alone.Rule(ref) != Rule{}, "%q", tuple)
		}
	})
}
