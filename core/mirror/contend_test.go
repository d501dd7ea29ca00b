package mirror_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// lockTracking locks a tracking ref as a git process does that is about to write
// it, and returns what takes the lock away.
func lockTracking(b *mirrortest.Bench, r core.Repository, name string) (unlock func()) {
	b.Helper()
	path := filepath.Join(b.Path(r), filepath.FromSlash(core.TrackingRef(name))+".lock")
	require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
	require.NoError(b, err)
	require.NoError(b, f.Close())
	return func() { _ = os.Remove(path) }
}

// A fetch has the tracking refs locked when sessions come to the end: what the
// upstream took is here at once, whatever becomes of the fetch.
func TestInvariant01_pushMeetsTheLocksOfAFetch(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	b.ForgeGit(r, "update-ref", "refs/heads/gone", string(one))
	require.NoError(t, b.Sync(r, ""))
	two := b.ForgeCommit(r, "refs/heads/other", "two", one)
	require.NoError(t, b.Sync(r, ""))
	for _, name := range []string{"refs/heads/main", "refs/heads/gone", "refs/heads/new"} {
		defer lockTracking(b, r, name)()
	}
	for _, result := range b.Write(r,
		core.RefUpdate{Name: "refs/heads/main", Old: one, New: two},
		core.RefUpdate{Name: "refs/heads/gone", Old: one},
		core.RefUpdate{Name: "refs/heads/new", New: two},
	) {
		require.True(t, result.OK(), "%+v", result)
	}
	require.Equal(t, b.UpstreamRefs(r), b.Refs(r), "the copy is not behind what the upstream took")
	for _, state := range b.Journal(r) {
		require.NotEqual(t, core.JournalSent, state)
	}
	for _, name := range []string{"refs/heads/main", "refs/heads/gone", "refs/heads/new"} {
		require.NoError(t, os.Remove(filepath.Join(b.Path(r), filepath.FromSlash(core.TrackingRef(name))+".lock")))
	}
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
}

// A session has a tracking ref locked, and then moves it, while a fetch is about
// to write it.
func TestService_fetchMeetsTheTrackingRefsOfASession(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	b.ForgeGit(r, "update-ref", "refs/heads/x", string(one))
	require.NoError(t, b.Sync(r, ""))
	before := func(f func()) (undo func()) {
		var once sync.Once
		return b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Before: func() { once.Do(f) }})
	}

	b.ForgeCommit(r, "refs/heads/x", "two", one)
	main := b.ForgeCommit(r, "refs/heads/main", "three", one)
	undo := before(func() {
		coretest.Run(t, b.Path(r), "update-ref", core.TrackingRef("refs/heads/x"), coretest.Run(t, b.Path(r), "commit-tree", "-m", "moved", string(one)+"^{tree}"))
	})
	require.NoError(t, b.Sync(r, ""))
	undo()
	b.RequireEqual(r)
	require.Equal(t, main, b.Refs(r)["refs/heads/main"])

	b.ForgeCommit(r, "refs/heads/x", "four", one)
	b.ForgeCommit(r, "refs/heads/main", "five", main)
	// Longer than git waits by itself for what is soon over.
	undo = before(func() { time.AfterFunc(1500*time.Millisecond, lockTracking(b, r, "refs/heads/x")) })
	require.NoError(t, b.Sync(r, ""))
	undo()
	b.RequireEqual(r)
}
