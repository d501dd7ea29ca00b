package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// sharedCredential returns one for "group" at the host of [synced], not stored yet.
func sharedCredential(name string) core.SharedCredential {
	return core.SharedCredential{
		ID: id("gsc"), Org: "acme", Name: name, Provider: "gitlab", Instance: "work", Host: "gitlab.example", Owner: "Group", Username: "robot",
		Secret: "s3cret", ExpiresAt: day(24 * time.Hour), CheckedAt: day(0), CreatedAt: day(0), UpdatedAt: day(0),
	}
}

var sharedCredentialTests = []namedTest{
	{"it is found by its name and its id, in its organisation alone", func(f *fixture) {
		f.org("acme")
		f.org("other")
		want := sharedCredential("all")
		want.Host = "GitLab.example"
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, want))
		want.Host = "gitlab.example"
		for _, word := range []string{"all", want.ID} {
			got, err := f.store.SharedCredential(f.ctx, "acme", word)
			require.NoError(f, err)
			same(f, want, got)
			_, err = f.store.SharedCredential(f.ctx, "other", word)
			f.kind(core.KindNotFound, err)
		}
		taken := sharedCredential("all")
		f.kind(core.KindConflict, f.store.CreateSharedCredential(f.ctx, taken))
		taken.Org = "nobody"
		f.kind(core.KindNotFound, f.store.CreateSharedCredential(f.ctx, taken))
		theirs := sharedCredential("all")
		theirs.Org = "other"
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, theirs))
		first := sharedCredential("a-first")
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, first))
		for org, want := range map[string][]core.SharedCredential{"acme": {first, want}, "other": {theirs}, "": {first, want, theirs}, "nobody": {}} {
			got, err := f.store.SharedCredentials(f.ctx, org)
			require.NoError(f, err)
			same(f, want, got)
		}
	}},
	{"a rotation keeps what was before until its overlap ends", func(f *fixture) {
		f.org("acme")
		c := sharedCredential("all")
		f.kind(core.KindNotFound, f.store.UpdateSharedCredential(f.ctx, c))
		f.kind(core.KindNotFound, f.store.RecordCredentialCheck(f.ctx, c))
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, c))
		read := func() core.SharedCredential {
			f.Helper()
			got, err := f.store.SharedCredential(f.ctx, "acme", "all")
			require.NoError(f, err)
			return got
		}
		// Stores compare with their own clock, so the end is far from now on either side.
		c.Username, c.Secret, c.UpdatedAt = "robot-2", "n3xt", day(time.Minute)
		c.Previous = &core.PreviousCredential{Username: "robot", Secret: "s3cret", Until: day(0).AddDate(500, 0, 0)}
		require.NoError(f, f.store.UpdateSharedCredential(f.ctx, c))
		same(f, c, read())
		c.Previous.Until = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
		require.NoError(f, f.store.UpdateSharedCredential(f.ctx, c))
		c.Previous = nil
		same(f, c, read())

		c.ExpiresAt, c.CheckedAt, c.CheckError = day(time.Hour), day(time.Second), "the host says no"
		require.NoError(f, f.store.RecordCredentialCheck(f.ctx, c))
		same(f, c, read())
		before := c
		c.ExpiresAt, c.CheckedAt, c.CheckError = time.Time{}, day(time.Minute), ""
		require.NoError(f, f.store.RecordCredentialCheck(f.ctx, c))
		same(f, c, read())

		// What a host says of a secret that has been replaced is not recorded.
		c.Secret, c.UpdatedAt = "n3xt-2", day(2*time.Minute)
		require.NoError(f, f.store.UpdateSharedCredential(f.ctx, c))
		f.kind(core.KindNotFound, f.store.RecordCredentialCheck(f.ctx, before))
		same(f, c, read())
	}},
	{"repositories use it where it may be sent, and nowhere else", func(f *fixture) {
		r := f.synced()
		elsewhere := synced("acme", "elsewhere")
		elsewhere.Upstream.Mode, elsewhere.Upstream.Owner = "generic", "other"
		f.create(elsewhere)
		below := synced("acme", "below")
		below.Upstream.Mode = "generic"
		f.create(below)
		c, second := sharedCredential("all"), sharedCredential("second")
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, c))
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, second))

		f.kind(core.KindNotFound, f.store.UnassignSharedCredential(f.ctx, below.ID))
		f.kind(core.KindNotFound, f.store.AssignSharedCredential(f.ctx, "repo_none", c.ID, day(0)))
		f.kind(core.KindNotFound, f.store.AssignSharedCredential(f.ctx, below.ID, "gsc_none", day(0)))
		_, err := f.store.SharedCredentialOf(f.ctx, below.ID)
		f.kind(core.KindNotFound, err)
		for _, id := range []string{below.ID, elsewhere.ID} {
			require.NoError(f, f.store.AssignSharedCredential(f.ctx, id, c.ID, day(0)))
		}
		used, err := f.store.CredentialByRepo(f.ctx, below.ID)
		require.NoError(f, err)
		require.Equal(f, c.Secret, used.Secret)
		require.Equal(f, "all", used.Shared)
		_, err = f.store.CredentialByRepo(f.ctx, elsewhere.ID)
		f.kind(core.KindNotFound, err)
		got, err := f.store.SharedCredentialOf(f.ctx, elsewhere.ID)
		require.NoError(f, err, "it uses the credential all the same")
		require.Equal(f, 2, got.UsedByCount)
		require.Empty(f, got.Secret)
		with, err := f.store.RepositoriesWith(f.ctx, c.ID)
		require.NoError(f, err)
		require.Len(f, with, 2)

		// Another one takes its place; one of its own does not.
		require.NoError(f, f.store.AssignSharedCredential(f.ctx, below.ID, second.ID, day(time.Minute)))
		got, err = f.store.SharedCredentialOf(f.ctx, below.ID)
		require.NoError(f, err)
		require.Equal(f, "second", got.Name)
		require.NoError(f, f.store.CreateCredential(f.ctx, core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "own"}))
		f.kind(core.KindConflict, f.store.AssignSharedCredential(f.ctx, r.ID, c.ID, day(0)))
		f.kind(core.KindConflict, f.store.DeleteSharedCredential(f.ctx, second.ID))
		require.NoError(f, f.store.UnassignSharedCredential(f.ctx, below.ID))
		require.NoError(f, f.store.DeleteSharedCredential(f.ctx, second.ID))
		f.kind(core.KindNotFound, f.store.DeleteSharedCredential(f.ctx, second.ID))
	}},
}
