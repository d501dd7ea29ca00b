//go:build peers

package e2e

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
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestPeers runs the scripts of testdata/peers against a real Gitea. They have
// one command more:
//
//	gitea create REPO [private]      of the account $GITEA_USER, empty; REPO has no owner
//	gitea seed REPO [REFS]           pushes some commits; makes that many branches
//	gitea secret NAME                mints a token and keeps it as a secret
//	gitea api METHOD PATH [BODY]     calls Gitea's API; stdout is the answer
//	gitea until PATH ANSWER          calls it until that is the answer
//	gitea git ARG...                 runs git with the account's credential
//	gitea ref REPO REF               prints the object id, nothing if absent
func TestPeers(t *testing.T) {
	s := newSuite(t)
	g := startGitea(t, s)
	t.Run("scripts", func(t *testing.T) {
		p := s.params(filepath.Join("testdata", "peers"), map[string]commandFunc{"gitea": g.command})
		setup := p.Setup
		p.Setup = func(env *testscript.Env) error {
			if err := setup(env); err != nil {
				return err
			}
			w := env.Values[worldKey{}].(*world)
			w.vault.add("Gitea's token", g.token, g.user)
			env.Setenv("GITEA_URL", g.url)
			env.Setenv("GITEA_HOST", strings.TrimPrefix(g.url, "http://"))
			env.Setenv("GITEA_USER", g.user)
			env.Setenv("FREE_ADDRESS", "127.0.0.1:"+freePort(t))
			block := fmt.Sprintf("provider \"gitea\" {\n  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n", env.Getenv("GITEA_HOST"))
			if err := os.WriteFile(filepath.Join(env.WorkDir, providersFile), []byte(block), 0o644); err != nil {
				return err
			}
			helper := filepath.Join(env.WorkDir, secretsDir, "gitea.git")
			return os.WriteFile(helper, []byte("username="+g.user+"\npassword="+g.token+"\n"), 0o600)
		}
		testscript.Run(t, p)
	})
	s.finish(t)
}

// gitea is a running Gitea with one account and an all-scope token of it.
type gitea struct {
	binary, work string
	url          string
	user, token  string
}

