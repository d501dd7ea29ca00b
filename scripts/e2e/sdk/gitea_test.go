//go:build npm && peers

package sdk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSDK_syncedWithGitea runs the scenarios against a real Gitea, but for those
// that need a host that fails at will.
func TestSDK_syncedWithGitea(t *testing.T) {
	t.Parallel()
	b := newBench(t, startGitea(t))
	requireCovered(t, b.node("suite.mjs", synced, "SDK_FAULTS=none"))
}

// TestSDK_largeFilesToGitea streams large files through to a real Gitea.
func TestSDK_largeFilesToGitea(t *testing.T) {
	t.Parallel()
	newBench(t, startGitea(t)).node("large.mjs", synced)
}

// TestPlain_journeyWithGitea follows a real Gitea.
func TestPlain_journeyWithGitea(t *testing.T) {
	t.Parallel()
	host := startGitea(t)
	journeys(t, newBench(t, host), host)
}

// gitea is a running Gitea with one account and an all-scope token of it.
type gitea struct {
	binary, work string
	address      string // host:port
	token        string
}

const giteaUser = "river"

// startGitea starts the binary that HEADWATER_GITEA names on a free port.
func startGitea(t *testing.T) *gitea {
	t.Helper()
	const how = "run scripts/test --peers, or set HEADWATER_GITEA to what scripts/peers/gitea-build prints"
	g := &gitea{binary: os.Getenv("HEADWATER_GITEA"), work: t.TempDir()}
	require.FileExists(t, g.binary, how)
	// Gitea reads its templates from its sources, which lie beside the binary.
	sources := filepath.Join(filepath.Dir(filepath.Dir(g.binary)), "gitea126-src")
	require.DirExists(t, filepath.Join(sources, "templates"), how)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g.address = listener.Addr().String()
	require.NoError(t, listener.Close())
	require.NoError(t, os.MkdirAll(filepath.Join(g.work, "data"), 0o700))
	require.NoError(t, os.WriteFile(g.config(), []byte(g.ini(t, sources)), 0o600))
	g.run(t, "migrate") // accounts need the database
	g.run(t, "admin", "user", "create", "--username", giteaUser, "--password", "Pw1"+rand.Text(),
		"--email", "river@example.test", "--must-change-password=false", "--admin")
	said := strings.Fields(g.run(t, "admin", "user", "generate-access-token", "--username", giteaUser, "--token-name", "sdk", "--scopes", "all", "--raw"))
	g.token = said[len(said)-1]

	log, err := os.Create(filepath.Join(g.work, "web.log"))
	require.NoError(t, err)
	cmd := g.cmd(context.Background(), "web")
	cmd.Stdout, cmd.Stderr = log, log
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
		case <-time.After(stopTimeout):
			_ = cmd.Process.Kill()
			<-exited
		}
		_ = log.Close()
	})
	require.Eventually(t, func() bool { return g.call(t.Context(), http.MethodGet, "/version", struct{}{}) == nil },
		startTimeout, 100*time.Millisecond, "Gitea did not get ready")
	return g
}

func (g *gitea) config() string { return filepath.Join(g.work, "app.ini") }

func (g *gitea) cmd(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.binary, append([]string{"--config", g.config(), "--work-path", g.work}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.work, "GITEA_WORK_DIR=" + g.work, "USER=" + os.Getenv("USER")}
	return cmd
}

func (g *gitea) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := g.cmd(t.Context(), args...).CombinedOutput()
	require.NoError(t, err, "gitea %s: %s", args[0], out)
	return string(out)
}

// ini is an app.ini. RUN_USER must be the user of this process.
func (g *gitea) ini(t *testing.T, sources string) string {
	me, err := user.Current()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(g.address)
	require.NoError(t, err)
	return strings.NewReplacer("{work}", g.work, "{sources}", sources, "{port}", port, "{user}", me.Username,
		"{secret}", rand.Text()+rand.Text()).Replace(`APP_NAME = peer
RUN_USER = {user}
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
DOMAIN = 127.0.0.1
ROOT_URL = http://127.0.0.1:{port}/
LOCAL_ROOT_URL = http://127.0.0.1:{port}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {sources}
[database]
DB_TYPE = sqlite3
PATH = {work}/data/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {work}/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
SKIP_TLS_VERIFY = true
[cron.update_checker]
ENABLED = false
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
MODE = file
LEVEL = warn
ROOT_PATH = {work}/log
`)
}

// call calls Gitea's API.
func (g *gitea) call(ctx context.Context, method, path string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+g.address+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "token "+g.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, text)
	}
	return err
}

func (g *gitea) host() string { return g.address }

func (g *gitea) create(ctx context.Context, name string) (string, error) {
	return giteaUser + "/" + name, g.call(ctx, http.MethodPost, "/user/repos", map[string]any{"name": name, "private": true, "default_branch": "main"})
}

// folder relies on Gitea's layout, which its documentation gives.
func (g *gitea) folder(path string) (string, error) {
	return filepath.Join(g.work, "repos", strings.ToLower(path)+".git"), nil
}

func (g *gitea) credential() (string, string) { return giteaUser, g.token }

func (g *gitea) protect(ctx context.Context, path, branch string) error {
	return g.call(ctx, http.MethodPost, "/repos/"+path+"/branch_protections", map[string]any{"rule_name": branch, "enable_push": false})
}

func (g *gitea) unprotect(ctx context.Context, path string) error {
	return g.call(ctx, http.MethodDelete, "/repos/"+path+"/branch_protections/main", nil)
}

func (g *gitea) fault(fault) error { return errors.New("a real Gitea does not fail at will") }
