package glob_test

import (
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
