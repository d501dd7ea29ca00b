package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var credentialTests = []namedTest{
	{"create and read", func(f *fixture) {
		r := f.synced()
		want := core.Credential{
			ID: id("ggc"), RepoID: r.ID, Username: "robot", Host: "git.example.test:8443", Secret: "s3cret \x00\xff", CreatedAt: day(0), UpdatedAt: day(time.Hour),
		}
		require.NoError(f, f.store.CreateCredential(f.ctx, want))
		got, err := f.store.CredentialByID(f.ctx, want.ID)
		require.NoError(f, err)
		require.Equal(f, want, got)
		got, err = f.store.CredentialByRepo(f.ctx, r.ID)
		require.NoError(f, err)
		require.Equal(f, want, got)
	}},
	{"update replaces username and secret", func(f *fixture) {
		r := f.synced()
		c := core.Credential{ID: id("ggc"), RepoID: r.ID, Username: "a", Secret: "one", CreatedAt: day(0), UpdatedAt: day(0)}
		require.NoError(f, f.store.CreateCredential(f.ctx, c))
		require.NoError(f, f.store.UpdateCredential(f.ctx, core.Credential{
			ID: c.ID, RepoID: "ignored", Host: "b.example.test", Secret: "two", CreatedAt: day(time.Hour), UpdatedAt: day(time.Minute),
		}))
		c.Username, c.Host, c.Secret, c.UpdatedAt = "", "b.example.test", "two", day(time.Minute)
		got, err := f.store.CredentialByID(f.ctx, c.ID)
		require.NoError(f, err)
		require.Equal(f, c, got)

		require.NoError(f, f.store.UpdateCredential(f.ctx, core.Credential{ID: c.ID, Secret: "three"}))
		got, err = f.store.CredentialByID(f.ctx, c.ID)
		require.NoError(f, err)
		require.False(f, got.UpdatedAt.IsZero(), "an update without a time happens now")
	}},
	{"a repository has one at most", func(f *fixture) {
		r := f.synced()
		c := core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "one"}
		require.NoError(f, f.store.CreateCredential(f.ctx, c))
		f.kind(core.KindConflict, f.store.CreateCredential(f.ctx, core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "two"}))
		require.NoError(f, f.store.DeleteCredential(f.ctx, c.ID))
		require.NoError(f, f.store.CreateCredential(f.ctx, core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "two"}))
	}},
	{"nothing is lost that the key opens", func(f *fixture) {
		f.org("acme")
		r := f.create(synced("acme", "a"))
		c := core.Credential{ID: id("ggc"), RepoID: r.ID, Username: "a", Secret: "secret"}
		require.NoError(f, f.store.CreateCredential(f.ctx, c))
		lost, err := f.store.DropLostSecrets(f.ctx, day(0))
		require.NoError(f, err)
		require.Empty(f, lost)
		got, err := f.store.CredentialByID(f.ctx, c.ID)
		require.NoError(f, err)
		require.Equal(f, c.Secret, got.Secret)
	}},
	{"reseal keeps every secret", func(f *fixture) {
		f.org("acme")
		n, err := f.store.ResealCredentials(f.ctx)
		require.NoError(f, err)
		require.Zero(f, n)
		var want []core.Credential
		for _, name := range []string{"a", "b", "c"} {
			r := f.create(synced("acme", name))
			want = append(want, core.Credential{ID: id("ggc"), RepoID: r.ID, Username: name, Secret: "secret of a"})
			require.NoError(f, f.store.CreateCredential(f.ctx, want[len(want)-1]))
		}
		hook := webhook("acme")
		require.NoError(f, f.store.CreateWebhook(f.ctx, hook))
		in := inbound(core.Repository{ID: want[0].RepoID})
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, in))
		n, err = f.store.ResealCredentials(f.ctx)
		require.NoError(f, err)
		require.Equal(f, len(want)+3, n, "a webhook has one, an inbound one a token and its secrets")
		gotHook, err := f.store.WebhookByID(f.ctx, hook.ID)
		require.NoError(f, err)
		require.Equal(f, hook, gotHook)
		gotIn, err := f.store.InboundWebhookByToken(f.ctx, in.Token)
		require.NoError(f, err)
		require.Equal(f, in, gotIn)
		for _, c := range want {
			got, err := f.store.CredentialByID(f.ctx, c.ID)
			require.NoError(f, err)
			require.Equal(f, c, got)
		}
	}},
	{"a missing one is not found", func(f *fixture) {
		f.org("acme")
		r := f.create(local("acme", "local"))
		_, err := f.store.CredentialByID(f.ctx, "ggc_none")
		f.kind(core.KindNotFound, err)
		_, err = f.store.CredentialByRepo(f.ctx, r.ID)
		f.kind(core.KindNotFound, err)
		f.kind(core.KindNotFound, f.store.UpdateCredential(f.ctx, core.Credential{ID: "ggc_none"}))
		f.kind(core.KindNotFound, f.store.DeleteCredential(f.ctx, "ggc_none"))
		f.kind(core.KindNotFound, f.store.CreateCredential(f.ctx, core.Credential{ID: id("ggc"), RepoID: "repo_none"}))
	}},
}
