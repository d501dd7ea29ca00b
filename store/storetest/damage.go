package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var damageTests = []namedTest{
	{"save, list what has not ended, and find the newest", func(f *fixture) {
		r := f.synced()
		d := core.Damage{
			ID: "20310203T040506Z-" + r.ID, RepoID: r.ID, State: core.DamageWaiting, Reason: "its folder is missing", Missing: true, FoundAt: day(0),
		}
		f.kind(core.KindNotFound, f.store.SaveDamage(f.ctx, core.Damage{ID: "x", RepoID: "repo_none", FoundAt: day(0)}))
		_, err := f.store.LastDamage(f.ctx, r.ID)
		f.kind(core.KindNotFound, err)
		require.NoError(f, f.store.SaveDamage(f.ctx, d))
		d.State, d.Released = core.DamageRebuilding, true
		require.NoError(f, f.store.SaveDamage(f.ctx, d))
		open, err := f.store.OpenDamages(f.ctx)
		require.NoError(f, err)
		same(f, []core.Damage{d}, open)

		d.State, d.EndedAt, d.Carried = core.DamageRebuilt, day(time.Hour), 7
		d.Lost = []core.LostRef{{Ref: "refs/notes/commits", ID: core.ZeroSHA1}}
		require.NoError(f, f.store.SaveDamage(f.ctx, d))
		open, err = f.store.OpenDamages(f.ctx)
		require.NoError(f, err)
		require.Empty(f, open)
		got, err := f.store.Damage(f.ctx, d.ID)
		require.NoError(f, err)
		same(f, d, got)
		_, err = f.store.Damage(f.ctx, "none")
		f.kind(core.KindNotFound, err)

		later := core.Damage{ID: "20310203T050506Z-" + r.ID, RepoID: r.ID, State: core.DamageRebuilding, Reason: "r", FoundAt: day(time.Hour)}
		require.NoError(f, f.store.SaveDamage(f.ctx, later))
		last, err := f.store.LastDamage(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, later, last)
		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		open, err = f.store.OpenDamages(f.ctx)
		require.NoError(f, err)
		require.Empty(f, open)
	}},
}
