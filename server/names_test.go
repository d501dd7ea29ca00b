package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServer_namesOfEveryScript uses a repository with a name of everything that
// URLs, routes and git take for something else, as a person does: with the
// address that the API gives, with and without ".git", and on all three remotes.
func TestServer_namesOfEveryScript(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{KeepDeleted: time.Hour, Webhooks: lab})
	for _, name := range []string{"team/Größe 1/c++", "日本語/a@b:c|d#e%2Ff~g?h&i=j;k[l]", "-n/a..b/info/refs", `back\slash "quoted" 'name'`, " " + strings.Repeat("é", 119) + ": % + "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Create(t, name)
			address := s.Repository(t, name).HTTPURL
			require.Equal(t, name, s.Repository(t, name).RepoName)
			parsed, err := url.Parse(address)
			require.NoError(t, err)
			require.Equal(t, "/"+name+".git", parsed.Path)
			bare := strings.TrimSuffix(address, ".git")

			c := s.Client(t, name).Clone(address)
			tip := c.Commit("one")
			c.Git("push", "--quiet", bare, "HEAD:refs/heads/main")
			c.Git("push", "--quiet", bare+"+ephemeral", "HEAD:refs/heads/draft")
			c.Git("push", "--quiet", bare+"+import", "HEAD:refs/heads/imported")
			require.Equal(t, map[string]string{"HEAD": tip, "refs/heads/main": tip, "refs/heads/imported": tip}, c.LsRemote(bare))
			require.Equal(t, map[string]string{"refs/heads/draft": tip}, c.LsRemote(bare+"+ephemeral.git"))
			fresh := s.Client(t, name).Clone(bare)
			text, err := os.ReadFile(filepath.Join(fresh.Dir, "file.txt"))
			require.NoError(t, err)
			require.Equal(t, "one\n", string(text))
			require.Equal(t, tip, s.API(t, http.MethodGet, name, "/branch?name=main", nil).At("branch.head_sha"))
			found, err := s.REST(t, "org").ListRepositories(t.Context(), &client.ListRepositoriesParams{Q: &name})
			require.NoError(t, err)
			require.Len(t, found.Repos, 1)
			goesOn(t, s, name, c)
		})
	}
	// A scheme has no case, neither here nor on the remotes.
	s.Create(t, "plain")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/repos/plain", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "bEARER "+s.Token(t, "plain"))
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// goesOn takes a repository through what comes after its first push: deliveries, large
// files, another name, the trash.
func goesOn(t *testing.T, s *servertest.Server, name string, c *servertest.Client) {
	t.Helper()
	org, later := s.REST(t, "org"), "n|: %2F+@ "+strings.ReplaceAll(name, "/", "~")
	receiver := newHookReceiver(t, nil)
	hook, _ := subscribe(t, s, client.CreateWebhookRequest{URL: receiver.URL, Events: []string{"push"}, Repo: &name})

	object := lfsRemote{s.Repository(t, name).HTTPURL + "/info/lfs", "t", s.Token(t, name)}
	content := []byte("large: " + name)
	object.upload(t, content)

	renamed, err := s.REST(t, name).RenameRepository(t.Context(), name, client.RenameRequest{Name: &later})
	require.NoError(t, err)
	require.Equal(t, later, renamed.RepoName)
	require.Equal(t, renamed.RepoID, s.Repository(t, name).RepoID, "the former name goes on")
	tip := c.Commit("two")
	c.Git("push", "--quiet", renamed.HTTPURL, "HEAD:refs/heads/main")
	sent := receiver.next(t)
	require.Equal(t, []any{later, tip}, []any{sent.field(t, "repository.repo_name"), sent.field(t, "after")})
	var log client.DeliveryList
	require.Eventually(t, func() bool {
		log, err = org.ListDeliveries(t.Context(), hook, nil)
		return err == nil && len(log.Deliveries) == 1 && log.Deliveries[0].State == "delivered"
	}, time.Minute, 10*time.Millisecond)
	_, err = org.Redeliver(t.Context(), hook, log.Deliveries[0].ID)
	require.NoError(t, err)
	require.Equal(t, sent.Body, receiver.next(t).Body)
	shown, err := org.GetWebhook(t.Context(), hook)
	require.NoError(t, err)
	require.Equal(t, later, shown.Repo)

	_, err = s.REST(t, later).DeleteRepository(t.Context(), later, nil)
	require.NoError(t, err)
	trash, err := org.ListRepositories(t.Context(), &client.ListRepositoriesParams{Q: &later, State: new("deleted")})
	require.NoError(t, err)
	require.Len(t, trash.Repos, 1)
	back, err := s.REST(t, later).UndeleteRepository(t.Context(), later, client.UndeleteRequest{Name: &name})
	require.NoError(t, err)
	require.Equal(t, name, back.RepoName)
	require.Equal(t, tip, c.LsRemote(back.HTTPURL)["refs/heads/main"])
	status, got, err := object.follow(t.Context(), http.MethodGet, object.batch(t, "download", content), "download", nil)
	require.NoError(t, err)
	require.Equal(t, []any{http.StatusOK, string(content)}, []any{status, string(got)})
	_, err = s.REST(t, name).DeleteRepository(t.Context(), name, &client.DeleteRepositoryParams{Now: new(true)})
	require.NoError(t, err)
}
