package git_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git"
)

func TestGit_ended(t *testing.T) {
	t.Parallel()
	var uses []git.Usage // from one goroutine
	g, err := git.New(t.Context(), git.Options{Ended: func(u git.Usage) { uses = append(uses, u) }})
	require.NoError(t, err)
	require.Equal(t, "version", uses[0].Command)
	require.Equal(t, git.EndedWell, uses[0].Ending)
	require.Positive(t, uses[0].Took)
	require.Positive(t, uses[0].CPU)
	require.Greater(t, uses[0].Memory, int64(1<<20), "bytes, not kilobytes")

	require.Error(t, g.Run(t.Context(), git.Command{Name: "rev-parse", Flags: []string{"--verify"}, Args: []string{"no-such"}, Dir: t.TempDir()}))
	require.Equal(t, git.EndedFailed, uses[1].Ending)

	ctx, cancel := context.WithCancel(t.Context())
	p, err := g.Start(ctx, git.Command{Name: "cat-file", Flags: []string{"--batch"}, Dir: t.TempDir()})
	if err == nil {
		cancel()
		require.Error(t, p.Wait())
	}
	cancel()
	require.Len(t, uses, 3)
}
