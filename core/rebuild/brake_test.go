package rebuild_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// Five of twenty missing at once look like a disk that is not mounted.
func TestRebuild_manyMissingAtOnceWaitForAPerson(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	var all []core.Repository
	for i := range 20 {
		all = append(all, b.Synced(fmt.Sprint("r", i)))
		b.ForgeCommit(all[i], "refs/heads/main", "one")
	}
	for _, r := range all[:6] {
		require.NoError(t, b.run(r))
	}
	away := t.TempDir()
	move := func(r core.Repository, from, to string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o700))
		require.NoError(t, os.Rename(from, to))
	}
	b.halt()
	for _, r := range all[:5] {
		move(r, b.Path(r), filepath.Join(away, r.ID))
	}
	b.restart()
	for _, r := range all[:5] {
		err := b.rebuild.Check(r)
		require.Equal(t, core.KindDamaged, core.KindOf(err))
		require.Contains(t, core.MessageOf(err), "headwater repo rebuild "+r.Name)
		require.Error(t, b.run(r), "a sync does not touch it either")
		require.NoDirExists(t, b.Path(r))
	}
	require.NoError(t, b.rebuild.Check(all[5]))
	problems, waiting := b.rebuild.Problems()
	require.True(t, waiting)
	require.Contains(t, problems[0], "not mounted: 5 repositories")
	wanted := map[string]int64{}
	for _, r := range all[1:5] {
		state, err := b.Store.SyncState(t.Context(), r.ID)
		require.NoError(t, err)
		wanted[r.ID] = state.Wanted
	}

	// A person says go on for one; the disk of the others is mounted again.
	d, damaged, err := b.rebuild.GoOn(t.Context(), all[0])
	require.NoError(t, err)
	require.True(t, damaged)
	require.Equal(t, core.DamageRebuilding, d.State)
	for _, r := range all[1:5] {
		move(r, filepath.Join(away, r.ID), b.Path(r))
	}
	b.rebuilt(all[0])
	require.Eventually(t, func() bool {
		b.clock.Advance(time.Minute)
		_, waiting := b.rebuild.Problems()
		return !waiting
	}, time.Minute, 20*time.Millisecond)
	for _, r := range all[1:5] {
		require.NoError(t, b.rebuild.Check(r))
		last, err := b.Store.LastDamage(t.Context(), r.ID)
		require.NoError(t, err)
		require.Equal(t, core.DamageGone, last.State)
		_, there := b.Repos.Quarantined(last.ID)
		require.False(t, there, "nothing was moved")
		state, err := b.Store.SyncState(t.Context(), r.ID)
		require.NoError(t, err)
		require.Greater(t, state.Wanted, wanted[r.ID], "it is synced soon: its syncs have failed meanwhile")
	}
}

// A repository without upstream is not touched, and says what happened to it.
func TestRebuild_localSaysWhatToDo(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r := b.Local("own")
	id := coretest.Commit(t, b.Path(r), "one")
	coretest.Run(t, b.Path(r), "update-ref", "refs/heads/main", string(id))
	blob := coretest.Run(t, b.Path(r), "rev-parse", "main:file")
	change(t, filepath.Join(b.Path(r), "objects", blob[:2], blob[2:]), func(c []byte) []byte { return append(c[:10:10], 'x') })
	d, damaged, err := b.rebuild.GoOn(t.Context(), r)
	require.NoError(t, err)
	require.True(t, damaged)
	require.Equal(t, core.DamagePartial, d.State)
	require.NoError(t, b.rebuild.Check(r), "the rest can be read")
	problems, waiting := b.rebuild.Problems()
	require.False(t, waiting)
	require.Contains(t, problems[0], "how to restore each from a backup")

	other := b.Local("gone")
	kept := filepath.Join(t.TempDir(), "kept")
	require.NoError(t, os.Rename(b.Path(other), kept))
	b.restart()
	err = b.rebuild.Check(other)
	require.Equal(t, core.KindDamaged, core.KindOf(err))
	require.Contains(t, core.MessageOf(err), "is gone (its folder is missing)")
	require.Contains(t, core.MessageOf(err), "restore its folder from a backup")

	// It is restored.
	require.NoError(t, os.Rename(kept, b.Path(other)))
	_, damaged, err = b.rebuild.GoOn(t.Context(), other)
	require.NoError(t, err)
	require.False(t, damaged)
	require.NoError(t, b.rebuild.Check(other))
}

