package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
	"github.com/headwater-git/headwater/core/git/progress"
)

func TestParsePushPorcelain_lines(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		line     string
		want     PushLine
		accepted bool
		reason   string
	}{
		{"fast-forward", " \t1111:refs/heads/a\t1111111..2222222", PushLine{' ', "1111", "refs/heads/a", "1111111..2222222", ""}, true, ""},
		{"forced", "+\t1111:refs/heads/a\t1111111...2222222 (forced update)", PushLine{'+', "1111", "refs/heads/a", "1111111...2222222", "forced update"}, true, ""},
		{"new", "*\t1111:refs/heads/a\t[new branch]", PushLine{'*', "1111", "refs/heads/a", "[new branch]", ""}, true, ""},
		{"deleted", "-\t:refs/heads/a\t[deleted]", PushLine{'-', "", "refs/heads/a", "[deleted]", ""}, true, ""},
		{"up to date", "=\t1111:refs/heads/a\t[up to date]", PushLine{'=', "1111", "refs/heads/a", "[up to date]", ""}, true, ""},
		{"GitHub protected", "!\t1111:refs/heads/a\t[remote rejected] (protected branch hook declined)", PushLine{'!', "1111", "refs/heads/a", "[remote rejected]", "protected branch hook declined"}, false, "protected branch hook declined"},
		{"stale", "!\t1111:refs/heads/a\t[rejected] (stale info)", PushLine{'!', "1111", "refs/heads/a", "[rejected]", "stale info"}, false, "upstream has changed, fetch first"},
		{"not fast-forward", "!\t1111:refs/heads/a\t[rejected] (non-fast-forward)", PushLine{'!', "1111", "refs/heads/a", "[rejected]", "non-fast-forward"}, false, "non-fast-forward"},
		{"remote failure", "!\t1111:refs/heads/a\t[remote failure] (remote failed to report status)", PushLine{'!', "1111", "refs/heads/a", "[remote failure]", "remote failed to report status"}, false, "remote failed to report status"},
		{"atomic", "!\t1111:refs/heads/a\t[remote rejected] (atomic push failure)", PushLine{'!', "1111", "refs/heads/a", "[remote rejected]", "atomic push failure"}, false, "atomic push failure"},
		{"parentheses in the reason", "!\t1111:refs/heads/a\t[remote rejected] (no (really) (no))", PushLine{'!', "1111", "refs/heads/a", "[remote rejected]", "no (really) (no)"}, false, "no (really) (no)"},
		{"tab in the reason", "!\t1111:refs/heads/a\t[remote rejected] (a\tb)", PushLine{'!', "1111", "refs/heads/a", "[remote rejected]", "a\tb"}, false, "a b"},
		{"neither summary nor reason", "!\t1111:refs/heads/a\t[]", PushLine{'!', "1111", "refs/heads/a", "[]", ""}, false, "rejected"},
		{"no reason", "!\t1111:refs/heads/a\t[no match]", PushLine{'!', "1111", "refs/heads/a", "[no match]", ""}, false, "no match"},
		{"source with a colon", "*\tHEAD:x:refs/heads/a\t[new branch]", PushLine{'*', "HEAD:x", "refs/heads/a", "[new branch]", ""}, true, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParsePushPorcelain(strings.NewReader("To https://example.com/a\n" + c.line + "\nDone\n"))
			require.NoError(t, err)
			require.Equal(t, []PushLine{c.want}, got)
			require.Equal(t, c.accepted, got[0].Accepted())
			require.Equal(t, c.reason, got[0].RefusalReason())
		})
	}
}

func TestParsePushPorcelain_skipsWhatIsNotAboutARef(t *testing.T) {
	t.Parallel()
	got, err := ParsePushPorcelain(strings.NewReader("To x\n\nDone\n?\ta:b\tx\n!\ta:\tx\n!\tab\tx\n!\ta:b\n!!\ta:b\tc\n"))
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = ParsePushPorcelain(strings.NewReader(strings.Repeat("x", maxPorcelainLine+1)))
	require.Error(t, err)
}

func TestParsePushPorcelain_realGit(t *testing.T) {
	t.Parallel()
	up := gittest.NewBare(t)
	a := gittest.AddCommit(t, up, "refs/heads/forward", "a")
	b := gittest.AddCommit(t, up, "refs/heads/forced", "b", a)
	for _, ref := range []string{"same", "gone", "stale"} {
		gittest.Run(t, up, "update-ref", "refs/heads/"+ref, b)
	}
	hook := "#!/bin/sh\ncase \"$1\" in */protected) echo 'GH006: Protected branch update failed' >&2; exit 1;; esac\n"
	require.NoError(t, os.WriteFile(filepath.Join(up, "hooks", "update"), []byte(hook), 0o700)) //nolint:gosec // a hook must be executable
	src := filepath.Join(t.TempDir(), "src.git")
	gittest.Run(t, "", "clone", "--quiet", "--bare", up, src)
	other := gittest.AddCommit(t, src, "", "other", a)

	r := gittest.Try(t, src, "", "push", "--porcelain", "--progress", "--force-with-lease=refs/heads/stale:"+a,
		"--force-with-lease=refs/heads/forced:"+b, up,
		other+":refs/heads/forward", other+":refs/heads/forced", b+":refs/heads/same", ":refs/heads/gone",
		other+":refs/heads/new", other+":refs/heads/stale", other+":refs/heads/protected")
	require.Equal(t, 1, r.Code, r.Stderr)
	lines, err := ParsePushPorcelain(strings.NewReader(r.Stdout))
	require.NoError(t, err)
	got := map[string]string{}
	for _, l := range lines {
		got[l.To] = string(l.Flag) + l.RefusalReason()
	}
	require.Empty(t, cmp.Diff(map[string]string{
		"refs/heads/forward": " ", "refs/heads/forced": "+", "refs/heads/same": "=", "refs/heads/gone": "-",
		"refs/heads/new": "*", "refs/heads/stale": "!upstream has changed, fetch first", "refs/heads/protected": "!hook declined",
	}, got))

	var relayed []string
	m := hosterror.NewMessages(func(s string) { relayed = append(relayed, s) })
	w := progress.NewLineWriter(m.Line)
	_, _ = w.Write([]byte(r.Stderr))
	require.NoError(t, w.Close())
	require.Contains(t, relayed, "GH006: Protected branch update failed")
	require.Contains(t, relayed, "error: hook declined to update refs/heads/protected")
	require.NotContains(t, strings.Join(relayed, "\n"), "failed to push")
}

func FuzzPorcelain(f *testing.F) {
	f.Add("To x\n \ta:refs/heads/a\t1..2\nDone\n")
	f.Add("!\ta:refs/heads/a\t[remote rejected] (b (c))\n")
	f.Add("-\t:refs/heads/a\t[deleted]")
	f.Add("!\t:0\t[")
	f.Fuzz(func(t *testing.T, in string) {
		lines, _ := ParsePushPorcelain(strings.NewReader(in))
		for _, l := range lines {
			if l.To == "" || l.Accepted() == (l.RefusalReason() != "") {
				t.Fatalf("%+v", l)
			}
		}
	})
}
