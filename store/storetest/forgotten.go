package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var forgottenTests = []namedTest{
	{"forget, ask, and go with the repository", func(f *fixture) {
		r := f.synced()
		other := f.create(synced("acme", "other"))
		asked := func(repoID string, want ...core.ObjectID) {
			f.Helper()
			var ids []core.ObjectID
			for _, digit := range []string{"1", "2", "3"} {
				ids = append(ids, update("refs/heads/a", digit).New)
			}
			got, err := f.store.Forgotten(f.ctx, repoID, ids)
			require.NoError(f, err)
			same(f, want, got)
			some, err := f.store.AnyForgotten(f.ctx, repoID)
			require.NoError(f, err)
			require.Equal(f, len(want) > 0, some)
		}
		one, three := update("refs/heads/a", "1").New, update("refs/heads/a", "3").New
		asked(r.ID)
		require.NoError(f, f.store.Forget(f.ctx, r.ID, []core.ObjectID{one, three}, day(0)))
		require.NoError(f, f.store.Forget(f.ctx, r.ID, []core.ObjectID{three}, day(time.Hour)), "it is there already")
		require.NoError(f, f.store.Forget(f.ctx, r.ID, nil, day(0)))
		asked(r.ID, one, three)
		asked(other.ID)
		f.kind(core.KindNotFound, f.store.Forget(f.ctx, "repo_none", []core.ObjectID{one}, day(0)))
		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		asked(r.ID)
	}},
}
