package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// force rewrites main at the forge, from its first commit on, and syncs. It
// returns the old tip and the new one.
func (b *bench) force(t *testing.T) (old, tip string) {
	t.Helper()
	old = b.forge.Ref(origin, "refs/heads/main")
	other := b.direct(t)
	other.Git("reset", "--quiet", "--hard", "HEAD~1")
	tip = other.Commit("rewritten " + t.Name())
	b.forgePush(t, other, "HEAD:main")
	b.pullAndWait(t)
	return old, tip
}

// rewrites lists rewrites by the API.
func (b *bench) rewrites(t *testing.T, query client.ListRewritesParams) []client.Rewrite {
	t.Helper()
	list, err := b.REST(t, mirror).ListRewrites(t.Context(), mirror, &query)
	require.NoError(t, err)
	return list.Rewrites
}

func TestInvariant10_restoreOverREST(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 2})
	require.Empty(t, b.rewrites(t, client.ListRewritesParams{}))
	old, tip := b.force(t)
	rows := b.rewrites(t, client.ListRewritesParams{Ref: new("main"), State: new("retained")})
	require.Len(t, rows, 1)
	row := rows[0]
	require.Equal(t, [2]string{old, tip}, [2]string{row.Old, row.New})
	require.NotEmpty(t, row.ExpiresAt)
	one := "/rewrites/" + row.ID

	for _, tt := range []struct {
		name, method, path string
		body               any
		want               int
	}{
		{"a branch that exists", http.MethodPost, one + "/restore", map[string]string{"branch": "main"}, http.StatusConflict},
		{"a bad name", http.MethodPost, one + "/restore", map[string]string{"branch": "a..b"}, http.StatusBadRequest},
		{"no name", http.MethodPost, one + "/restore", nil, http.StatusBadRequest},
		{"approve what is not held", http.MethodPost, one + "/approve", nil, http.StatusConflict},
		{"no such rewrite", http.MethodGet, "/rewrites/rw_none", nil, http.StatusNotFound},
		{"no such state", http.MethodGet, "/rewrites?state=lost", nil, http.StatusBadRequest},
		{"no such cursor", http.MethodGet, "/rewrites?cursor=x", nil, http.StatusBadRequest},
		{"show", http.MethodGet, one, nil, http.StatusOK},
	} {
		require.Equal(t, tt.want, b.API(t, tt.method, mirror, tt.path, tt.body).Status, tt.name)
	}

	restored, err := b.REST(t, mirror).RestoreRewrite(t.Context(), mirror, row.ID, client.RestoreRewriteRequest{Branch: new("before")})
	require.NoError(t, err)
	require.Equal(t, "restored", restored.State)
	require.Equal(t, "before", restored.RestoredBranch)
	require.Equal(t, old, b.forge.Ref(origin, "refs/heads/before"))
	require.Equal(t, old, b.Refs(t, mirror)["refs/heads/before"])
	b.requireSame(t)
}

func TestInvariant20_keptTipsAreNotAdvertised(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5})
	client := b.work(t)
	old, _ := b.force(t)
	hidden := 0
	for name, id := range b.Refs(t, mirror) {
		if id == old {
			require.Contains(t, name, core.KeptPrefix)
			hidden++
		}
	}
	require.Equal(t, 1, hidden)
	for _, version := range []string{"0", "1", "2"} {
		client.Configure(map[string]string{"protocol.version": version})
		for name, id := range client.LsRemote("origin") {
			require.NotContains(t, name, "internal", "version %s", version)
			require.NotEqual(t, old, id, "version %s", version)
		}
	}
	require.NotContains(t, b.advertisement(t, mirror, "git-receive-pack"), old)
	fresh := b.clone(t)
	_, err := fresh.Try("cat-file", "-e", old)
	require.Error(t, err, "a clone does not bring it")
	// Known by its id, it can be fetched in version 2, as every object of a
	// repository that one may read.
	fresh.Git("fetch", "--quiet", "origin", old)
	fresh.Git("cat-file", "-e", old)

	client.Git("push", "--quiet", "origin", "HEAD:refs/heads/mine")
	for name := range b.forge.Refs(origin) {
		require.NotContains(t, name, "internal")
	}
	_, err = client.Try("push", "origin", "HEAD:"+core.KeptPrefix+"rw_mine")
	require.Error(t, err)
}