// startGitea starts the binary that HEADWATER_GITEA names on a free port.
func startGitea(t *testing.T, s *suite) *gitea {
	t.Helper()
	const how = "run scripts/test --peers, or set HEADWATER_GITEA to what scripts/peers/gitea-build prints"
	binary := os.Getenv("HEADWATER_GITEA")
	require.NotEmpty(t, binary, "HEADWATER_GITEA is not set: "+how)
	require.FileExists(t, binary, how)
	// Gitea reads its templates from its sources, which lie beside the binary.
	sources := filepath.Join(filepath.Dir(filepath.Dir(binary)), "gitea126-src")
	require.DirExists(t, filepath.Join(sources, "templates"), how)

	g := &gitea{binary: binary, work: t.TempDir(), user: "river"}
	port := freePort(t)
	g.url = "http://127.0.0.1:" + port
	require.NoError(t, os.MkdirAll(filepath.Join(g.work, "data"), 0o700))
	require.NoError(t, os.WriteFile(g.config(), []byte(giteaConfig(g.work, sources, port)), 0o600))
	// The database must exist before accounts can be made.
	g.run(t, "migrate")
	password := "Pw1" + randomHex()
	g.run(t, "admin", "user", "create", "--username", g.user, "--password", password,
		"--email", "river@example.test", "--must-change-password=false", "--admin")
	out := strings.Fields(g.run(t, "admin", "user", "generate-access-token", "--username", g.user, "--token-name", "e2e", "--scopes", "all", "--raw"))
	g.token = out[len(out)-1]
	s.vault.add("Gitea's token", g.token, g.user)

	log, err := os.Create(filepath.Join(g.work, "web.log"))
	require.NoError(t, err)
	cmd := g.cmd(context.WithoutCancel(t.Context()), "web")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("Gitea says:\n%s", said)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(stopTimeout):
			_ = cmd.Process.Kill()
			<-exited
		}
		_ = log.Close()
	})
	require.Eventually(t, func() bool {
		answer, err := http.Get(g.url + "/api/healthz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, 20*time.Second, 100*time.Millisecond, "Gitea did not get ready")
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

// giteaConfig is an app.ini. RUN_USER must be the user of this process.
func giteaConfig(work, sources, port string) string {
	user, err := exec.Command("id", "-un").Output()
	if err != nil {
		user = []byte("root")
	}
	return strings.NewReplacer("@WORK@", work, "@SOURCES@", sources, "@PORT@", port, "@USER@", strings.TrimSpace(string(user)),
		"@SECRET@", randomHex()).Replace(`APP_NAME = peer
RUN_USER = @USER@
RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = @PORT@
DOMAIN = 127.0.0.1
ROOT_URL = http://127.0.0.1:@PORT@/
LOCAL_ROOT_URL = http://127.0.0.1:@PORT@/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = @SOURCES@
[database]
DB_TYPE = sqlite3
PATH = @WORK@/data/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = @WORK@/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = @SECRET@
[oauth2]
ENABLED = false
[service]
DISABLE_REGISTRATION = true
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
ROOT_PATH = @WORK@/log
`)
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

func randomHex() string {
	raw := make([]byte, 24)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return hex.EncodeToString(raw)
}

// command is the command gitea of scripts.
func (g *gitea) command(w *world, ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: gitea VERB ARG...")
	}
	verb, args := args[0], args[1:]
	switch verb {
	case "create":
		private := len(args) > 1 && args[1] == "private"
		g.must(ts, http.MethodPost, "/user/repos", fmt.Sprintf(`{"name":%q,"private":%t}`, args[0], private))
	case "seed":
		g.seed(w, ts, args)
	case "secret":
		// A token of its own, so that it can be revoked.
		answer := g.tokenFor(ts, args[0])
		w.keep(ts, args[0], answer, g.user)
	case "api":
		status, body := g.call(ts, args[0], args[1], strings.Join(args[2:], ""))
		fmt.Fprintf(ts.Stdout(), "%s\nHTTP %d\n", body, status)
		if (status >= 300) != neg {
			ts.Fatalf("Gitea answers %d", status)
		}
	case "until":
		for deadline := time.Now().Add(untilTimeout); ; time.Sleep(100 * time.Millisecond) {
			status, body := g.call(ts, http.MethodGet, args[0], "")
			if body == args[1] {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("Gitea answers %d %s", status, body)
			}
		}
	case "git":
		w.git(ts, neg, append([]string{"-t", "gitea"}, args...))
	case "ref":
		w.git(ts, false, []string{"-t", "gitea", "ls-remote", g.clone(args[0]), args[1]})
		id, _, _ := strings.Cut(ts.ReadFile("stdout"), "\t")
		fmt.Fprintln(ts.Stdout(), id)
	default:
		ts.Fatalf("unknown verb %q", verb)
	}
}

func (g *gitea) clone(repo string) string { return g.url + "/" + g.user + "/" + repo + ".git" }

// seed pushes a small history with two tags. More branches are written into the
// repository behind Gitea's back: pushing a thousand takes it minutes.
func (g *gitea) seed(w *world, ts *testscript.TestScript, args []string) {
	folder := filepath.Join(w.work, "seed-"+args[0])
	count := "0"
	if len(args) > 1 {
		count = args[1]
	}
	script := `set -e
git init --quiet "$1" && cd "$1"
for i in 1 2 3 4 5; do echo $i > file-$i; git add .; git commit --quiet -m "Change $i"; done
git tag v1 HEAD~2; git tag -a -m v2 v2 HEAD~1; git branch topic HEAD~1
git remote add origin "$2"`
	w.exec(ts, false, "sh", "-c", script, "sh", folder, g.clone(args[0]))
	w.git(ts, false, []string{"-t", "gitea", "-C", folder, "push", "--quiet", "origin", "main"})
	w.git(ts, false, []string{"-t", "gitea", "-C", folder, "push", "--quiet", "origin", "--all"})
	w.git(ts, false, []string{"-t", "gitea", "-C", folder, "push", "--quiet", "origin", "--tags"})
	more := `i=0; while [ $i -lt "$2" ]; do i=$((i+1)); echo "create refs/heads/many/$i refs/heads/main"; done | git -C "$1" update-ref --stdin && git -C "$1" pack-refs --all`
	w.exec(ts, false, "sh", "-c", more, "sh", filepath.Join(g.work, "repos", g.user, args[0]+".git"), count)
}

// tokenFor mints a token through the command line: the API wants a password.
func (g *gitea) tokenFor(ts *testscript.TestScript, name string) string {
	out, err := g.cmd(context.Background(), "admin", "user", "generate-access-token",
		"--username", g.user, "--token-name", ts.Name()+"-"+name, "--scopes", "write:repository", "--raw").CombinedOutput()
	if err != nil {
		ts.Fatalf("mint a token: %v: %s", err, out)
	}
	fields := bytes.Fields(out)
	return string(fields[len(fields)-1])
}

func (g *gitea) must(ts *testscript.TestScript, method, path, body string) {
	if status, answer := g.call(ts, method, path, body); status >= 300 {
		ts.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

func (g *gitea) call(ts *testscript.TestScript, method, path, body string) (int, string) {
	target, err := url.Parse(g.url + "/api/v1" + path)
	ts.Check(err)
	if body != "" && !json.Valid([]byte(body)) {
		ts.Fatalf("the body is not JSON: %s", body)
	}
	request, err := http.NewRequest(method, target.String(), strings.NewReader(body))
	ts.Check(err)
	request.Header.Set("Authorization", "token "+g.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	return answer.StatusCode, strings.TrimSpace(string(text))
}
