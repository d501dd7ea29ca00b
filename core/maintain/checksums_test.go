package maintain_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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
		Git: w.Git, IDs: func(context.Context) ([]string, error) { return []string{other.ID, r.ID}, nil }, Path: w.Repos.Path, Clock: clock,
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
	require.NoError(t, os.Remove(packs[0]))
	suspected = nil
	clock.Advance(31 * 24 * time.Hour)
	require.NoError(t, rotation.Round(t.Context()))
	require.Len(t, suspected, 1)
	require.Contains(t, suspected[0], "a ref leads to nothing: fatal: missing object")
}

// What was sent is looked at, at once, and the same repository not again before a
// minute; what is sent meanwhile is looked at then.
func TestServed_looksAtWhatWasSent(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	w := coretest.NewWorld(t, coretest.Options{Clock: clock})
	r := w.Local("a")
	tip := string(coretest.Commit(t, w.Path(r), "one"))
	coretest.Run(t, w.Path(r), "update-ref", "refs/heads/main", tip)
	looks, suspected := make(chan string, 1000), make(chan string, 1000)
	s := maintain.NewServed(maintain.ServedOptions{
		Git: w.Git, Clock: clock, Suspect: func(_, reason string) { suspected <- reason },
		Path: func(id string) string {
			looks <- id
			return w.Repos.Path(id)
		},
		Failed: func(id string, err error) { t.Errorf("%s: %v", id, err) },
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.Want(r.ID)
	require.Equal(t, r.ID, <-looks)
	require.Equal(t, r.ID, <-looks, "for the refs")
	loose := filepath.Join(w.Path(r), "objects", tip[:2], tip[2:])
	require.NoError(t, os.Remove(loose))
	require.Eventually(t, func() bool {
		s.Want(r.ID)
		clock.Advance(time.Minute)
		return len(suspected) > 0
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, <-suspected, "a ref leads to nothing")
	require.NoError(t, os.WriteFile(loose, []byte("not an object"), 0o600))
	require.Eventually(t, func() bool {
		s.Want(r.ID)
		clock.Advance(time.Minute)
		return len(suspected) > 0 && strings.Contains(<-suspected, "the object "+tip+" is damaged")
	}, time.Minute, 10*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}
