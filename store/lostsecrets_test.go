package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/store"
)

// The sealing key is lost. What nothing opens any more is removed and named, and then
// nothing stands in the way of what is listed, read and stored anew.
func TestStore_dropLostSecrets(t *testing.T) {
	t.Parallel()
	schema := postgres.Schema(t)
	for name, open := range map[string]func(t testing.TB, dir string) *store.Store{
		"SQLite":     openAt,
		"PostgreSQL": func(t testing.TB, dir string) *store.Store { t.Helper(); return openPostgres(t, schema, dir) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, ctx, now := t.TempDir(), t.Context(), time.Now()
			s := open(t, dir)
			own := newRepository(t, s)
			other := own
			other.ID, other.Name = core.NewID("repo", now), "other"
			other.Upstream = &core.Upstream{Provider: "gitlab", Instance: "work", Host: "gitlab.example", Owner: "acme", Name: "other"}
			require.NoError(t, s.CreateRepository(ctx, other))
			require.NoError(t, s.CreateCredential(ctx, core.Credential{ID: "ggc_1", RepoID: own.ID, Username: "u", Secret: plantedSecret}))
			shared := core.SharedCredential{
				ID: "gsc_1", Org: "acme", Name: "all", Provider: "gitlab", Instance: "work", Host: "gitlab.example", Owner: "acme", Secret: plantedSecret,
				Previous: &core.PreviousCredential{Username: "u", Secret: plantedSecret, Until: now.Add(time.Hour)},
			}
			require.NoError(t, s.CreateSharedCredential(ctx, shared))
			require.NoError(t, s.UpdateSharedCredential(ctx, shared))
			require.NoError(t, s.AssignSharedCredential(ctx, other.ID, shared.ID, now))
			require.NoError(t, s.SaveInboundWebhook(ctx, core.InboundWebhook{RepoID: own.ID, Token: "token", Secrets: []providers.Secret{plantedSecret}}))
			hook := core.Webhook{ID: "wh_1", Org: "acme", URL: "https://ci.example/hook", Events: []string{"push"}, Active: true, Secret: plantedSecret}
			require.NoError(t, s.CreateWebhook(ctx, hook))
			key := core.Key{ID: "key_1", Org: "acme", KeyID: core.IssuerKeyID("key_1"), Algorithm: "ES256", PublicPEM: "public", CreatedAt: now}
			require.NoError(t, s.AddIssuerKey(ctx, key, plantedSecret))
			require.NoError(t, s.BeginIdempotentCall(ctx, core.IdempotentCall{ID: "call_1", Org: "acme", At: now}))
			require.NoError(t, os.Remove(filepath.Join(dir, "seal.key")))

			s = open(t, dir)
			_, err := s.CredentialByRepo(ctx, own.ID)
			require.ErrorContains(t, err, "cannot be opened")
			until := now.Add(time.Hour).UTC().Truncate(time.Second)
			lost, err := s.DropLostSecrets(ctx, until)
			require.NoError(t, err)
			require.ElementsMatch(t, []core.LostSecret{
				{Kind: core.LostCredential, Org: "acme", Name: "tool"},
				{Kind: core.LostSharedCredential, Org: "acme", Name: "all"},
				{Kind: core.LostWebhook, Org: "acme", Name: "wh_1"},
			}, lost)
			lost, err = s.DropLostSecrets(ctx, until)
			require.NoError(t, err)
			require.Empty(t, lost, "the second time there is nothing")

			kind := func(want core.Kind, err error) {
				t.Helper()
				require.Equal(t, want, core.KindOf(err), "%v", err)
			}
			_, err = s.CredentialByRepo(ctx, own.ID)
			kind(core.KindNotFound, err)
			require.NoError(t, s.CreateCredential(ctx, core.Credential{ID: "ggc_2", RepoID: own.ID, Username: "u", Secret: plantedSecret}))
			got, err := s.SharedCredential(ctx, "acme", "all")
			require.NoError(t, err)
			require.Empty(t, got.Secret)
			require.Nil(t, got.Previous)
			require.Contains(t, got.CheckError, "rotate it")
			_, err = s.InboundWebhook(ctx, own.ID)
			kind(core.KindNotFound, err)
			w, err := s.WebhookByID(ctx, "wh_1")
			require.NoError(t, err)
			require.False(t, w.Active)
			require.Contains(t, w.LastError, "sealing key")
			_, _, err = s.IssuerKey(ctx, "acme")
			kind(core.KindNotFound, err)
			keys, err := s.Keys(ctx, "acme")
			require.NoError(t, err)
			require.Len(t, keys, 1)
			require.Equal(t, until, keys[0].VerifiesUntil.UTC(), "what it has signed is still verified")
			_, err = s.ResealCredentials(ctx)
			require.NoError(t, err)
		})
	}
}
