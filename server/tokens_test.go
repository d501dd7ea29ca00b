package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// issue has the server issue a token, whose answer nobody may keep.
func issue(t *testing.T, s *servertest.Server, repo string, operations ...string) (token rest.IssuedToken) {
	t.Helper()
	a := s.Call(t, http.MethodPost, "/api/tokens", s.Token(t, "org"), rest.IssueTokenRequest{Repo: &repo, Operations: operations, Subject: new("workspace")})
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.NoError(t, json.Unmarshal([]byte(a.Raw), &token))
	return token
}

// revoke revokes tokens with a token of the organisation.
func revoke(t *testing.T, s *servertest.Server, what rest.RevokeRequest) {
	t.Helper()
	_, err := s.REST(t, "org").RevokeTokens(t.Context(), what)
	require.NoError(t, err)
}

// TestTokens_openWhatTheyName uses issued tokens on every surface: the API, the Git
// remotes, event streams, and as the token of a source inside a body.
func TestTokens_openWhatTheyName(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "team/app")
	client := s.Client(t, "team/app")
	client.Git("init", "--quiet", ".")
	client.Commit("first")
	client.Git("push", "--quiet", s.Remote("team/app"), "HEAD:main")
	status := func(method, path, token string) int {
		t.Helper()
		return s.Call(t, method, path, token, nil).Status
	}

	fetch, push := issue(t, s, "team/app", access.GitFetch).Token, issue(t, s, "team/app", access.GitPush, access.GitFetch).Token
	only := issue(t, s, "team/app", "createCommit", "getRepository").Token // git:write, but no remote
	_, err := s.ClientWith(t, fetch).Try("ls-remote", s.Remote("team/app"))
	require.NoError(t, err)
	out, err := s.ClientWith(t, only).Try("ls-remote", s.Remote("team/app"))
	require.Error(t, err)
	require.Contains(t, out, "403")
	pusher := s.ClientWith(t, fetch)
	pusher.Git("clone", "--quiet", s.Remote("team/app"), ".")
	pusher.Commit("second")
	out, err = pusher.Try("push", "--quiet", "origin", "HEAD:main")
	require.Error(t, err)
	require.Contains(t, out, "403")
	pusher = s.ClientWith(t, push)
	pusher.Git("clone", "--quiet", s.Remote("team/app"), ".")
	pusher.Commit("second")
	pusher.Git("push", "--quiet", "origin", "HEAD:main")

	require.Equal(t, http.StatusOK, status(http.MethodGet, "/api/repos/team%2Fapp", only))
	require.Equal(t, http.StatusOK, status(http.MethodGet, "/api/v1/repo", only))
	for _, path := range []string{"/api/repos/team%2Fapp/files", "/api/v1/repos/files", "/api/events"} {
		require.Equal(t, http.StatusForbidden, status(http.MethodGet, path, only), path)
	}
	for path, method := range map[string]string{
		"/api/repos/team%2Fapp/base": http.MethodDelete, "/api/repos/team%2Fapp/pull-upstream": http.MethodPost, "/api/repos/team%2Fapp/git-credentials": http.MethodPost,
		"/api/repos/team%2Fapp": http.MethodDelete, "/api/tokens": http.MethodPost, "/api/revocations": http.MethodPost, "/api/keys/rotate": http.MethodPost,
	} {
		require.Equal(t, http.StatusForbidden, status(method, path, only), path)
	}

	// A copy gives the content away whole, as a clone does.
	copyOf := func(source string) error {
		_, err := s.REST(t, "copy").CreateRepository(t.Context(), nil, rest.CreateRepositoryRequest{
			BaseRepo: &rest.BaseRepoRequest{Operation: new(rest.BaseRepoRequestOperationFork), Name: "team/app", Auth: &rest.BaseRepoAuth{Token: &source}}})
		return err
	}
	servertest.RequireRefused(t, http.StatusForbidden, copyOf(only))
	require.NoError(t, copyOf(fetch))

	// Another repository of the name is not meant.
	_, err = s.REST(t, "team/app").DeleteRepository(t.Context(), "team/app", nil)
	require.NoError(t, err)
	s.Create(t, "team/app")
	require.Equal(t, http.StatusForbidden, status(http.MethodGet, "/api/repos/team%2Fapp", only))
	out, err = s.ClientWith(t, fetch).Try("ls-remote", s.Remote("team/app"))
	require.Error(t, err)
	require.Contains(t, out, "403")

	// The audit has the hash of the token that pushed, which revokes it.
	audit, err := s.REST(t, "org").ListAudit(t.Context(), &rest.ListAuditParams{Action: new("push")})
	require.NoError(t, err)
	actor := audit.Entries[0].Actor
	require.Equal(t, access.Hash(push), actor.TokenHash)
	require.Equal(t, "workspace", actor.Subject)
	require.True(t, strings.HasPrefix(actor.Jti, "tok_"))
}

