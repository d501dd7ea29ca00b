package glob_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/glob"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.go", "a/**/b", "[!a-z]x", "{a,b}", "[", "{", "\\", "**", "/x/"} {
		f.Add(s, "a/b/c.go")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		g, err := glob.Parse([]string{pattern})
		if err != nil {
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			return
		}
		g.Match(path)
	})
}

// Git's own wildmatch is asked about every pattern and path in one process: each
// pattern is the .gitignore of a folder of its own. Git ignores what is in a folder
// that is ignored, so the folders on the way count.
func TestParse_asGit(t *testing.T) {
	t.Parallel()
	patterns := []string{
		"a[/]b", "a[^x]b", "a[!x]b", "/[[:digit:]]", "[[:digit:]]x", "[[:alpha:][:digit:]]", "[^[:space:]]", "v[0-9]", "[a-c-e]", "[]x]", "[!]x]",
		"[\\]]", "[\\-x]", "[x-]", "[z-a]", "[a-z/]b", "[[:punct:]]", "[[:]", "[[:x]", "a/[b-c]/d", "a?b", "a*b", "a/*", "a/**", "**/b", "a/**/d", "*b", "[.-0]",
		"[[:upper:]]*", "[[:xdigit:]][[:xdigit:]]", "a\\*", "a\\[", "[*]", "?[?]", "/v[[:digit:]]/*", "x[a-]", "[[:print:]]", "[--0]",
	}
	paths := []string{
		"a/b", "axb", "ayb", "a-b", "1", "7x", "b", "c", "e", "-", "]", "x", "\\", "z", "y", "!", "v1", "v1/x", "a/b/d", "a/x/y/d", "a/d", "d", "0", ".", "/", "a*", "a[", "*", "?",
		"Ab", "fF", "g1", "[", "[:", ":", "x-", "xa", " ", "a/", "ab",
	}
	dir := t.TempDir()
	var in strings.Builder
	type question struct{ pattern, path string }
	var asked []question
	for i, pattern := range patterns {
		folder := filepath.Join(dir, fmt.Sprint("p", i))
		require.NoError(t, os.MkdirAll(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, ".gitignore"), []byte(pattern+"\n"), 0o600))
		for _, path := range paths {
			if path != filepath.Clean(path) || path == "." || path == "/" {
				continue // not a file's name
			}
			asked = append(asked, question{pattern, path})
			in.WriteString(fmt.Sprint("p", i, "/", path) + "\x00")
		}
	}
	require.NoError(t, exec.CommandContext(t.Context(), "git", "init", "--quiet", dir).Run())
	cmd := exec.CommandContext(t.Context(), "git", "check-ignore", "--no-index", "--verbose", "--non-matching", "-z", "--stdin")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(in.String())
	out, err := cmd.Output()
	require.NoError(t, err)
	answers := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") // source, line, pattern, path
	require.Len(t, answers, 4*len(asked))
	for i, q := range asked {
		list, err := glob.Parse([]string{q.pattern})
		if err != nil {
			require.Equal(t, "", answers[4*i+2], "git matches %q, which is refused here: %q", q.pattern, q.path)
			continue
		}
		got := false
		for end := range q.path + "/" {
			if end > 0 && (q.path + "/")[end] == '/' {
				got = got || list.Match(q.path[:end])
			}
		}
		require.Equal(t, answers[4*i+2] != "", got, "pattern %q, path %q", q.pattern, q.path)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		glob, path string
		want       bool
	}{
		{"*.go", "a.go", true}, {"*.go", "x/y/a.go", true}, {"*.go", "a.gox", false}, {"/*.go", "x/a.go", false}, {"/*.go", "a.go", true},
		{"src/*.go", "src/a.go", true}, {"src/*.go", "src/x/a.go", false}, {"src/**", "src/x/a.go", true}, {"src/**/a.go", "src/a.go", true},
		{"**/a.go", "a.go", true}, {"src/", "src/x/y", true}, {"docs/", "a/docs/y", true}, {"a?c", "abc", true}, {"a?c", "a/c", false},
		{"[a-c].x", "b.x", true}, {"[!a-c].x", "b.x", false}, {"[^a-c].x", "d.x", true}, {"*.{js,ts}", "q/a.ts", true}, {"*.{js,ts}", "a.tsx", false},
		{`\*.x`, "*.x", true}, {`\*.x`, "a.x", false}, {"a.b", "axb", false}, {"a+b", "a+b", true}, {"src/**/x/*.c", "src/1/2/x/f.c", true},
	} {
		g, err := glob.Parse([]string{tt.glob})
		require.NoError(t, err, tt.glob)
		require.Equal(t, tt.want, g.Match(tt.path), "%s %s", tt.glob, tt.path)
	}
}