// A person asks for a repository to be verified while its maintenance is at work: the
// answer comes when that has ended, instead of a refusal to come again.
func TestRebuild_personWaitsForMaintenance(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r := b.Local("own")
	unlock, ok := b.Repos.Locks().TryMaintain(r.ID)
	require.True(t, ok)
	answered := make(chan error, 1)
	go func() {
		_, _, err := b.rebuild.GoOn(t.Context(), r)
		answered <- err
	}()
	select {
	case err := <-answered:
		require.Fail(t, "answered while maintenance was at work", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	unlock()
	require.NoError(t, <-answered)
}

// The process dies at each step of a rebuild; the next start ends it, with the same
// refs, and what was quarantined is there once.
func TestRebuild_crashAtEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"rebuild-fetched", "rebuild-salvaged", "rebuild-moved", "rebuild-placed", "sync-journal-sent", "refs-applied", "sync-recorded", "rebuild-carried"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			var armed atomic.Bool
			died := make(chan struct{})
			b := newBench(t, coretest.Options{Failpoint: func(name string) {
				if name == step && armed.CompareAndSwap(true, false) {
					close(died)
					runtime.Goexit() // what it holds in memory is made anew
				}
			}})
			r, own := b.mirrored("a")
			require.NoError(t, os.Remove(filepath.Join(b.Path(r), "HEAD")))
			armed.Store(true)
			b.rebuild.Suspect(r.ID, "a test")
			select {
			case <-died:
			case <-time.After(time.Minute):
				t.Fatal("the step is not reached")
			}
			b.restart()
			d := b.rebuilt(r)
			require.Empty(t, d.Lost)
			require.Equal(t, own, b.ours(r))
			entries, err := os.ReadDir(filepath.Join(b.Dir, "quarantine"))
			require.NoError(t, err)
			require.Len(t, entries, 1)
			require.Equal(t, d.ID, entries[0].Name())
			require.Regexp(t, `^\d{8}T\d{6}Z-`+r.ID+`$`, d.ID)
			left, err := os.ReadDir(b.Repos.TempDir())
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// A write session that had begun before the damage was found moves a ref of the old
// folder while that is copied, and loses nothing.
func TestRebuild_pushMeanwhile(t *testing.T) {
	t.Parallel()
	var b *bench
	var r core.Repository
	var note core.ObjectID
	pushed := false
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "rebuild-salvaged" && !pushed {
			pushed = true
			note = coretest.Commit(b, b.Path(r), "a note that comes late")
			o, err := b.Repos.Transact(b.Context(), repo.Intent{
				Repo: r, Source: core.SourcePush, Actor: "t", Updates: []core.RefUpdate{{Name: "refs/notes/late", New: note}},
			})
			require.NoError(b, err)
			require.Equal(b, core.JournalApplied, o.State)
		}
	}})
	r, own := b.mirrored("a")
	blob := coretest.Run(t, b.Path(r), "rev-parse", "topic:file")
	change(t, b.repack(r), func(c []byte) []byte { c[len(c)-30] ^= 1; return c })
	require.NotEmpty(t, blob)
	b.rebuild.Suspect(r.ID, "a test")
	d := b.rebuilt(r)
	require.True(t, pushed)
	own["refs/notes/late"] = note
	for _, lost := range d.Lost {
		delete(own, lost.Ref)
	}
	require.Contains(t, own, "refs/notes/late")
	require.Equal(t, own, b.ours(r))
}
