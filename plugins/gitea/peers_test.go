//go:build peers

package gitea_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers"
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
		{Host: g.host, Scheme: "http", AllowPrivate: true},
	}}))
	registrar := p.(providers.WebhookRegistrar)
	stored := &providers.StoredCredential{Secret: providers.Secret(g.token)}
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: g.host, Owner: g.user, Name: "widget"}, Contact: true, Stored: stored,
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
		{Host: g.host, Scheme: "http", AllowPrivate: true},
	}}))
	tests := map[string]struct {
		token, path string
		want        providers.Code
		says        string
	}{
		"token of reading":   {g.mint(t, "read:repository"), g.user + "/widget", providers.CodePermissionDenied, "write:repository"},
		"wrong token":        {"0123456789012345678901234567890123456789", g.user + "/widget", providers.CodeUnauthenticated, "does not accept"},
		"unknown repository": {g.token, g.user + "/gadget", providers.CodeNotFound, "gadget"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := p.(providers.WebhookRegistrar).EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{
				Remote: providers.Remote{Host: g.host, Path: test.path}, Stored: &providers.StoredCredential{Secret: providers.Secret(test.token)},
				URL: "http://127.0.0.1:1/webhooks/gitea/token", Secret: "s3cr3t-0123456789",
			})
			require.Equal(t, test.want, providers.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), test.token)
		})
	}
}

// realGitea is a running Gitea with one account and an all-scope token of it.
type realGitea struct {
	binary, work string
	host         string
	user, token  string
}

// startGitea starts the binary that HEADWATER_GITEA names on a free port.
func startGitea(t *testing.T) *realGitea {
	t.Helper()
	const how = "run scripts/test --peers, or set HEADWATER_GITEA to what scripts/peers/gitea-build prints"
	binary := os.Getenv("HEADWATER_GITEA")
	require.NotEmpty(t, binary, "HEADWATER_GITEA is not set: "+how)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &realGitea{binary: binary, work: t.TempDir(), host: listener.Addr().String(), user: "river"}
	require.NoError(t, listener.Close())
	secret := make([]byte, 24)
	_, _ = rand.Read(secret) // never fails since Go 1.24
	_, port, _ := net.SplitHostPort(g.host)
	account, err := exec.Command("id", "-un").Output()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(g.work, "data"), 0o700))
	require.NoError(t, os.WriteFile(g.config(), []byte(strings.NewReplacer(
		"@WORK@", g.work, "@HOST@", g.host, "@PORT@", port, "@USER@", strings.TrimSpace(string(account)), "@SECRET@", hex.EncodeToString(secret),
		"@SOURCES@", filepath.Join(filepath.Dir(filepath.Dir(binary)), "gitea126-src"),
	).Replace(`RUN_USER = @USER@
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = @PORT@
ROOT_URL = http://@HOST@/
LOCAL_ROOT_URL = http://@HOST@/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = @SOURCES@
[database]
DB_TYPE = sqlite3
PATH = @WORK@/data/gitea.db
[repository]
ROOT = @WORK@/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = @SECRET@
[oauth2]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[cron.update_checker]
ENABLED = false
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
MODE = console
LEVEL = warn
`)), 0o600))
	g.run(t, "migrate") // accounts need the database
	g.run(t, "admin", "user", "create", "--username", g.user, "--random-password", "--email", "river@example.test",
		"--must-change-password=false", "--admin")
	g.token = g.mint(t, "all")

	var said bytes.Buffer
	cmd := g.cmd(context.WithoutCancel(t.Context()), "web")
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("Gitea says:\n%s", said.String())
		}
	})
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + g.host + "/api/healthz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond, "Gitea did not get ready")
	return g
}

func (g *realGitea) config() string { return filepath.Join(g.work, "app.ini") }

func (g *realGitea) cmd(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.binary, append([]string{"--config", g.config(), "--work-path", g.work}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.work, "GITEA_WORK_DIR=" + g.work, "USER=" + os.Getenv("USER")}
	return cmd
}

func (g *realGitea) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := g.cmd(t.Context(), args...).CombinedOutput()
	require.NoError(t, err, "gitea %s: %s", args[0], out)
	return string(out)
}

func (g *realGitea) mint(t *testing.T, scopes string) string {
	t.Helper()
	name := strings.NewReplacer("/", "-", ":", "-").Replace(t.Name() + "-" + scopes)
	out := strings.Fields(g.run(t, "admin", "user", "generate-access-token", "--username", g.user, "--token-name", name, "--scopes", scopes, "--raw"))
	return out[len(out)-1]
}

func (g *realGitea) hooks() string { return "/repos/" + g.user + "/widget/hooks" }

func (g *realGitea) clone() string { return "http://" + g.host + "/" + g.user + "/widget.git" }

// call asks Gitea's API as an administrator would.
func (g *realGitea) call(t *testing.T, method, path, body string, want int) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.host+"/api/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "token "+g.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, want, answer.StatusCode, "%s", text)
	return text
}

func (g *realGitea) list(t *testing.T) []json.RawMessage {
	t.Helper()
	var hooks []json.RawMessage
	require.NoError(t, json.Unmarshal(g.call(t, http.MethodGet, g.hooks(), "", http.StatusOK), &hooks))
	return hooks
}

// git runs git with the account's credential.
func (g *realGitea) git(t *testing.T, folder string, args ...string) string {
	t.Helper()
	store := filepath.Join(g.work, "credentials")
	line := (&url.URL{Scheme: "http", Host: g.host, User: url.UserPassword(g.user, g.token)}).String() + "\n"
	require.NoError(t, os.WriteFile(store, []byte(line), 0o600))
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", folder, "-c", "credential.helper=store --file=" + store}, args...)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.work, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=River", "GIT_AUTHOR_EMAIL=river@example.test", "GIT_COMMITTER_NAME=River", "GIT_COMMITTER_EMAIL=river@example.test",
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "git %v: %s", args, &stderr)
	return strings.TrimSpace(stdout.String())
}
