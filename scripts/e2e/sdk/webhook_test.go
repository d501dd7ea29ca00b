//go:build npm && peers

package sdk

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/giteatest"
)

// received is one webhook as it came.
type received struct {
	header http.Header
	body   []byte
}

// TestWebhooks_fromGiteaToTheSDK goes all the way: a credential is stored here,
// so the webhook is registered at Gitea; a push to Gitea is announced by Gitea's own
// signed webhook, is readable here, and only then passed on, in a form that the
// SDK takes.
func TestWebhooks_fromGiteaToTheSDK(t *testing.T) {
	t.Parallel()
	g := startGitea(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	b := startBench(t, "headwater", g, "--listen", address, "--public-url", "https://"+address, "--webhooks-allow-http", "--webhooks-allow-private")
	p := newPlain(t, b, "team/hooked")

	// A receiver that checks, while it receives an event, that its commit can be read.
	delivered := make(chan received, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		delivered <- received{r.Header.Clone(), body}
	}))
	t.Cleanup(receiver.Close)
	hook := p.call(http.MethodPost, "/api/v1/webhooks", p.token("", access.RepoWrite),
		object{"url": receiver.URL, "events": []string{"push", "repo.sync.succeeded"}}, http.StatusCreated)
	secret := hook.text("secret")

	path, err := g.create(t.Context(), "hooked")
	require.NoError(t, err)
	work := t.TempDir()
	user, password := g.credential()
	gitea := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = work
		cmd.Env = append(gitEnv(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader",
			"GIT_CONFIG_VALUE_0=Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "git %v: %s", args, out)
		return strings.TrimSpace(string(out))
	}
	remote := g.CloneURL("hooked")
	gitea("init", "--quiet", "--initial-branch=main")
	gitea("commit", "--quiet", "--allow-empty", "-m", "first")
	gitea("push", "--quiet", remote, "main")

	own := p.token(p.repo, access.Scopes()...)
	p.call(http.MethodPost, "/api/repos", own, object{"base_repo": object{"provider": "gitea", "owner": giteatest.User, "name": "hooked", "upstream_host": g.Host}}, http.StatusCreated)
	below := "/api/repos/team%2Fhooked"
	p.call(http.MethodPost, below+"/git-credentials", own, object{"username": user, "password": password}, http.StatusCreated)
	p.call(http.MethodPost, below+"/pull-upstream", own, object{}, http.StatusAccepted)
	var status answer
	require.Eventually(t, func() bool {
		status = p.call(http.MethodGet, below+"/inbound-webhook", own, nil, http.StatusOK)
		repo := p.call(http.MethodGet, below, own, nil, http.StatusOK)
		return status.at("state") == "active" && repo.at("sync.state") == "ready"
	}, time.Minute, 50*time.Millisecond, "the webhook is registered by us")
	require.Equal(t, "https://"+address, status.text("url")[:len("https://"+address)])

	for _, message := range []string{"one", "two", "three"} {
		gitea("commit", "--quiet", "--allow-empty", "-m", message)
		id := gitea("rev-parse", "HEAD")
		began := time.Now()
		gitea("push", "--quiet", remote, "main")
		for event := (received{}); ; {
			select {
			case event = <-delivered:
			case <-time.After(time.Minute):
				require.FailNow(t, "no webhook came for the push", b.logged())
			}
			seen := p.validate(event, secret)
			require.Equal(t, true, seen["valid"], "%v", seen)
			payload := seen["payload"].(object)
			if payload["type"] != "push" || payload["after"] != id {
				continue
			}
			t.Logf("received %s after the push began", time.Since(began).Round(time.Millisecond))
			require.Equal(t, "refs/heads/main", payload["ref"])
			require.Equal(t, "team/hooked", payload["repository"].(object)["url"])
			break
		}
		head := p.call(http.MethodGet, below+"/branch?name=main", own, nil, http.StatusOK)
		require.Equal(t, id, head.at("branch.head_sha"), "sent only once it can be read")
	}
	repo := p.call(http.MethodGet, below, own, nil, http.StatusOK)
	require.NotEmpty(t, repo.at("sync.webhook.last_delivery_at"), repo.raw)
	require.Nil(t, repo.at("sync.webhook").(object)["last_missed_at"], repo.raw)

	// Removed with the link.
	p.call(http.MethodDelete, below+"/base", own, nil, http.StatusOK)
	require.Eventually(t, func() bool { return g.hooks(t, path) == 0 }, time.Minute, 50*time.Millisecond)
}

// hooks counts the webhooks of a repository at Gitea.
func (g gitea) hooks(t *testing.T, path string) int {
	t.Helper()
	status, answer, err := g.Call(t.Context(), http.MethodGet, "/repos/"+path+"/hooks", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s", answer)
	var list []any
	require.NoError(t, json.Unmarshal(answer, &list))
	return len(list)
}

// call sends one request with a token of its own.
func (p *plain) call(method, path, token string, body object, want int) answer {
	p.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		require.NoError(p.t, err)
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.b.url+path, reader)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := p.http.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	a := answer{t: p.t, status: response.StatusCode, header: response.Header, raw: string(raw)}
	require.Equal(p.t, want, a.status, "%s %s: %s", method, path, a.raw)
	require.NoError(p.t, json.Unmarshal(raw, &a.body), a.raw)
	return a
}

// validate asks the SDK what it makes of a webhook.
func (p *plain) validate(r received, secret string) object {
	p.t.Helper()
	headers := map[string]string{}
	for name := range r.header {
		headers[strings.ToLower(name)] = r.header.Get(name) // as node has them
	}
	in, err := json.Marshal(object{"body": r.body, "headers": headers, "secret": secret})
	require.NoError(p.t, err)
	cmd := exec.CommandContext(p.t.Context(), "node", "validate.mjs")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(p.b.data), "HEADWATER_NODE_MODULES=" + modules(p.t)}
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	require.NoError(p.t, err, "%s", out)
	var answer object
	require.NoError(p.t, json.Unmarshal(out, &answer), string(out))
	return answer
}
