package git

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func TestGit_OpenBlob(t *testing.T) {
	t.Parallel()
	g, err := New(t.Context(), Options{})
	require.NoError(t, err)
	dir := gittest.NewBare(t)
	id := gittest.AddBlob(t, dir, strings.Repeat("0123456789", 1<<20))
	s, err := g.OpenBlob(t.Context(), dir, core.ObjectID(id))
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, s)
	require.NoError(t, err)
	require.EqualValues(t, 10<<20, n)
	require.NoError(t, s.Wait())
	require.NoError(t, s.Close())
	// Cut short by the reader.
	s, err = g.OpenBlob(t.Context(), dir, core.ObjectID(id))
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, s, 5)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	// Cut short by the context: its cause is the error.
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err = g.OpenBlob(ctx, dir, core.ObjectID(id))
	require.NoError(t, err)
	cancel(core.Errorf(core.KindTimeout, "enough"))
	_, _ = io.Copy(io.Discard, s)
	require.Equal(t, core.KindTimeout, core.KindOf(s.Wait()))
	// A missing one.
	s, err = g.OpenBlob(t.Context(), dir, core.ZeroSHA1)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, s)
	require.NoError(t, err)
	require.Error(t, s.Wait())
	require.NoError(t, s.Close())
}
