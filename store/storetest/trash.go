package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var trashTests = []namedTest{
	{"what is in the trash is found by the methods of the trash alone", func(f *fixture) {
		r := f.synced()
		other := f.create(local("acme", "other"))
		c := core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "s3cret"}
		require.NoError(f, f.store.CreateCredential(f.ctx, c))
		w := inbound(r)
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, w))
		require.NoError(f, f.store.SetDiskSize(f.ctx, r.ID, 100, day(0)))
		f.request(r.ID, "")
		j := core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalSent, CreatedAt: day(0)}
		require.NoError(f, f.store.OpenJournal(f.ctx, j))

		f.kind(core.KindNotFound, f.store.TrashRepository(f.ctx, "repo_none", day(0), day(time.Hour)))
		require.NoError(f, f.store.TrashRepository(f.ctx, r.ID, day(0), day(time.Hour)))
		f.kind(core.KindNotFound, f.store.TrashRepository(f.ctx, r.ID, day(0), day(time.Hour)))

		_, err := f.store.Repository(f.ctx, "acme", r.Name)
		f.kind(core.KindNotFound, err)
		_, err = f.store.Repository(f.ctx, "acme", ".git/"+r.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.RepositoryByID(f.ctx, r.ID)
		f.kind(core.KindNotFound, err)
		ids, err := f.store.RepositoryIDs(f.ctx)
		require.NoError(f, err)
		require.Equal(f, []string{other.ID}, ids)
		ids, err = f.store.FolderIDs(f.ctx)
		require.NoError(f, err)
		require.ElementsMatch(f, []string{r.ID, other.ID}, ids)
		of, err := f.store.RepositoriesOf(f.ctx, r.Upstream.Instance, "", "", r.Upstream.Owner+"/"+r.Upstream.Name)
		require.NoError(f, err)
		require.Empty(f, of)
		under, err := f.store.RepositoriesUnder(f.ctx, r.Upstream.Instance, "", "group")
		require.NoError(f, err)
		require.Empty(f, under)
		due, err := f.store.DueSyncs(f.ctx, day(time.Hour), 10)
		require.NoError(f, err)
		require.Empty(f, due)
		_, err = f.store.InboundWebhookByToken(f.ctx, w.Token)
		f.kind(core.KindNotFound, err)
		require.NoError(f, f.store.Mirrors(f.ctx, func(m core.MirrorHealth) error { f.Errorf("a mirror: %+v", m); return nil }))
		require.NoError(f, f.store.Health(f.ctx, "", func(h core.RepositoryHealth) error { require.Equal(f, other.ID, h.RepoID); return nil }))
		totals, err := f.store.Totals(f.ctx)
		require.NoError(f, err)
		require.Equal(f, 1, totals.Local)
		usage, err := f.store.OrgUsage(f.ctx, "acme")
		require.NoError(f, err)
		require.Equal(f, core.OrgUsage{Repositories: 1, DiskBytes: 100}, usage)
		for state, want := range map[core.RepositoryState]string{"": other.ID, core.RepositoryDeleted: r.ID} {
			page, err := f.store.Repositories(f.ctx, core.RepositoryFilter{Org: "acme", State: state, Sort: core.SortName, Limit: 10})
			require.NoError(f, err)
			require.Len(f, page, 1)
			require.Equal(f, want, page[0].ID)
		}
		kept, err := f.store.CredentialByID(f.ctx, c.ID)
		require.NoError(f, err, "its credential is kept")
		require.Equal(f, c.Secret, kept.Secret)

		// What was on its way can end, and nothing new begins.
		j2 := core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalSent, CreatedAt: day(0)}
		f.kind(core.KindNotFound, f.store.OpenJournal(f.ctx, j2))
		_, err = f.store.BumpVersion(f.ctx, r.ID)
		require.NoError(f, err)
		require.NoError(f, f.store.CloseJournal(f.ctx, j.ID, core.JournalApplied, nil, day(time.Second)))

		// The newest of a name goes first.
		again := f.create(local("acme", r.Name))
		f.kind(core.KindConflict, f.store.UndeleteRepository(f.ctx, r.ID, r.Name))
		require.NoError(f, f.store.TrashRepository(f.ctx, again.ID, day(time.Minute), day(2*time.Hour)))
		got, err := f.store.DeletedRepository(f.ctx, "acme", r.Name)
		require.NoError(f, err)
		require.Equal(f, again.ID, got.ID)
		got, err = f.store.DeletedRepository(f.ctx, "acme", r.ID)
		require.NoError(f, err)
		require.Equal(f, r.Name, got.Name)
		require.Equal(f, day(0), got.DeletedAt)
		require.Equal(f, day(time.Hour), got.KeptUntil)
		f.org("other")
		_, err = f.store.DeletedRepository(f.ctx, "other", r.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.DeletedRepositoryByID(f.ctx, other.ID)
		f.kind(core.KindNotFound, err)
		all, err := f.store.DeletedRepositories(f.ctx, "acme")
		require.NoError(f, err)
		require.Len(f, all, 2)

		expired, err := f.store.ExpiredRepositories(f.ctx, day(time.Hour), 10)
		require.NoError(f, err)
		require.Len(f, expired, 1)
		require.Equal(f, r.ID, expired[0].ID)
		_, err = f.store.ExpiredRepositories(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)

		require.NoError(f, f.store.UndeleteRepository(f.ctx, r.ID, "tool-again"))
		f.kind(core.KindNotFound, f.store.UndeleteRepository(f.ctx, r.ID, "tool-again"))
		got, err = f.store.Repository(f.ctx, "acme", "tool-again")
		require.NoError(f, err)
		require.False(f, got.Deleted())
		require.Equal(f, r.Upstream, got.Upstream)
		due, err = f.store.DueSyncs(f.ctx, day(time.Hour), 10)
		require.NoError(f, err)
		require.Len(f, due, 1, "what was requested before is due again")
		require.NoError(f, f.store.DeleteRepository(f.ctx, again.ID), "from the trash")
	}},
	{"a paused repository is paused again, and a shared credential of deleted ones can go", func(f *fixture) {
		r := f.synced()
		_, err := f.store.SetPaused(f.ctx, r.ID, day(0))
		require.NoError(f, err)
		f.request(r.ID, "")
		shared := core.SharedCredential{ID: id("shc"), Org: "acme", Name: "all", Provider: "gitlab", Instance: "work", Host: "gitlab.example", Owner: "group", Secret: "s3cret", CreatedAt: day(0), UpdatedAt: day(0)}
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, shared))
		require.NoError(f, f.store.AssignSharedCredential(f.ctx, r.ID, shared.ID, day(0)))
		f.kind(core.KindConflict, f.store.DeleteSharedCredential(f.ctx, shared.ID))
		require.NoError(f, f.store.TrashRepository(f.ctx, r.ID, day(0), day(time.Hour)))
		with, err := f.store.RepositoriesWith(f.ctx, shared.ID)
		require.NoError(f, err)
		require.Empty(f, with)
		require.NoError(f, f.store.DeleteSharedCredential(f.ctx, shared.ID))
		require.NoError(f, f.store.UndeleteRepository(f.ctx, r.ID, r.Name))
		due, err := f.store.DueSyncs(f.ctx, day(time.Hour), 10)
		require.NoError(f, err)
		require.Empty(f, due)
	}},
}
