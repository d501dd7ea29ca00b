package rebuild_test

import (
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

// Refs that a policy holds or freezes stay where they are through a rebuild as long as
// their objects can be had, here or at the upstream, and are listed as lost where not.
func TestRebuild_heldAndFrozen(t *testing.T) {
	t.Parallel()
	const held, frozen = "refs/heads/held", "refs/heads/frozen"
	for name, tc := range map[string]struct {
		damage   func(b *bench, r core.Repository)
		lost     bool
		sqlFirst bool
	}{
		"objects survive":            {func(b *bench, r core.Repository) { require.NoError(b, os.Remove(filepath.Join(b.Path(r), "HEAD"))) }, false, false},
		"objects survive, SQL first": {func(b *bench, r core.Repository) { require.NoError(b, os.Remove(filepath.Join(b.Path(r), "HEAD"))) }, false, true},
		"the folder is gone":         {func(b *bench, r core.Repository) { require.NoError(b, os.RemoveAll(b.Path(r))) }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{SQLFirst: tc.sqlFirst})
			r := b.Synced("a")
			main := b.ForgeCommit(r, "refs/heads/main", "main")
			before := map[string]core.ObjectID{held: b.ForgeCommit(r, held, "held", main), frozen: b.ForgeCommit(r, frozen, "frozen", main)}
			require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{RefPolicies: []core.RefPolicy{
				{Pattern: held, Action: core.RefHold}, {Pattern: frozen, Action: core.RefFreeze},
			}}))
			require.NoError(t, b.run(r))
			after := map[string]core.ObjectID{held: b.ForgeCommit(r, held, "rewritten", main), frozen: b.ForgeCommit(r, frozen, "gone on", before[frozen])}
			require.NoError(t, b.run(r))
			require.Equal(t, before, b.Refs(r, held, frozen))

			tc.damage(b, r)
			b.rebuild.Suspect(r.ID, "a test")
			d := b.ended(r)
			require.NoError(t, b.run(r))
			rows, err := b.Store.HeldRewrites(t.Context(), r.ID)
			require.NoError(t, err)
			if !tc.lost {
				require.Empty(t, d.Lost)
				require.Equal(t, before, b.Refs(r, held, frozen))
				require.Len(t, rows, 2, "the questions stand")
				return
			}
			require.Equal(t, []core.LostRef{{Ref: held, ID: before[held]}}, d.Lost)
			require.Equal(t, after[held], b.Refs(r)[held], "there is nothing else")
			require.Equal(t, before[frozen], b.Refs(r)[frozen], "the upstream's history still has it")
			require.Len(t, rows, 1)
		})
	}
}

// The repository is given another upstream while it is rebuilt: what the old one had
// sent is not taken for what the new one has.
func TestRebuild_repointMeanwhile(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"rebuild-fetched", "rebuild-placed"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			var armed atomic.Bool
			died := make(chan struct{})
			b := newBench(t, coretest.Options{Failpoint: func(name string) {
				if name == step && armed.CompareAndSwap(true, false) {
					close(died)
					runtime.Goexit() // a re-point ends the run that is under way, wherever it is
				}
			}})
			r, own := b.mirrored("a")
			other := b.Synced("b")
			b.ForgeCommit(other, "refs/heads/main", "another history")
			b.ForgeCommit(other, "refs/tags/v1", "tagged")
			require.NoError(t, os.RemoveAll(filepath.Join(b.Path(r), "refs")))
			armed.Store(true)
			b.rebuild.Suspect(r.ID, "a test")
			select {
			case <-died:
			case <-time.After(time.Minute):
				t.Fatal("the step is not reached")
			}
			b.halt()
			b.Open()
			b.assemble()
			require.NoError(t, b.monitor.Repoint(t.Context(), b.Reload(r), *other.Upstream, func(core.Queries) error { return nil }))
			b.serve()
			_, err := b.schedule.Request(t.Context(), r.ID, "api", "")
			require.NoError(t, err)
			b.ended(r)
			require.NoError(t, b.run(r))
			require.Equal(t, b.UpstreamRefs(other), b.Refs(r))
			here := b.ours(r)
			for ref, id := range own {
				require.Equal(t, id, here[ref])
			}
		})
	}
}

// A write whose objects came into the damaged folder, and whose refs were not there yet
// when it was replaced, is refused and not lost silently: so a rebuild needs no barrier,
// which would have it wait for the slowest client.
func TestRebuild_writeThatComesTooLate(t *testing.T) {
	t.Parallel()
	var b *bench
	var r core.Repository
	var note core.ObjectID
	var outcome repo.Outcome
	var refused error
	var once atomic.Bool
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name != "rebuild-placed" || !once.CompareAndSwap(false, true) {
			return
		}
		outcome, refused = b.Repos.Transact(b.Context(), repo.Intent{
			Repo: r, Source: core.SourcePush, Actor: "t", Updates: []core.RefUpdate{{Name: "refs/notes/late", New: note}},
		})
	}})
	r, own := b.mirrored("a")
	note = coretest.Commit(t, b.Path(r), "a note without a ref yet")
	require.NoError(t, os.Remove(filepath.Join(b.Path(r), "HEAD")))
	b.rebuild.Suspect(r.ID, "a test")
	d := b.rebuilt(r)
	require.True(t, once.Load())
	if refused == nil {
		refused = outcome.Err
	}
	require.Error(t, refused, "it is not acknowledged")
	require.Empty(t, d.Lost)
	require.Equal(t, own, b.ours(r))
	path, there := b.Repos.Quarantined(d.ID)
	require.True(t, there)
	require.FileExists(t, filepath.Join(path, "objects", string(note[:2]), string(note[2:])), "a person can still have it")
}

// The damaged folder cannot be moved to the quarantine, as on a full disk: it stays
// where it is, nothing is served in its place, and the next run does it.
func TestRebuild_quarantineCannotBeMade(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, own := b.mirrored("a")
	quarantine := filepath.Join(b.Dir, "quarantine")
	require.NoError(t, os.WriteFile(quarantine, nil, 0o600))
	require.NoError(t, os.Remove(filepath.Join(b.Path(r), "HEAD")))
	b.rebuild.Suspect(r.ID, "a test")
	require.Eventually(t, func() bool { _, damaged := b.rebuild.Of(r); return damaged }, time.Minute, 5*time.Millisecond)
	require.Error(t, b.run(r))
	require.Equal(t, core.KindRebuilding, core.KindOf(b.rebuild.Check(r)))
	require.NoFileExists(t, filepath.Join(b.Path(r), "HEAD"), "the old folder")
	require.DirExists(t, filepath.Join(b.Path(r), "objects"))

	require.NoError(t, os.Remove(quarantine))
	require.NoError(t, b.run(r))
	require.Empty(t, b.rebuilt(r).Lost)
	require.Equal(t, own, b.ours(r))
}
