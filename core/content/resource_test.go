package content

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// TestService_ceilingSaysNothingOfTheRequest lets git run out of memory in reads that take
// a failure of git for the caller's mistake.
func TestService_ceilingSaysNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "large", strings.Repeat("0123456789abcde\n", 3<<20), "small", "x\n") // 48 MiB
	g, err := git.New(t.Context(), git.Options{Memory: git.Memory{Read: 40 << 20}})
	require.NoError(t, err)
	pool := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	s := New(Options{Git: g, Objects: pool, Path: func(string) string { return f.dir }, TempDir: f.temp})
	const sentence = "git ran out of memory, of which it may have 40 MiB for this; ask for less at once, or have the operator raise --git-memory-read"
	for name, read := range map[string]func() error{
		"search": func() error { _, err := s.Grep(t.Context(), f.repo, GrepRequest{Pattern: "9z"}); return err },
		"blame": func() error {
			b, err := s.Blame(t.Context(), f.repo, BlameRequest{At: at("main"), Path: "large", Ranges: []string{"1,2"}})
			return closed(b, err)
		},
		"diff": func() error {
			d, err := s.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at("main")})
			return closed(d, err)
		},
	} {
		err := read()
		require.Equal(t, core.KindResource, core.KindOf(err), "%s: %v", name, err)
		require.Equal(t, sentence, core.MessageOf(err), name)
	}
	_, err = s.Grep(t.Context(), f.repo, GrepRequest{Pattern: "x", Paths: []string{"small"}})
	require.NoError(t, err)
	_, err = s.Grep(t.Context(), f.repo, GrepRequest{Pattern: "(", Paths: []string{"small"}})
	require.Equal(t, core.KindInvalid, core.KindOf(err))
}
