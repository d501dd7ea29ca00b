package server_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/sdktest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServer_servesThePublishedSDK runs the TypeScript SDK, unchanged, against a
// server over TLS, and git with the remotes that the SDK makes.
func TestServer_servesThePublishedSDK(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 20, Branches: 2})
	s := servertest.Start(t, servertest.Options{TLS: true, Forges: []*forgetest.TestForge{forge}})
	ca := s.CAFile(t)
	user, secret := forge.Credential()

	var remotes struct{ Local, Synced, Ephemeral, Import, ReadOnly string }
	printed := sdktest.Run(t, "testdata/sdk/synced.mjs", s.URL, ca, s.PrivatePEM(), "FORGE_HOST="+forge.Host(), "FORGE_USER="+user, "FORGE_TOKEN="+secret)
	require.NoError(t, json.Unmarshal([]byte(printed), &remotes), printed)

	// The remotes carry their token themselves.
	git := func() *servertest.Client {
		c := s.ClientWith(t, "")
		c.Configure(map[string]string{"http.sslCAInfo": ca})
		return c
	}
	client := git().Clone(remotes.Synced)
	require.Equal(t, forge.Ref(origin, "refs/heads/main"), client.Head())
	head := client.Commit("by way of the SDK's remote")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, head, forge.Ref(origin, "refs/heads/main"))
	require.Equal(t, head, client.LsRemote(remotes.Synced)["refs/heads/main"])

	client.Git("push", "--quiet", remotes.Ephemeral, "HEAD:draft")
	require.Equal(t, map[string]string{"refs/heads/draft": head}, client.LsRemote(remotes.Ephemeral))
	require.NotContains(t, forge.Refs(origin), "refs/heads/draft")
	out, err := client.Try("push", remotes.ReadOnly, "HEAD:other")
	require.Error(t, err, out)
	require.Contains(t, out, "git:write")

	imported := git().Clone("")
	first := imported.Commit("first")
	imported.Git("push", "--quiet", remotes.Import, "HEAD:trunk")
	out, err = imported.Try("ls-remote", remotes.Import)
	require.Error(t, err, out)
	local := git().Clone(remotes.Local)
	require.Equal(t, "trunk", local.Git("branch", "--show-current"))
	require.Equal(t, first, local.Head())

	for _, remote := range []string{remotes.Synced, remotes.Ephemeral, remotes.Import} {
		u, err := url.Parse(remote)
		require.NoError(t, err)
		token, _ := u.User.Password()
		require.NotContains(t, s.Log.String(), token)
	}
}
