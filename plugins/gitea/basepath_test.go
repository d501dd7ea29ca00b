package gitea_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// A Gitea whose ROOT_URL is below a path: upstream_host stays bare, and clone URL,
// API, identity and webhooks are below it.
func TestProvider_basePath(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea, BasePath: "/code/git"})
	f.CreateRepo("acme/widget", true)
	policy := f.HostPolicy()
	policy.APIURL = "" // the provider's own rule
	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{policy}}))
	stored := &providers.StoredCredential{Username: forgetest.User, Secret: providers.Secret(f.Token())}
	locator := providers.Locator{Host: f.Host(), Owner: "acme", Name: "widget"}
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true, Stored: stored})
	require.NoError(t, err)
	require.Equal(t, f.Host(), remote.Host)
	require.Equal(t, "acme/widget", remote.Path)
	require.Equal(t, "http://"+f.Host()+"/code/git/acme/widget.git", remote.URL)
	require.Equal(t, "http://"+f.Host()+"/code/git/acme/widget", remote.WebURL)

	f.RenameRepo("acme/widget", "acme/gadget")
	locator.ID = remote.UpstreamID
	moved, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true, Stored: stored})
	require.NoError(t, err)
	require.Equal(t, "http://"+f.Host()+"/code/git/acme/gadget.git", moved.URL)

	result, err := p.Probe(t.Context(), providers.ProbeRequest{Remote: moved, Stored: stored})
	require.NoError(t, err)
	require.True(t, result.Reachable)
	registrar, ok := p.(providers.WebhookRegistrar)
	require.True(t, ok)
	hook, err := registrar.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{
		Remote: moved, Stored: stored, URL: "http://127.0.0.1:1/inbound/x", Secret: "0123456789abcdef",
	})
	require.NoError(t, err)
	require.NotEmpty(t, hook.HookID)

	for _, url := range []string{"http://" + f.Host() + "/acme/widget.git", "http://" + f.Host() + "/code/gitx/acme/widget.git"} {
		elsewhere := moved
		elsewhere.URL = url
		_, err = p.Credential(t.Context(), providers.CredentialRequest{Remote: elsewhere, Operation: providers.OpFetch, Stored: stored})
		require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "a credential must not leave the host's path")
	}
	for _, r := range f.Requests() {
		require.False(t, strings.HasPrefix(r.Path, "/code"), "the forge sees paths without the one that it is below")
	}
}
