package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// What a fetch from a shallow upstream leaves behind is on no ref and lacks its
// history: it is not "here" for those who wait for it, and no ref gets to it.
func TestShallowUpstream_nothingIsBuiltOnWhatItLacks(t *testing.T) {
	t.Parallel()
	b, _ := agedBench(t)
	git := func(args ...string) {
		_, err := b.forge.Forge.Git(origin, args...)
		require.NoError(t, err)
	}
	other := b.direct(t)
	other.Commit("two")
	three := other.Commit("three")
	git("fetch", "--quiet", "--depth=1", "file://"+other.Dir, "+HEAD:refs/heads/main")

	api := b.REST(t, mirror)
	folder := b.Engine().Services().Repos.Path(b.Repo(t, mirror).ID)
	ensure := func() bool {
		_, err := api.Ensure(t.Context(), mirror, client.EnsureRequest{Ids: &[]string{three}, Timeout: new("1s")})
		servertest.RequireRefused(t, http.StatusGatewayTimeout, err)
		_, err = b.gitIn(t, folder, "cat-file", "-e", three)
		return err == nil
	}
	require.Eventually(t, ensure, time.Minute, time.Millisecond)
	ensure() // the object is here already
	for path, body := range map[string]map[string]any{
		"/branches/create": {"target_branch": "built", "base_branch": three},
		"/tags":            {"name": "built", "ref": three[:12]},
		"/merge":           {"source_branch": three, "target_branch": "main", "strategy": "merge", "author": map[string]any{"name": "a", "email": "a@example.com"}},
	} {
		a := b.API(t, http.MethodPost, mirror, path, body)
		require.Equal(t, http.StatusConflict, a.Status, "%s: %s", path, a.Raw)
		require.Contains(t, a.Raw, "a part of the history", path)
	}
	for ref, id := range b.Refs(t, mirror) {
		require.NotEqual(t, three, id, ref)
	}
	git("fetch", "--quiet", "--unshallow", "file://"+other.Dir)
	_, err := api.Ensure(t.Context(), mirror, client.EnsureRequest{Ids: &[]string{three}})
	require.NoError(t, err)
	_, err = api.CreateBranch(t.Context(), mirror, client.CreateBranchRequest{TargetBranch: "built", BaseBranch: new(strings.ToUpper(three))})
	require.NoError(t, err)
	b.clone(t)
}
