package commit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestCleanPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a": "a", "/a": "a", "a/b.c": "a/b.c", ".gitignore": ".gitignore", ".github/x": ".github/x", "git": "git", "a.git": "a.git", ".gitx": ".gitx",
		"...": "...", ".git1": ".git1", "git~2": "git~2", `a\b`: `a\b`, "\u00fc/\u4e2d": "\u00fc/\u4e2d", "sp ace ": "sp ace ", "-x": "-x", "a:b": "a:b", "*": "*",
		strings.Repeat("p", 4096): strings.Repeat("p", 4096),
	} {
		got, err := CleanPath(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{
		"", "/", "//a", "a//b", "a/", ".", "..", "./a", "a/.", "a/..", "../a", ".git", "a/.git/b", ".GIT", ".git ", ".git...", ".git . .", "git~1", "Git~1/a",
		".g\u200cit", "\ufeff.git", ".gi\u202et", ".git:x", ".git::$DATA", `a\.git`, `.git\hooks`, `x\git~1\y`, "a\x00", "a\n", "\x7f", "\xff", strings.Repeat("p", 4097),
	} {
		_, err := CleanPath(in)
		require.Equal(t, core.KindInvalid, core.KindOf(err), "%q", in)
		for _, c := range core.MessageOf(err) {
			require.GreaterOrEqual(t, c, ' ', "a message is one line")
		}
	}
}

func TestReadByGit(t *testing.T) {
	t.Parallel()
	for _, path := range []string{".gitmodules", "a/.gitmodules", ".GitModules", ".gitattributes", ".git\u200cmodules", "gitmod~1", "GI7EBA~1", ".gitmodules ", ".gitmodules:x", `a\.gitmodules`} {
		require.True(t, readByGit(path), path)
	}
	for _, path := range []string{".gitignore", "gitmodules", "a", ".gitmodules/a", "modules"} {
		require.False(t, readByGit(path), path)
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"a/b", "/a", "..", ".git/x", "a\x00b", "git~1", ".g\u200cit", strings.Repeat("a/", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		clean, err := CleanPath(path)
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		again, err := CleanPath(clean)
		require.NoError(t, err)
		require.Equal(t, clean, again)
		require.NotContains(t, "/"+clean+"/", "/../")
		require.NotContains(t, strings.ToLower("/"+clean+"/"), "/.git/")
		require.NotContains(t, "/"+clean+"/", "//")
	})
}

func TestSigned_encode_refusesWhatBreaksOut(t *testing.T) {
	t.Parallel()
	good := Signed{Message: "m", Author: &Person{"Ada", "ada@example.test"}}
	require.NoError(t, good.require())
	for name, bad := range map[string]Signed{
		"no author":      {Message: "m"},
		"no message":     {Author: good.Author},
		"NUL":            {Message: "a\x00", Author: good.Author},
		"name":           {Message: "m", Author: &Person{"A\nparent x", "e"}},
		"angle":          {Message: "m", Author: &Person{"A", "e>"}},
		"empty":          {Message: "m", Author: &Person{" ", "e"}},
		"committer":      {Message: "m", Author: good.Author, Committer: &Person{"", ""}},
		"long name":      {Message: "m", Author: &Person{strings.Repeat("x", 2000), "e"}},
		"endless letter": {Message: strings.Repeat("x", maxMessage+1), Author: good.Author},
	} {
		require.Equal(t, core.KindInvalid, core.KindOf(bad.require()), name)
	}
}
