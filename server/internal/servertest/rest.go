package servertest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
)

// REST returns the generated client, with a token for a repository that opens
// everything.
func (c Caller) REST(t testing.TB, repo string) *client.API {
	t.Helper()
	token := c.Token(t, repo)
	api, err := client.New(c.URL, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Close = true // no idle connection outlives the call
		return nil
	}))
	require.NoError(t, err)
	return api
}

// RequireRefused requires that a call of the generated client ended with an HTTP
// status, and returns the error.
func RequireRefused(t testing.TB, status int, err error) *client.Error {
	t.Helper()
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Status, refused.Message)
	return refused
}

// SetSettings changes the settings that the body names.
func (c Caller) SetSettings(t testing.TB, repo string, change client.SettingsRequest) {
	t.Helper()
	_, err := c.REST(t, repo).UpdateSettings(t.Context(), repo, nil, change)
	require.NoError(t, err)
}

// ReplaceCredential puts a new credential of the forge in the place of the stored
// one.
func (c Caller) ReplaceCredential(t testing.TB, repo string, forge *forgetest.TestForge) {
	t.Helper()
	user, secret := forge.Credential()
	_, err := c.REST(t, repo).UpdateCredential(t.Context(), repo, c.Repository(t, repo).Credential.ID,
		client.UpdateCredentialRequest{Username: &user, Password: secret})
	require.NoError(t, err)
}

// Create makes a local repository.
func (c Caller) Create(t testing.TB, repo string) {
	t.Helper()
	_, err := c.REST(t, repo).CreateRepository(t.Context(), nil, client.CreateRepositoryRequest{})
	require.NoError(t, err)
}

// Base returns the body that names the repository at a path of a host.
func Base(provider, host, path string) client.BaseRepoRequest {
	slash := strings.LastIndexByte(path, '/')
	return client.BaseRepoRequest{Provider: &provider, Owner: new(path[:slash]), Name: path[slash+1:], UpstreamHost: &host}
}

// Link makes a repository that follows one of the forge's and stores a
// credential for it, whose secret it returns. Nothing is contacted yet.
func (c Caller) Link(t testing.TB, repo string, forge *forgetest.TestForge, path string) (secret string) {
	t.Helper()
	c.LinkAs(t, repo, forge.Host(), path)
	return c.StoreCredential(t, repo, forge)
}

// LinkAs makes a repository that follows the one at path of a gitea host,
// without a credential.
func (c Caller) LinkAs(t testing.TB, repo, host, path string) {
	t.Helper()
	c.Follow(t, repo, Base("gitea", host, path))
}

// Follow makes a repository that follows base, without a credential.
func (c Caller) Follow(t testing.TB, repo string, base client.BaseRepoRequest) {
	t.Helper()
	_, err := c.REST(t, repo).CreateRepository(t.Context(), nil, client.CreateRepositoryRequest{BaseRepo: &base})
	require.NoError(t, err)
}

// StoreCredential stores a new credential of the forge for a repository, and
// returns its secret.
func (c Caller) StoreCredential(t testing.TB, repo string, forge *forgetest.TestForge) (secret string) {
	t.Helper()
	user, secret := forge.Credential()
	_, err := c.REST(t, repo).CreateCredential(t.Context(), repo, client.CreateCredentialRequest{Username: &user, Password: secret})
	require.NoError(t, err)
	return secret
}

// Pull requests a sync as a client does, and does not wait for it. It returns
// what [Caller.PullAndWait] waits for.
func (c Caller) Pull(t testing.TB, repo string) (wanted int64) {
	t.Helper()
	a, err := c.REST(t, repo).PullUpstream(t.Context(), repo, client.PullUpstreamRequest{})
	require.NoError(t, err)
	return a.Wanted
}

// PullAndWait requests a sync as a client does, and waits for its end as one.
func (c Caller) PullAndWait(t testing.TB, repo string) {
	t.Helper()
	wanted := c.Pull(t, repo)
	require.Eventually(t, func() bool {
		return c.Repository(t, repo).Sync.Tried >= wanted
	}, 3*time.Minute, 25*time.Millisecond)
}

// Repository returns the answer of the API about a repository.
func (c Caller) Repository(t testing.TB, repo string) client.Repository {
	t.Helper()
	r, err := c.REST(t, repo).GetRepository(t.Context(), repo)
	require.NoError(t, err)
	return r
}
