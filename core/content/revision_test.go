package content

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestService_resolve(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	one := f.commit("one", "a", "1")
	two := f.commit("two", "a", "2")
	f.run("tag", "light", string(one))
	f.run("tag", "--annotate", "--message=t", "heavy", string(one))
	f.run("update-ref", "refs/heads/team/x", string(one))
	f.run("update-ref", "refs/heads/both", string(one))
	f.run("update-ref", "refs/tags/both", string(two))
	f.run("update-ref", "refs/internal/upstream/heads/secret", string(two))
	f.run("update-ref", "refs/namespaces/ephemeral/refs/heads/tmp", string(one))
	f.run("update-ref", "refs/pull/1/head", string(one))
	blob := f.run("rev-parse", "main:a")
	f.run("tag", "ofblob", blob)
	f.run("tag", "oftree", "main^{tree}")
	f.run("tag", "--annotate", "--message=t", "heavyblob", blob)
	for _, tt := range []struct {
		ref  string
		ns   core.Namespace
		want core.ObjectID
		kind core.Kind
	}{
		{ref: "main", want: two}, {ref: "refs/heads/main", want: two}, {ref: "heads/main", want: two}, {ref: "HEAD", want: two},
		{ref: "main~1", want: one}, {ref: "main^", want: one}, {ref: "HEAD~", want: one}, {ref: "main^0", want: two}, {ref: "main~0^", want: one},
		{ref: "main~2", kind: core.KindNotFound}, {ref: "main^2", kind: core.KindNotFound},
		{ref: "light", want: one}, {ref: "heavy", want: one}, {ref: "refs/tags/heavy", want: one}, {ref: "tags/light", want: one},
		{ref: "both", want: one}, {ref: "tags/both", want: two}, {ref: "team/x", want: one},
		{ref: string(one), want: one}, {ref: strings.ToUpper(string(one)), want: one}, {ref: string(one[:8]), want: one}, {ref: string(two) + "~1", want: one},
		{ref: f.run("rev-parse", "heavy"), want: one},
		{ref: strings.Repeat("0", 40), kind: core.KindNotFound}, {ref: "abcd", kind: core.KindNotFound}, {ref: blob, kind: core.KindInvalid}, {ref: "ofblob", kind: core.KindInvalid},
		{ref: "refs/tags/ofblob", kind: core.KindInvalid}, {ref: "ofblob~1", kind: core.KindInvalid}, {ref: "oftree", kind: core.KindInvalid}, {ref: "heavyblob", kind: core.KindInvalid},

		{ref: "refs/pull/1/head", want: one},
		{ref: "refs/internal/upstream/heads/secret", kind: core.KindNotFound}, {ref: "internal/upstream/heads/secret", kind: core.KindNotFound},
		{ref: "upstream/heads/secret", kind: core.KindNotFound}, {ref: "secret", kind: core.KindNotFound},
		{ref: "refs/namespaces/ephemeral/refs/heads/tmp", kind: core.KindNotFound}, {ref: "namespaces/ephemeral/refs/heads/tmp", kind: core.KindNotFound},
		{ref: "tmp", kind: core.KindNotFound}, {ref: "tmp", ns: core.Ephemeral, want: one}, {ref: "refs/heads/tmp", ns: core.Ephemeral, want: one},
		{ref: "main", ns: core.Ephemeral, kind: core.KindNotFound}, {ref: string(two), ns: core.Ephemeral, want: two},
		{ref: "--all", kind: core.KindInvalid}, {ref: "-x", kind: core.KindInvalid}, {ref: "main..two", kind: core.KindInvalid}, {ref: "main@{1}", kind: core.KindInvalid},
		{ref: "@{-1}", kind: core.KindInvalid}, {ref: "main:a", kind: core.KindInvalid}, {ref: ":/one", kind: core.KindInvalid}, {ref: "main^{/one}", kind: core.KindInvalid},
		{ref: "main^{tree}", kind: core.KindInvalid}, {ref: "^main", kind: core.KindInvalid}, {ref: "main^!", kind: core.KindInvalid}, {ref: "a b", kind: core.KindInvalid},
		{ref: "a\nb", kind: core.KindInvalid}, {ref: "a\x00b", kind: core.KindInvalid}, {ref: "main~999999", kind: core.KindInvalid},
		{ref: strings.Repeat("x", 2000), kind: core.KindInvalid}, {ref: "refs/heads/", kind: core.KindInvalid},
	} {
		got, err := f.resolve(t.Context(), f.dir, f.repo, At{tt.ns, tt.ref})
		require.Equal(t, tt.kind, core.KindOf(err), "%q: %v", tt.ref, err)
		require.Equal(t, tt.want, got.Commit, "%q", tt.ref)
	}
}

