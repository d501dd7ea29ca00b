// Package giteatest starts a real Gitea for tests: on loopback, with an account
// and a token, and gone when the test ends. scripts/peers/gitea-build makes the
// program, and the environment variable HEADWATER_GITEA names it.
package giteatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
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

// User is the account of every [Server]; it is an administrator.
const User = "river"

const (
	readyTimeout = time.Minute
	stopTimeout  = time.Minute
)

// Server is a running Gitea.
type Server struct {
	// Host is host:port of its loopback address.
	Host string
	// Path is what all of it is below, as "/git"; "" is nothing.
	Path string
	// Token is an all-scope token of [User].
	Token string

	binary, work      string
	secret, lfsSecret string
	listen            string // where Gitea itself is
}

// Start starts a Gitea and waits until it serves. At the end of the test it is
// stopped, and its log is printed if the test failed. The test fails at once if
// there is no Gitea here.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, "")
}

// StartBelow is [Start] for a Gitea that is below a path: behind an nginx that takes the
// path off, as Gitea's documentation has it, and answers 404 to everything else.
func StartBelow(t testing.TB, path string) *Server {
	t.Helper()
	return start(t, path)
}

func start(t testing.TB, path string) *Server {
	t.Helper()
	const how = "run scripts/test --peers, or set HEADWATER_GITEA to what scripts/peers/gitea-build prints"
	s := &Server{
		binary: os.Getenv("HEADWATER_GITEA"), work: t.TempDir(),
		secret: rand.Text() + rand.Text(), lfsSecret: base64.RawURLEncoding.EncodeToString([]byte(rand.Text() + rand.Text())[:32]),
	}
	require.NotEmpty(t, s.binary, "HEADWATER_GITEA is not set: "+how)
	require.FileExists(t, s.binary, how)
	// Gitea reads its templates from its sources, which lie beside the binary.
	sources := filepath.Join(filepath.Dir(filepath.Dir(s.binary)), "gitea126-src")
	require.DirExists(t, filepath.Join(sources, "templates"), how)

	s.Path = path
	require.NoError(t, os.MkdirAll(filepath.Join(s.work, "data"), 0o700))
	s.configure(t, sources)

	_, err := s.run(t.Context(), "migrate") // accounts need the database
	require.NoError(t, err)
	_, err = s.run(t.Context(), "admin", "user", "create", "--username", User, "--random-password",
		"--email", User+"@example.test", "--must-change-password=false", "--admin")
	require.NoError(t, err)
	s.Token, err = s.Mint(t.Context(), "tests", "all")
	require.NoError(t, err)
	// Between the choice of a port and the start of Gitea another program may take it,
	// another Gitea, too.
	for range 5 {
		s.configure(t, sources)
		stop := func() {}
		if path != "" {
			stop = s.nginx(t)
		}
		if s.serve(t) {
			return s
		}
		stop()
	}
	require.Fail(t, "Gitea did not get ready")
	return nil
}

// configure chooses ports and writes the settings.
func (s *Server) configure(t testing.TB, sources string) {
	t.Helper()
	s.listen = freeAddress(t)
	s.Host = s.listen
	for s.Path != "" && s.Host == s.listen {
		s.Host = freeAddress(t)
	}
	require.NoError(t, os.WriteFile(s.config(), []byte(s.settings(t, sources)), 0o600))
}

// serve starts the server itself and waits until it answers; false: it is another one
// that answers at its port, or none does.
func (s *Server) serve(t testing.TB) bool {
	t.Helper()
	log, err := os.Create(filepath.Join(s.work, "web.log"))
	require.NoError(t, err)
	// The context of the test ends before its cleanup, which stops Gitea kindly.
	cmd := s.command(context.WithoutCancel(t.Context()), "web")
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
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("Gitea says:\n%s", said)
		}
	})
	for end := time.Now().Add(readyTimeout); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case <-exited:
			return false
		default:
		}
		answer, err := http.Get(s.URL() + "/api/healthz")
		if err != nil {
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			// Only the one that minted it knows the token.
			status, _, err := s.Call(t.Context(), http.MethodGet, "/user", "")
			return err == nil && status == http.StatusOK
		}
	}
	return false
}

// URL is where Gitea serves, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.Host + s.Path }

// CloneURL is what git clones a repository of [User] from.
func (s *Server) CloneURL(name string) string { return s.URL() + "/" + User + "/" + name + ".git" }

// Folder is where the bare repository of an "owner/name" lies, which Gitea's
// documentation gives.
func (s *Server) Folder(path string) string {
	return filepath.Join(s.work, "repos", strings.ToLower(path)+".git")
}

// Mint makes another token of [User]. Names are unique, scopes are as Gitea
// writes them: "read:repository", or "all". It uses the command line, because
// the API wants a password.
func (s *Server) Mint(ctx context.Context, name, scopes string) (string, error) {
	said, err := s.run(ctx, "admin", "user", "generate-access-token", "--username", User, "--token-name", name, "--scopes", scopes, "--raw")
	if err != nil {
		return "", err
	}
	words := strings.Fields(said) // warnings come first
	if len(words) == 0 {
		return "", fmt.Errorf("gitea made no token %q", name)
	}
	return words[len(words)-1], nil
}

// Call calls Gitea's API with a path below /api/v1 as [User], and returns the
// status and the body of the answer, whatever the status is.
func (s *Server) Call(ctx context.Context, method, path, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, s.URL()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "token "+s.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (s *Server) config() string { return filepath.Join(s.work, "app.ini") }

func (s *Server) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"--config", s.config(), "--work-path", s.work}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.work, "GITEA_WORK_DIR=" + s.work, "USER=" + os.Getenv("USER")}
	return cmd
}

// run runs one of Gitea's commands and returns what it prints; its log goes elsewhere.
func (s *Server) run(ctx context.Context, args ...string) (string, error) {
	cmd := s.command(ctx, args...)
	var log strings.Builder
	cmd.Stderr = &log
	said, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("gitea %s: %w: %s%s", args[0], err, said, log.String())
	}
	return string(said), nil
}

// settings is an app.ini. Gitea insists that RUN_USER is the user of the
// process, and refuses to run as root unless the file allows it; containers of build
// machines are root.
func (s *Server) settings(t testing.TB, sources string) string {
	t.Helper()
	me, err := user.Current()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(s.listen)
	require.NoError(t, err)
	return strings.NewReplacer("{work}", s.work, "{sources}", sources, "{port}", port, "{url}", s.URL(), "{user}", me.Username,
		"{secret}", s.secret, "{lfs}", s.lfsSecret).Replace(`APP_NAME = peer
RUN_USER = {user}
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
DOMAIN = 127.0.0.1
ROOT_URL = {url}/
LOCAL_ROOT_URL = http://127.0.0.1:{port}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {sources}
LFS_START_SERVER = true
LFS_JWT_SECRET = {lfs}
[lfs]
PATH = {work}/lfs
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
MODE = console
LEVEL = warn
`)
}
