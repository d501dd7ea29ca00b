package maintain_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/maintain"
)

// A byte of a pack that nobody reads is changed: the next round after thirty days
// finds it, and none does before.
func TestRotation_findsAChangedByte(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	w := coretest.NewWorld(t, coretest.Options{Clock: clock})
	r, other := w.Local("a"), w.Local("b")
	coretest.Run(t, w.Path(r), "update-ref", "refs/heads/main", string(coretest.Commit(t, w.Path(r), "one")))
	coretest.Run(t, w.Path(r), "repack", "-a", "-d", "-q")
	require.NoError(t, os.RemoveAll(w.Path(other)))
	var suspected []string
	rotation := &maintain.Rotation{
		IDs: func(context.Context) ([]string, error) { return []string{other.ID, r.ID}, nil }, Path: w.Repos.Path, Clock: clock,
		Suspect: func(id, reason string) { suspected = append(suspected, id+": "+reason) },
		Failed:  func(id string, err error) { t.Errorf("%s: %v", id, err) },
	}
	require.NoError(t, rotation.Round(t.Context()))
	require.Empty(t, suspected)
	packs, err := filepath.Glob(filepath.Join(w.Path(r), "objects", "pack", "*.pack"))
	require.NoError(t, err)
	require.Len(t, packs, 1)
	content, err := os.ReadFile(packs[0])
	require.NoError(t, err)
	content[len(content)/2] ^= 1
	require.NoError(t, os.Chmod(packs[0], 0o600))
	require.NoError(t, os.WriteFile(packs[0], content, 0o600))
	require.NoError(t, rotation.Round(t.Context()))
	require.Empty(t, suspected, "it was read a moment ago")
	clock.Advance(31 * 24 * time.Hour)
	require.NoError(t, rotation.Round(t.Context()))
	require.Equal(t, []string{r.ID + ": " + filepath.Base(packs[0]) + " is not what it was when it was written"}, suspected)
}
