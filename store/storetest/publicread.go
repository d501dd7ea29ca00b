package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var publicReadTests = []namedTest{
	{"who has a name, or had it, in any organisation", func(f *fixture) {
		mine := f.synced()
		f.org("other")
		theirs := f.create(local("other", mine.Name))
		find := func(name string, want ...string) {
			f.Helper()
			all, err := f.store.RepositoriesOfAnyOrg(f.ctx, name, 10)
			require.NoError(f, err)
			ids := []string{}
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			require.ElementsMatch(f, want, ids)
		}
		find(mine.Name, mine.ID, theirs.ID)
		find("nothing")
		one, err := f.store.RepositoriesOfAnyOrg(f.ctx, mine.Name, 1)
		require.NoError(f, err)
		require.Len(f, one, 1)
		_, err = f.store.RepositoriesOfAnyOrg(f.ctx, mine.Name, 0)
		f.kind(core.KindInvalid, err)
		require.NoError(f, f.store.RenameRepository(f.ctx, theirs.ID, "another", day(0)))
		find(mine.Name, mine.ID, theirs.ID)
		find("another", theirs.ID)
		require.NoError(f, f.store.TrashRepository(f.ctx, theirs.ID, day(0), day(time.Hour)))
		find(mine.Name, mine.ID)
		find("another")
	}},
	{"who may read an upstream is known until the link leads to another one", func(f *fixture) {
		r := f.synced()
		plain := f.create(local("acme", "plain"))
		want := func(v core.Visibility) {
			f.Helper()
			got, err := f.store.Visibility(f.ctx, r.ID)
			require.NoError(f, err)
			require.Equal(f, v, got)
		}
		want(core.VisibilityUnknown)
		for _, again := range []bool{true, false} {
			changed, err := f.store.SetVisibility(f.ctx, r.ID, core.VisibilityPublic)
			require.NoError(f, err)
			require.Equal(f, again, changed)
		}
		require.NoError(f, f.store.SetUpstreamID(f.ctx, r.ID, "7"))
		up := *r.Upstream
		up.ID, up.Name = "7", "renamed"
		require.NoError(f, f.store.MoveUpstream(f.ctx, r.ID, up))
		want(core.VisibilityPublic)
		up.ID = "8"
		require.NoError(f, f.store.MoveUpstream(f.ctx, r.ID, up))
		want(core.VisibilityUnknown)
		_, err := f.store.Visibility(f.ctx, plain.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.SetVisibility(f.ctx, plain.ID, core.VisibilityPublic)
		f.kind(core.KindNotFound, err)
	}},
}
