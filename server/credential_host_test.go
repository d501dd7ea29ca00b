package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestCredentials_ofALocalRepository follows the vendor's own workflow: it makes,
// rotates and deletes the credential of a repository that follows nothing.
func TestCredentials_ofALocalRepository(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "plain")
	a := s.API(t, http.MethodPost, "plain", "/git-credentials", m{"username": "robot", "password": "hunter2"})
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	require.Nil(t, a.At("upstream_host"))
	id := a.At("id").(string)
	a = s.API(t, http.MethodPost, "plain", "/git-credentials", m{"password": "hunter2"})
	require.Equal(t, http.StatusConflict, a.Status, a.Raw)
	a = s.API(t, http.MethodPut, "plain", "/git-credentials/"+id, m{"password": "hunter3", "provider": "GitLab"})
	require.Equal(t, []any{http.StatusOK, "gitlab.com", "robot"}, []any{a.Status, a.At("upstream_host"), a.At("username")}, a.Raw)
	a = s.API(t, http.MethodPut, "plain", "/git-credentials/"+id, m{"password": "hunter4"})
	require.Equal(t, []any{http.StatusOK, "gitlab.com"}, []any{a.Status, a.At("upstream_host")}, a.Raw)
	for _, bad := range []m{{"provider": "nobody"}, {"provider": "gitea"}, {"upstream_host": "https://git.example.com/x"}} {
		bad["password"] = "x"
		a = s.API(t, http.MethodPut, "plain", "/git-credentials/"+id, bad)
		require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
	}
	require.Equal(t, id, s.Repository(t, "plain").Credential.ID)
	require.NotContains(t, s.Get(t, "plain").Raw, "hunter")
	a = s.API(t, http.MethodDelete, "plain", "/git-credentials/"+id, nil)
	require.Equal(t, http.StatusNoContent, a.Status, a.Raw)
	require.Nil(t, s.Repository(t, "plain").Credential)
}

// TestCredentials_goToTheirHostAlone attaches repositories with a credential that
// would open the upstream, but was stored for another host or for none: an
// upstream that is opened has been sent it.
func TestCredentials_goToTheirHostAlone(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo("acme/private", true)
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}})
	user, secret := forge.Credential()
	link := m{"base_repo": m{"provider": "gitea", "owner": "acme", "name": "private", "upstream_host": forge.Host()}}
	for name, tt := range map[string]struct {
		host   any
		status int
	}{
		"for-none":      {nil, http.StatusPreconditionFailed},
		"for-another":   {"git.example.com", http.StatusPreconditionFailed},
		"for-this-host": {strings.ToUpper(forge.Host()), http.StatusOK},
	} {
		s.Create(t, name)
		body := m{"username": user, "password": secret}
		if tt.host != nil {
			body["upstream_host"] = tt.host
		}
		a := s.API(t, http.MethodPost, name, "/git-credentials", body)
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		id := a.At("id")
		for _, query := range []string{"?dry_run=true", ""} {
			a = s.API(t, http.MethodPost, name, "/base"+query, link)
			require.Equal(t, tt.status, a.Status, "%s%s: %s", name, query, a.Raw)
		}
		require.Equal(t, id, s.Repository(t, name).Credential.ID, "a refusal takes nothing away")
		if tt.status == http.StatusOK {
			s.PullAndWait(t, name)
			require.EqualValues(t, "ready", s.Repository(t, name).Sync.State)
			continue
		}
		// Given again, it takes the place of the stored one.
		given := m{"base_repo": link["base_repo"], "username": user, "password": secret}
		a = s.API(t, http.MethodPost, name, "/base", given)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		got := s.Get(t, name)
		require.NotEqual(t, id, got.At("credential.id"))
		require.Equal(t, forge.Host(), got.At("credential.upstream_host"))
		s.PullAndWait(t, name)
		require.EqualValues(t, "ready", s.Repository(t, name).Sync.State)
	}
	// An upstream that anybody may read is attached without it, and it goes.
	forge.CreateRepo("acme/open", false)
	s.Create(t, "open")
	a := s.API(t, http.MethodPost, "open", "/git-credentials", m{"password": "for somebody else", "upstream_host": "git.example.com"})
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	a = s.API(t, http.MethodPost, "open", "/base", m{"base_repo": m{"provider": "gitea", "owner": "acme", "name": "open", "upstream_host": forge.Host()}})
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Nil(t, s.Repository(t, "open").Credential)
	a = s.API(t, http.MethodPost, "open", "/git-credentials", m{"password": "x", "upstream_host": "git.example.com"})
	require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
}
