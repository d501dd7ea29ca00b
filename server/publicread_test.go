package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// stranger sends a request without a token, or with that, and returns status and body.
func stranger(t *testing.T, method, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	if token != "" {
		r.SetBasicAuth("t", token)
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

const (
	listRefs = "/info/refs?service=git-upload-pack"
	listPush = "/info/refs?service=git-receive-pack"
)

// openMirror starts a server with the mirrors "open" of a public repository, without a
// credential, and "closed" of a private one, with one.
func openMirror(t *testing.T) (*forgetest.TestForge, *servertest.Server) {
	t.Helper()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{f}})
	for _, name := range []string{"open", "closed"} {
		f.CreateRepo("acme/"+name, name == "closed")
		f.Seed("acme/"+name, forgetest.SeedOptions{Commits: 3})
		s.LinkAs(t, name, f.Host(), "acme/"+name)
	}
	s.StoreCredential(t, "closed", f)
	require.NoError(t, s.Sync(t, "open"))
	require.NoError(t, s.Sync(t, "closed"))
	return f, s
}

func TestPublicRead(t *testing.T) {
	t.Parallel()
	f, s := openMirror(t)
	s.Create(t, "plain")
	list := func(name string) int {
		t.Helper()
		status, _ := stranger(t, http.MethodGet, s.Remote(name)+listRefs, "")
		return status
	}
	for _, name := range []string{"open", "closed", "plain", "nothing"} {
		require.Equal(t, http.StatusUnauthorized, list(name), name)
	}

	// What is not public at the host cannot be opened here.
	on := client.SettingsRequest{PublicRead: new(true)}
	for name, why := range map[string]string{"closed": "says that the upstream is private", "plain": "follows no upstream"} {
		_, err := s.REST(t, name).UpdateSettings(t.Context(), name, nil, on)
		require.Contains(t, servertest.RequireRefused(t, http.StatusConflict, err).Message, why)
	}
	old := s.Refs(t, "open")["refs/heads/main"]
	s.SetSettings(t, "open", on)
	require.Equal(t, http.StatusOK, list("open"))
	c := s.ClientWith(t, "")
	c.Git("clone", "--quiet", s.Remote("open"), "work")

	// Nothing else is open, and the answer does not say whether it exists.
	_, refusal := stranger(t, http.MethodGet, s.Remote("nothing")+listRefs, "")
	for _, url := range []string{
		s.Remote("closed") + listRefs, s.Remote("plain") + listRefs, s.Remote("open") + listPush, s.Remote("nothing") + listPush,
		s.Remote("open+ephemeral") + listRefs, s.Remote("open+import") + listRefs, s.Remote(s.Repo(t, "open").ID) + listRefs,
	} {
		status, body := stranger(t, http.MethodGet, url, "")
		require.Equal(t, http.StatusUnauthorized, status, url)
		require.Equal(t, refusal, body, url)
	}
	for _, path := range []string{"/open.git/git-receive-pack", "/open.git/info/lfs/objects/batch", "/api/repos/open/pull-upstream"} {
		status, _ := stranger(t, http.MethodPost, s.URL+path, "")
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
	status, _ := stranger(t, http.MethodGet, s.URL+"/api/repos/open", "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _ = stranger(t, http.MethodGet, s.Remote("open")+listRefs, "no.token.atall")
	require.Equal(t, http.StatusUnauthorized, status, "a bad token is a bad token")
	status, _ = stranger(t, http.MethodGet, s.Remote("open")+listPush, s.Token(t, "open"))
	require.Equal(t, http.StatusOK, status, "tokens are as before")

	// What the upstream has rewritten is kept here, and not for strangers.
	f.Git("acme/open", "update-ref", "refs/heads/main", "refs/heads/main~1")
	require.NoError(t, s.Sync(t, "open"))
	fresh := s.ClientWith(t, "").Clone("")
	out, err := fresh.Try("fetch", "--quiet", s.Remote("open"), old)
	require.Error(t, err)
	require.Contains(t, out, "not our ref")
	fresh.Git("fetch", "--quiet", s.Remote("open"), s.Refs(t, "open")["refs/heads/main"])

	audit, err := s.REST(t, "org").ListAudit(t.Context(), nil)
	require.NoError(t, err)
	words := []string{}
	for _, e := range audit.Entries {
		words = append(words, e.Action+" "+e.Target)
	}
	require.Contains(t, strings.Join(words, "\n"), "settings.update public_read on")

	s.SetSettings(t, "open", client.SettingsRequest{PublicRead: new(false)})
	require.Equal(t, http.StatusUnauthorized, list("open"))
}

// TestPublicRead_ends has every reason for it go, one after the other.
func TestPublicRead_ends(t *testing.T) {
	t.Parallel()
	f, s := openMirror(t)
	list := func(name string) int {
		t.Helper()
		status, _ := stranger(t, http.MethodGet, s.Remote(name)+listRefs, "")
		return status
	}
	on := client.SettingsRequest{PublicRead: new(true)}
	require.NoError(t, f.SetPrivate("acme/closed", false))
	s.SetSettings(t, "closed", on)
	s.SetSettings(t, "open", on)
	for _, name := range []string{"open", "closed"} {
		require.Equal(t, http.StatusOK, list(name), name)
	}

	// Private at the host: one cannot be seen any more, the other one still can by its
	// credential, so that its syncs go on.
	for _, private := range []bool{true, false} {
		want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusOK}[private]
		for _, name := range []string{"open", "closed"} {
			require.NoError(t, f.SetPrivate("acme/"+name, private))
			err := s.Sync(t, name)
			require.Equal(t, name == "open" && private, err != nil, "%s: %v", name, err)
			require.Equal(t, want, list(name), "%s, private: %t", name, private)
		}
	}

	// Another organisation has a repository of the name, or one that had it.
	store := servertest.Store(t, s.Dir)
	now := time.Now().UTC()
	require.NoError(t, store.CreateOrg(t.Context(), core.Org{Name: "rival", CreatedAt: now}))
	other := core.Repository{ID: core.NewID("repo", now), Org: "rival", Name: "open", DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now}
	require.NoError(t, store.CreateRepository(t.Context(), other))
	require.Equal(t, http.StatusUnauthorized, list("open"))
	require.NoError(t, store.RenameRepository(t.Context(), other.ID, "theirs", now))
	require.Equal(t, http.StatusUnauthorized, list("open"), "their remotes still have this name")
	s.SetSettings(t, "open", client.SettingsRequest{PublicRead: new(false)})
	_, err := s.REST(t, "open").UpdateSettings(t.Context(), "open", nil, on)
	require.Contains(t, servertest.RequireRefused(t, http.StatusConflict, err).Message, "rename this one first")
	require.NoError(t, store.DeleteRepository(t.Context(), other.ID))
	s.SetSettings(t, "open", on)
	require.Equal(t, http.StatusOK, list("open"))

	// The operator forbids it, of which the server knows within a second.
	require.NoError(t, store.SetOrgLimits(t.Context(), servertest.Org, core.OrgLimits{NoPublicRead: true}))
	require.Eventually(t, func() bool { return list("open") == http.StatusUnauthorized }, time.Minute, 50*time.Millisecond)
	_, err = s.REST(t, "closed").UpdateSettings(t.Context(), "closed", nil, client.SettingsRequest{PublicRead: new(false)})
	require.NoError(t, err)
	_, err = s.REST(t, "closed").UpdateSettings(t.Context(), "closed", nil, on)
	require.Contains(t, servertest.RequireRefused(t, http.StatusForbidden, err).Message, "the operator does not let")
}
