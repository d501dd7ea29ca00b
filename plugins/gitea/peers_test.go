//go:build peers

package gitea_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/giteatest"
)

// TestProvider_EnsureWebhook_realGitea registers webhooks at a real Gitea, has
// it deliver them, and reads what came.
func TestProvider_EnsureWebhook_realGitea(t *testing.T) {
	t.Parallel()
	g := startGitea(t)
	g.call(t, http.MethodPost, "/user/repos", `{"name":"widget","private":true}`, http.StatusCreated)
	received := make(chan providers.WebhookRequest, 20)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			received <- providers.WebhookRequest{Method: r.Method, Path: r.URL.Path, Header: r.Header, Body: body, ReceivedAt: time.Now()}
		}
	}))
	t.Cleanup(listener.Close)

	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{
		{Host: g.Host, Scheme: "http", AllowPrivate: true},
	}}))
	registrar := p.(providers.WebhookRegistrar)
	stored := &providers.StoredCredential{Secret: providers.Secret(g.Token)}
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: g.Host, Owner: giteatest.User, Name: "widget"}, Contact: true, Stored: stored,
	})
	require.NoError(t, err)
	address := listener.URL + "/webhooks/gitea/token"
	ensure := func(id string, secret providers.Secret) providers.RegisteredWebhook {
		t.Helper()
		hook, err := registrar.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{
			Remote: remote, Stored: stored, URL: address, Secret: secret, HookID: id,
		})
		require.NoError(t, err)
		return hook
	}

	const older, newer = providers.Secret("older-secret-0123456789"), providers.Secret("newer-secret-0123456789")
	made := ensure("", older)
	require.True(t, made.Changed)
	require.Equal(t, providers.RegisteredWebhook{HookID: made.HookID}, ensure(made.HookID, older))
	require.Equal(t, providers.RegisteredWebhook{HookID: made.HookID}, ensure("", older))

	// What a person breaks is put right, and doubles go.
	g.call(t, http.MethodPatch, g.hooks()+"/"+made.HookID, `{"config":{"content_type":"form"},"events":["push"],"active":false}`, http.StatusOK)
	for range 3 {
		g.call(t, http.MethodPost, g.hooks(), fmt.Sprintf(`{"type":"gitea","config":{"url":%q,"content_type":"json"},"events":["push"],"active":true}`, address), http.StatusCreated)
	}
	mended := ensure(made.HookID, older)
	require.True(t, mended.Changed)
	require.Len(t, g.list(t), 1)
	require.Equal(t, providers.RegisteredWebhook{HookID: mended.HookID}, ensure(mended.HookID, older))

	// Another secret takes another webhook, of which there is one at the end.
	rotated := ensure(mended.HookID, newer)
	require.True(t, rotated.Changed)
	require.Len(t, g.list(t), 1)

	next := func() providers.WebhookResult {
		t.Helper()
		select {
		case r := <-received:
			r.Secrets, r.Repository = []providers.Secret{newer}, &remote
			result, err := p.ParseWebhook(t.Context(), r)
			require.NoError(t, err)
			require.NotEmpty(t, result.DeliveryID)
			require.Equal(t, remote.UpstreamID, result.RepositoryID)
			require.Equal(t, remote.Host, result.Host)
			return result
		case <-time.After(20 * time.Second):
			require.FailNow(t, "no webhook came")
			return providers.WebhookResult{}
		}
	}
	one := func(kind providers.WebhookKind, want providers.RefHint) {
		t.Helper()
		result := next()
		require.Equal(t, kind, result.Kind)
		if diff := cmp.Diff([]providers.RefHint{want}, result.Refs); diff != "" {
			t.Error(diff)
		}
	}
	const zero = "0000000000000000000000000000000000000000"
	work := t.TempDir()
	git := func(args ...string) string { return g.git(t, work, args...) }
	git("init", "--quiet", "-b", "main")
	git("commit", "--quiet", "--allow-empty", "-m", "First")
	git("push", "--quiet", g.clone(), "main")
	main := git("rev-parse", "HEAD")
	// A new ref makes two webhooks, in any order.
	both := func(ref, id string) {
		t.Helper()
		kinds := map[providers.WebhookKind]bool{}
		for range 2 {
			result := next()
			kinds[result.Kind] = true
			require.Equal(t, ref, result.Refs[0].Name)
			require.Equal(t, id, result.Refs[0].New)
		}
		require.Equal(t, map[providers.WebhookKind]bool{providers.WebhookPush: true, providers.WebhookRef: true}, kinds)
	}
	both("refs/heads/main", main)
	git("commit", "--quiet", "--allow-empty", "-m", "Second")
	git("push", "--quiet", g.clone(), "main")
	second := git("rev-parse", "HEAD")
	one(providers.WebhookPush, providers.RefHint{Name: "refs/heads/main", Old: main, New: second})

	// The id of an annotated tag is that of the tag, which is what its ref has.
	git("tag", "-a", "-m", "One", "v1")
	git("push", "--quiet", g.clone(), "v1")
	tag := git("rev-parse", "refs/tags/v1")
	require.NotEqual(t, second, tag)
	both("refs/tags/v1", tag)
	git("push", "--quiet", g.clone(), "main:topic")
	both("refs/heads/topic", second)
	git("push", "--quiet", g.clone(), ":topic")
	one(providers.WebhookRef, providers.RefHint{Name: "refs/heads/topic", New: zero})

	for range 2 { // what is gone already is no error
		require.NoError(t, registrar.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{
			Remote: remote, Stored: stored, URL: address, HookID: rotated.HookID,
		}))
		require.Empty(t, g.list(t))
	}
}

