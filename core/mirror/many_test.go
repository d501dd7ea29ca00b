package mirror_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// A sync starts no process per ref: not for new, rewritten or deleted branches.
func TestService_syncOfManyRefsStartsFewProcesses(t *testing.T) {
	t.Parallel()
	var processes coretest.Processes
	b := mirrortest.New(t, coretest.Options{Logger: processes.Logger()})
	r, one := b.Mirrored("a")
	other := b.ForgeCommit(r, "refs/heads/other", "other")
	require.NoError(t, b.Sync(r, ""))
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	const many = 120
	for step, change := range []struct {
		to core.ObjectID
		n  int
	}{{one, many}, {other, many}, {"", many / 4}} {
		var in strings.Builder
		for i := range change.n {
			if change.to == "" {
				fmt.Fprintf(&in, "delete refs/heads/many/%d\n", i)
			} else {
				fmt.Fprintf(&in, "update refs/heads/many/%d %s\n", i, change.to)
			}
		}
		out, err := coretest.TryRun(t.Context(), dir, in.String(), "update-ref", "--stdin")
		require.NoError(t, err, out)
		processes.Take()
		require.NoError(t, b.Sync(r, ""))
		started := 0
		for _, n := range processes.Take() {
			started += n
		}
		require.LessOrEqual(t, started, 15, step)
	}
	b.RequireEqual(r)
}
