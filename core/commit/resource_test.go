package commit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// TestService_ceilingSaysNothingOfTheRequest lets git run out of memory where its failures
// are those of the caller's content.
func TestService_ceilingSaysNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Local("a")
	large := strings.Repeat("0123456789abcde\n", 3<<20) // 48 MiB
	b.mustPut(r, "large", large)
	var err error
	b.git, err = git.New(t.Context(), git.Options{Memory: git.Memory{Read: 40 << 20, Receive: 40 << 20}})
	require.NoError(t, err)
	caller := Caller{Repo: r, Actor: core.Actor{Subject: "t"}}
	const sentence = "git ran out of memory, of which it may have 40 MiB for this; ask for less at once, or have the operator raise --git-memory-"
	patch := pieces{{Data: []byte("--- a/large\n+++ b/large\n@@ -1 +1 @@\n-0123456789abcde\n+x\n"), Last: true}}
	_, err = b.CommitDiff(b.Context(), Commit{Caller: caller, Signed: signed(), Branch: "main"}, &patch)
	require.Equal(t, core.KindResource, core.KindOf(err), "%v", err)
	require.Equal(t, sentence+"read", core.MessageOf(err))
	// .gitmodules has the content checked by git.
	in := pieces{{Content: "1", Data: []byte(large + "y"), Last: true}, {Content: "2", Data: []byte("[a]\n"), Last: true}}
	_, err = b.CommitFiles(b.Context(), Commit{Caller: caller, Signed: signed(), Branch: "main"}, []File{{Path: "other", Content: "1"}, {Path: ".gitmodules", Content: "2"}}, &in)
	require.Equal(t, core.KindResource, core.KindOf(err), "%v", err)
	require.Equal(t, sentence+"receive", core.MessageOf(err))
}
