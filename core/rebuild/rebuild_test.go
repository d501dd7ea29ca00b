package rebuild_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// What is gone of a folder, how it is found, and what of the repository's own can
// still be had from it.
func TestRebuild_whatWasDamaged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage func(b *bench, r core.Repository)
		lost   int // of the three refs that no upstream has
		folder bool
	}{
		"the folder": {func(b *bench, r core.Repository) { require.NoError(b, os.RemoveAll(b.Path(r))) }, 3, false},
		"HEAD":       {func(b *bench, r core.Repository) { require.NoError(b, os.Remove(filepath.Join(b.Path(r), "HEAD"))) }, 0, true},
		"objects": {func(b *bench, r core.Repository) {
			require.NoError(b, os.RemoveAll(filepath.Join(b.Path(r), "objects")))
		}, 3, true},
		"a truncated pack": {func(b *bench, r core.Repository) {
			change(b, b.repack(r), func(c []byte) []byte { return c[:len(c)/2] })
		}, -1, true},
		"refs": {func(b *bench, r core.Repository) {
			coretest.Run(b, b.Path(r), "pack-refs", "--all")
			require.NoError(b, os.RemoveAll(filepath.Join(b.Path(r), "refs")))
		}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{})
			r, own := b.mirrored("a")
			b.ForgeCommit(r, "refs/heads/later", "what the upstream got meanwhile")
			tc.damage(b, r)
			before := b.events(r)
			b.rebuild.Suspect(r.ID, "a test")
			d := b.rebuilt(r)
			_, there := b.Repos.Quarantined(d.ID)
			require.Equal(t, tc.folder, there)
			here := b.ours(r)
			for _, lost := range d.Lost {
				require.Equal(t, own[lost.Ref], lost.ID)
				require.NotContains(t, here, lost.Ref)
				delete(own, lost.Ref)
			}
			require.Equal(t, own, here)
			if tc.lost >= 0 {
				require.Len(t, d.Lost, tc.lost)
			}
			sent := b.events(r)[len(before):]
			require.Equal(t, []string{core.EventRepositoryDamaged, core.EventRepositoryRebuilt}, sent[:2])
			if tc.folder && name != "refs" {
				require.Equal(t, []string{core.EventPush}, sent[2:], "of what is new at the upstream, and of nothing else")
			}
		})
	}
}