func TestRewrites_holdOverREST(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5})
	b.SetSettings(t, mirror, client.SettingsRequest{RefPolicies: &[]client.RefPolicy{{Pattern: "refs/heads/main", Action: "hold"}}})
	old, tip := b.force(t)
	require.Equal(t, old, b.Refs(t, mirror)["refs/heads/main"])
	held := b.rewrites(t, client.ListRewritesParams{State: new("held,frozen")})
	require.Len(t, held, 1)
	row := held[0]
	require.Equal(t, tip, row.New)
	// What keeps the ref out is named to whoever waits for it, or looks.
	reason := fmt.Sprintf("the upstream has moved refs/heads/main to %s, and a policy holds it at %s: approve %s to let it through", tip[:12], old[:12], row.ID)
	for _, want := range []client.EnsureRef{{Name: new("main"), ID: &tip}, {Name: new("main")}} {
		_, err := b.REST(t, mirror).Ensure(t.Context(), mirror, client.EnsureRequest{Refs: &[]client.EnsureRef{want}, Timeout: new("1s")})
		late := servertest.RequireRefused(t, http.StatusGatewayTimeout, err)
		require.Contains(t, late.Message, reason)
		var body struct{ Ensured client.Ensured }
		require.NoError(t, json.Unmarshal(late.Body, &body))
		require.Equal(t, reason, body.Ensured.Refs[0].Reason)
	}
	state, err := b.REST(t, mirror).GetSync(t.Context(), mirror)
	require.NoError(t, err)
	require.Equal(t, []client.Held{{Ref: "refs/heads/main", RewriteID: row.ID, State: "held", Reason: reason}}, state.HeldRefs)
	approved, err := b.REST(t, mirror).ApproveRewrite(t.Context(), mirror, row.ID)
	require.NoError(t, err)
	require.Equal(t, "approved", approved.State)
	require.Equal(t, tip, b.Refs(t, mirror)["refs/heads/main"])
	b.requireSame(t)
	require.NotContains(t, b.API(t, http.MethodGet, mirror, "/sync", nil).Raw, "held_refs")
	_, err = b.REST(t, mirror).Ensure(t.Context(), mirror, client.EnsureRequest{Refs: &[]client.EnsureRef{{Name: new("main")}}})
	require.NoError(t, err)

	all := b.rewrites(t, client.ListRewritesParams{})
	require.Len(t, all, 2)
	first, err := b.REST(t, mirror).ListRewrites(t.Context(), mirror, &client.ListRewritesParams{Limit: new(1)})
	require.NoError(t, err)
	require.True(t, first.HasMore)
	second := b.rewrites(t, client.ListRewritesParams{Limit: new(1), Cursor: &first.NextCursor})
	require.Equal(t, all[1:], second)
	retained := b.rewrites(t, client.ListRewritesParams{State: new("retained")})
	require.Len(t, retained, 1)
	dismissed, err := b.REST(t, mirror).DismissRewrite(t.Context(), mirror, retained[0].ID)
	require.NoError(t, err)
	require.Equal(t, "dismissed", dismissed.State)
}

// A policy that is lifted lets go of what it held, at once and without any change
// at the upstream.
func TestSettings_liftedHoldLetsTheRefFollow(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	settings := func(policies ...client.RefPolicy) {
		t.Helper()
		policies = append([]client.RefPolicy{}, policies...) // none is a list, too
		b.SetSettings(t, mirror, client.SettingsRequest{Poll: new("off"), RefPolicies: &policies})
	}
	settings(client.RefPolicy{Pattern: "refs/heads/main", Action: "hold"})
	b.pullAndWait(t)
	before, head := b.force(t)
	require.Equal(t, before, b.Refs(t, mirror)["refs/heads/main"], "held")

	// A push forgets the digest, so that the next run has only the refs to go by.
	b.clone(t).Git("push", "--quiet", "origin", "HEAD:refs/heads/other")
	settings()
	require.Eventually(t, func() bool { return b.Refs(t, mirror)["refs/heads/main"] == head }, time.Minute, 25*time.Millisecond)
}
