package client_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// TestAPI_callsAServer uses one operation of each form: with and without a
// body, with parameters, with lines for a body, with an answer that is not JSON
// and with none, and one that fails.
func TestAPI_callsAServer(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, servertest.Options{Webhooks: events.Policy{AllowHTTP: true, AllowPrivate: true}})
	api, err := client.New(server.URL)
	require.NoError(t, err)
	const name = "team/a b"
	as := func(token string) client.RequestEditorFn {
		return func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			r.Close = true
			return nil
		}
	}
	mine := as(server.Token(t, name))
	ctx := t.Context()

	created, err := api.CreateRepository(ctx, nil, client.CreateRepositoryRequest{DefaultBranch: new("trunk")}, mine)
	require.NoError(t, err)
	require.Equal(t, name, created.RepoName)
	lines := `{"metadata":{"target_branch":"trunk","commit_message":"one","author":{"name":"Ada","email":"ada@example.com"},"files":[{"path":"a","content_id":"1"}]}}` + "\n" +
		`{"blob_chunk":{"content_id":"1","data":"aGVsbG8K","eof":true}}` + "\n"
	made, err := api.CreateCommit(ctx, name, "application/x-ndjson", strings.NewReader(lines), mine)
	require.NoError(t, err)
	page, err := api.ListCommits(ctx, name, &client.ListCommitsParams{Ref: new("trunk"), Limit: new(1)}, mine)
	require.NoError(t, err)
	require.Equal(t, made.Commit.CommitSHA, page.Commits[0].SHA)
	require.False(t, page.HasMore)
	require.Equal(t, "Ada", page.Commits[0].AuthorName)

	file, err := client.Check(api.Client.GetFile(ctx, name, &client.GetFileParams{Path: "a"}, mine))
	require.NoError(t, err)
	text, err := io.ReadAll(file.Body)
	require.NoError(t, err)
	require.NoError(t, file.Body.Close())
	require.Equal(t, "hello\n", string(text))

	org := as(server.TokenWith(t, access.Claims{Repo: "org", Scopes: access.Scopes()}))
	webhook, err := api.CreateWebhook(ctx, client.CreateWebhookRequest{URL: "http://127.0.0.1:9/hook", Events: []string{"push"}}, org)
	require.NoError(t, err)
	require.NotEmpty(t, webhook.Secret)
	require.NoError(t, api.DeleteWebhook(ctx, webhook.ID, org))

	_, err = api.GetBranch(ctx, name, &client.GetBranchParams{Name: "nope"}, mine)
	var failed *client.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, http.StatusNotFound, failed.Status)
	require.Equal(t, "not_found", failed.Code)
	require.Equal(t, "ref not found", failed.Message)
	_, err = client.Check(api.Client.GetFile(ctx, name, &client.GetFileParams{Path: "none"}, mine))
	require.ErrorAs(t, err, &failed)
	require.Equal(t, http.StatusNotFound, failed.Status)
}
