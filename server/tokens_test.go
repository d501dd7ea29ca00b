package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// issue has the server issue a token, and returns the answer.
func issue(t *testing.T, s *servertest.Server, repo string, operations ...string) servertest.Answer {
	t.Helper()
	a := s.Call(t, http.MethodPost, "/api/tokens", s.Token(t, "org"), map[string]any{"repo": repo, "operations": operations, "subject": "workspace"})
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	return a
}

// revoke revokes tokens with a token of the organisation.
func revoke(t *testing.T, s *servertest.Server, what, value string) {
	t.Helper()
	a := s.Call(t, http.MethodPost, "/api/revocations", s.Token(t, "org"), map[string]any{what: value})
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
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
	text := func(a servertest.Answer) string { return a.At("token").(string) }
	status := func(method, path, token string) int {
		t.Helper()
		return s.Call(t, method, path, token, nil).Status
	}

	fetch, push := text(issue(t, s, "team/app", access.GitFetch)), text(issue(t, s, "team/app", access.GitPush, access.GitFetch))
	only := text(issue(t, s, "team/app", "createCommit", "getRepository")) // git:write, but no remote
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
	copyOf := func(source string) int {
		return s.Call(t, http.MethodPost, "/api/repos", s.Token(t, "copy"), map[string]any{
			"base_repo": map[string]any{"operation": "fork", "name": "team/app", "auth": map[string]any{"token": source}}}).Status
	}
	require.Equal(t, http.StatusForbidden, copyOf(only))
	require.Equal(t, http.StatusCreated, copyOf(fetch))

	// Another repository of the name is not meant.
	require.Equal(t, http.StatusOK, s.API(t, http.MethodDelete, "team/app", "", nil).Status)
	s.Create(t, "team/app")
	require.Equal(t, http.StatusForbidden, status(http.MethodGet, "/api/repos/team%2Fapp", only))
	out, err = s.ClientWith(t, fetch).Try("ls-remote", s.Remote("team/app"))
	require.Error(t, err)
	require.Contains(t, out, "403")

	// The audit has the hash of the token that pushed, which revokes it.
	audit := s.Call(t, http.MethodGet, "/api/audit?action=push", s.Token(t, "org"), nil)
	entry := audit.At("entries").([]any)[0].(map[string]any)["actor"].(map[string]any)
	require.Equal(t, access.Hash(push), entry["token_hash"])
	require.Equal(t, "workspace", entry["subject"])
	require.True(t, strings.HasPrefix(entry["jti"].(string), "tok_"))
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
	text := func(a servertest.Answer) string { return a.At("token").(string) }

	// By its id; the stream that it has open ends.
	first := issue(t, s, "app", "getRepository", access.GitFetch, "listEvents")
	require.True(t, good(s, text(first)))
	stream := openFeed(t, s, "", "", access.Claims{Repo: "app", Subject: "reader", Scopes: access.Scopes()})
	revoke(t, s, "jti", first.At("jti").(string))
	require.False(t, good(s, text(first)))
	revoke(t, s, "subject", "reader")
	stream.ended(t)

	// One without jti, by its hash.
	own := s.TokenWith(t, access.Claims{Repo: "app", Subject: "ci", Scopes: access.Scopes()})
	require.True(t, good(s, own))
	revoke(t, s, "token_hash", access.Hash(own))
	require.False(t, good(s, own))

	// By another process, which writes into the database.
	second := issue(t, s, "app", "getRepository", access.GitFetch)
	require.True(t, good(s, text(second)))
	_, err := servertest.Store(t, dir).AddRevocation(t.Context(), core.Revocation{
		ID: core.NewID("rev", time.Now()), Org: servertest.Org, Kind: core.RevokedToken, Value: second.At("jti").(string), CreatedAt: time.Now(),
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return s.Call(t, http.MethodGet, "/api/repos/app", text(second), nil).Status == http.StatusUnauthorized
	}, time.Minute, 50*time.Millisecond)
	require.False(t, good(s, text(second)))

	// Rotated keys verify, revoked ones do not.
	third := issue(t, s, "app", "getRepository", access.GitFetch)
	require.Equal(t, http.StatusCreated, s.Call(t, http.MethodPost, "/api/keys/rotate", s.Token(t, "org"), nil).Status)
	fourth := issue(t, s, "app", "getRepository", access.GitFetch)
	require.NotEqual(t, third.At("kid"), fourth.At("kid"))
	require.True(t, good(s, text(third)))
	revoke(t, s, "key", third.At("kid").(string))
	require.False(t, good(s, text(third)))
	require.True(t, good(s, text(fourth)))

	s.Stop(t)
	s = servertest.Start(t, servertest.Options{Dir: dir})
	for _, token := range []string{text(first), text(second), text(third), own} {
		require.False(t, good(s, token), "after a restart")
	}
	require.True(t, good(s, text(fourth)))
	listed := s.Call(t, http.MethodGet, "/api/audit?action=token.revoke", s.Token(t, "org"), nil)
	require.Len(t, listed.At("entries"), 4, "every revocation but the one that went past the API")
}