// TestTokens_revoked revokes in every way, by this process and by another one, and starts
// the server anew.
func TestTokens_revoked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := servertest.Start(t, servertest.Options{Dir: dir})
	s.Create(t, "app")
	good := func(s *servertest.Server, token string) bool {
		t.Helper()
		a := s.Call(t, http.MethodGet, "/api/repos/app", token, nil)
		require.Contains(t, []int{http.StatusOK, http.StatusUnauthorized}, a.Status, a.Raw)
		_, err := s.ClientWith(t, token).Try("ls-remote", s.Remote("app"))
		require.Equal(t, a.Status == http.StatusOK, err == nil, "git and the API agree")
		return err == nil
	}

	// By its id; the stream that it has open ends.
	first := issue(t, s, "app", "getRepository", access.GitFetch, "listEvents")
	require.True(t, good(s, first.Token))
	stream := openFeed(t, s, "", "", access.Claims{Repo: "app", Subject: "reader", Scopes: access.Scopes()})
	revoke(t, s, rest.RevokeRequest{Jti: &first.Jti})
	require.False(t, good(s, first.Token))
	revoke(t, s, rest.RevokeRequest{Subject: new("reader")})
	stream.ended(t)

	// One without jti, by its hash.
	own := s.TokenWith(t, access.Claims{Repo: "app", Subject: "ci", Scopes: access.Scopes()})
	require.True(t, good(s, own))
	revoke(t, s, rest.RevokeRequest{TokenHash: new(access.Hash(own))})
	require.False(t, good(s, own))

	// By another process, which writes into the database.
	second := issue(t, s, "app", "getRepository", access.GitFetch)
	require.True(t, good(s, second.Token))
	_, err := servertest.Store(t, dir).AddRevocation(t.Context(), core.Revocation{
		ID: core.NewID("rev", time.Now()), Org: servertest.Org, Kind: core.RevokedToken, Value: second.Jti, CreatedAt: time.Now(),
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return s.Call(t, http.MethodGet, "/api/repos/app", second.Token, nil).Status == http.StatusUnauthorized
	}, time.Minute, 50*time.Millisecond)
	require.False(t, good(s, second.Token))

	// Rotated keys verify, revoked ones do not.
	third := issue(t, s, "app", "getRepository", access.GitFetch)
	_, err = s.REST(t, "org").RotateIssuerKey(t.Context())
	require.NoError(t, err)
	fourth := issue(t, s, "app", "getRepository", access.GitFetch)
	require.NotEqual(t, third.Kid, fourth.Kid)
	require.True(t, good(s, third.Token))
	revoke(t, s, rest.RevokeRequest{Key: &third.Kid})
	require.False(t, good(s, third.Token))
	require.True(t, good(s, fourth.Token))

	s.Stop(t)
	s = servertest.Start(t, servertest.Options{Dir: dir})
	for _, token := range []string{first.Token, second.Token, third.Token, own} {
		require.False(t, good(s, token), "after a restart")
	}
	require.True(t, good(s, fourth.Token))
	listed, err := s.REST(t, "org").ListAudit(t.Context(), &rest.ListAuditParams{Action: new("token.revoke")})
	require.NoError(t, err)
	require.Len(t, listed.Entries, 4, "every revocation but the one that went past the API")
}