func TestService_resolve_ambiguous(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	// A thousand commits surely have two that begin with the same four digits.
	randomHistory(f, 7, 1000)
	seen := map[string]bool{}
	for id := range strings.SplitSeq(f.run("rev-list", "--all"), "\n") {
		if seen[id[:4]] {
			_, err := f.resolve(t.Context(), f.dir, f.repo, at(id[:4]))
			require.Equal(t, core.KindInvalid, core.KindOf(err), "%v", err)
			require.Contains(t, err.Error(), "several")
			return
		}
		seen[id[:4]] = true
	}
	t.Fatal("no two ids begin alike")
}

func FuzzParseRevision(f *testing.F) {
	for _, s := range []string{"main", "main~2^1", "refs/heads/x", "HEAD", "-x", "a..b", "@{1}", "a:b", "\x00", "^{tree}", strings.Repeat("a", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rev, err := parseRevision(s)
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		require.Equal(t, s, rev.name+rev.steps)
		for _, name := range rev.candidates(core.Default, "main") {
			require.False(t, strings.HasPrefix(name, "-"))
			require.False(t, strings.ContainsAny(name, ":\x00\n {@\\") && strings.Contains(name, "@{"), name)
			require.False(t, strings.Contains(name, ".."), name)
			require.NotContains(t, name, ":")
			require.False(t, strings.HasPrefix(name, "refs/internal/") || strings.HasPrefix(name, "refs/namespaces/"), name)
		}
		for _, name := range rev.candidates(core.Ephemeral, "main") {
			require.True(t, strings.HasPrefix(name, core.EphemeralPrefix) || core.MaybeObjectID(strings.TrimSuffix(name, rev.steps)), name)
		}
	})
}

func FuzzValidatePath(f *testing.F) {
	for _, s := range []string{"a/b", "/a", "a/../b", ".git/x", "a//b", "a\x00", "a\nb", "a/", ".", strings.Repeat("a/", 3000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := ValidatePath(s)
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		require.NotEmpty(t, s)
		for part := range strings.SplitSeq(s, "/") {
			require.NotContains(t, []string{"", ".", "..", ".git"}, strings.ToLower(part))
		}
		require.NotContains(t, s, "\x00")
	})
}

func FuzzParseCursor(f *testing.F) {
	f.Add("", "")
	f.Add(cursor{"files", core.ZeroSHA1, "a/b"}.String(), "a")
	f.Add(offsetCursor("files", core.ZeroSHA1, 7), "x")
	f.Add("!", "\x00")
	f.Add("ZmlsZXM6ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDA0ZDp000", "0")
	f.Fuzz(func(t *testing.T, text, after string) {
		c, err := parseCursor("files", text)
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		} else if text != "" {
			require.Equal(t, text, c.String())
			require.NotEmpty(t, c.after)
		}
		if _, n, err := parseOffset("files", text); err == nil {
			require.GreaterOrEqual(t, n, 0)
		}
		if after != "" && !strings.Contains(after, "\x00") && len(after) < maxPath {
			want := cursor{"files", core.ZeroSHA1, after}
			got, err := parseCursor("files", want.String())
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

func FuzzCheckBlameRange(f *testing.F) {
	for _, s := range []string{"1,2", "/x/,+5", ":name", "-L", "\n", "", "^/x/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckBlameRange(s) == nil {
			require.False(t, strings.ContainsAny(s, "\x00\n"))
			require.NotEqual(t, byte('-'), s[0])
		}
	})
}

func FuzzCheckPattern(f *testing.F) {
	for _, s := range []string{`a+`, `\d+`, `[[:alpha:]\]`, `(a{1000}){1000}`, `\1`, `(?i)x`, `[]a]`, `a\`, "\x00", "[\n]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := CheckPattern(s)
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		require.NotEmpty(t, out)
		require.False(t, strings.ContainsAny(out, "\x00\n"))
	})
}

func FuzzQuotePath(f *testing.F) {
	f.Add("a")
	f.Add("a\"b\\\n\x01\xff\u00e9")
	f.Fuzz(func(t *testing.T, s string) {
		quoted := quotePath(s)
		require.True(t, utf8.ValidString(quoted))
		if strings.HasPrefix(s, `"`) {
			require.True(t, strings.HasPrefix(quoted, `"`))
		}
		back, ok := unquotePath(quoted)
		require.True(t, ok)
		require.Equal(t, s, back)
		_, _ = unquotePath(s)
	})
}