// TestProvider_EnsureWebhook_realRefusals keeps to what a real Gitea says.
func TestProvider_EnsureWebhook_realRefusals(t *testing.T) {
	t.Parallel()
	g := startGitea(t)
	g.call(t, http.MethodPost, "/user/repos", `{"name":"widget"}`, http.StatusCreated)
	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{
		{Host: g.Host, Scheme: "http", AllowPrivate: true},
	}}))
	tests := map[string]struct {
		token, path string
		want        providers.Code
		says        string
	}{
		"token of reading":   {g.mint(t, "read:repository"), giteatest.User + "/widget", providers.CodePermissionDenied, "write:repository"},
		"wrong token":        {"0123456789012345678901234567890123456789", giteatest.User + "/widget", providers.CodeUnauthenticated, "does not accept"},
		"unknown repository": {g.Token, giteatest.User + "/gadget", providers.CodeNotFound, "gadget"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := p.(providers.WebhookRegistrar).EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{
				Remote: providers.Remote{Host: g.Host, Path: test.path}, Stored: &providers.StoredCredential{Secret: providers.Secret(test.token)},
				URL: "http://127.0.0.1:1/webhooks/gitea/token", Secret: "s3cr3t-0123456789",
			})
			require.Equal(t, test.want, providers.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), test.token)
		})
	}
}

// realGitea is a running Gitea that speaks of its repository "widget".
type realGitea struct{ *giteatest.Server }

func startGitea(t *testing.T) realGitea {
	t.Helper()
	return realGitea{giteatest.Start(t)}
}

func (g realGitea) mint(t *testing.T, scopes string) string {
	t.Helper()
	token, err := g.Mint(t.Context(), strings.ReplaceAll(scopes, ":", "-"), scopes)
	require.NoError(t, err)
	return token
}

func (g realGitea) hooks() string { return "/repos/" + giteatest.User + "/widget/hooks" }

func (g realGitea) clone() string { return g.CloneURL("widget") }

// call asks Gitea's API and wants that status.
func (g realGitea) call(t *testing.T, method, path, body string, want int) []byte {
	t.Helper()
	status, answer, err := g.Call(t.Context(), method, path, body)
	require.NoError(t, err)
	require.Equal(t, want, status, "%s", answer)
	return answer
}

func (g realGitea) list(t *testing.T) []json.RawMessage {
	t.Helper()
	var hooks []json.RawMessage
	require.NoError(t, json.Unmarshal(g.call(t, http.MethodGet, g.hooks(), "", http.StatusOK), &hooks))
	return hooks
}

// git runs git with the account's credential.
func (g realGitea) git(t *testing.T, folder string, args ...string) string {
	t.Helper()
	home := t.TempDir()
	store := filepath.Join(home, "credentials")
	line := (&url.URL{Scheme: "http", Host: g.Host, User: url.UserPassword(giteatest.User, g.Token)}).String() + "\n"
	require.NoError(t, os.WriteFile(store, []byte(line), 0o600))
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", folder, "-c", "credential.helper=store --file=" + store}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=River", "GIT_AUTHOR_EMAIL=river@example.test", "GIT_COMMITTER_NAME=River", "GIT_COMMITTER_EMAIL=river@example.test",
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "git %v: %s", args, &stderr)
	return strings.TrimSpace(stdout.String())
}
