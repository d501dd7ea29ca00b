package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var aliasTests = []namedTest{
	{"a former name leads to the repository until another one has it", func(f *fixture) {
		r := f.synced()
		other := f.create(local("acme", "other"))
		leads := func(name, want string) {
			f.Helper()
			got, err := f.store.RepositoryByAlias(f.ctx, "acme", name)
			if want == "" {
				f.kind(core.KindNotFound, err)
				return
			}
			require.NoError(f, err)
			require.Equal(f, want, got.ID)
		}
		leads("tool", "")
		f.kind(core.KindConflict, f.store.RenameRepository(f.ctx, r.ID, "other", day(0)))
		f.kind(core.KindNotFound, f.store.RenameRepository(f.ctx, "repo_none", "new", day(0)))
		require.NoError(f, f.store.RenameRepository(f.ctx, r.ID, "New", day(0)))
		got, err := f.store.Repository(f.ctx, "acme", "New")
		require.NoError(f, err)
		require.Equal(f, r.ID, got.ID)
		_, err = f.store.Repository(f.ctx, "acme", "tool")
		f.kind(core.KindNotFound, err)
		leads("tool", r.ID)
		leads("New", "")
		page, err := f.store.Repositories(f.ctx, core.RepositoryFilter{Org: "acme", Query: "new", Limit: 10})
		require.NoError(f, err)
		require.Len(f, page, 1)

		f.kind(core.KindConflict, f.store.RenameRepository(f.ctx, other.ID, "tool", day(time.Second)))
		require.NoError(f, f.store.RenameRepository(f.ctx, r.ID, "Newer", day(time.Second)))
		require.NoError(f, f.store.RenameRepository(f.ctx, r.ID, "Newer", day(time.Second)), "it has the name")
		names, err := f.store.Aliases(f.ctx, r.ID)
		require.NoError(f, err)
		require.Equal(f, []string{"tool", "New"}, names)
		require.NoError(f, f.store.RenameRepository(f.ctx, r.ID, "tool", day(2*time.Second)), "back")
		leads("tool", "")
		leads("Newer", r.ID)

		f.create(local("acme", "Newer"))
		leads("Newer", "")
		leads("New", r.ID)
		require.NoError(f, f.store.TrashRepository(f.ctx, r.ID, day(0), day(time.Hour)))
		leads("New", "")
		f.kind(core.KindNotFound, f.store.RenameRepository(f.ctx, r.ID, "x", day(0)))
		require.NoError(f, f.store.RenameRepository(f.ctx, other.ID, "New", day(3*time.Second)), "of one in the trash")
		require.NoError(f, f.store.UndeleteRepository(f.ctx, r.ID, "other"))
		leads("other", "")
		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		leads("New", "")
	}},
}
