//go:build peers

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/giteatest"
)

// TestPeers runs the scripts of testdata/peers against a real Gitea. They have
// one command more:
//
//	gitea create REPO [private]      of the account $GITEA_USER, empty; REPO has no owner
//	gitea seed REPO [REFS]           pushes some commits; makes that many branches
//	gitea secret NAME                mints a token and keeps it as a secret
//	gitea robot NAME                 makes an account, and keeps a token of its own as a secret
//	gitea revoke NAME                ends that token
//	gitea api METHOD PATH [BODY]     calls Gitea's API; stdout is the answer
//	gitea until PATH ANSWER          calls it until that is the answer; with -match
//	                                 before PATH, until the answer holds it
//	gitea git ARG...                 runs git with the account's credential
//	gitea ref REPO REF               prints the object id, nothing if absent;
//	                                 REPO may have another owner before a slash
//	gitea unhook REPO                deletes every webhook, as a person would
func TestPeers(t *testing.T) { runPeers(t, giteatest.Start(t), "peers", "") }

// TestPeers_belowAPath runs the scripts of testdata/below against a real Gitea that is
// below a path of its host.
func TestPeers_belowAPath(t *testing.T) {
	runPeers(t, giteatest.StartBelow(t, "/git"), "below", "    base_path = \"/git\"\n")
}

// runPeers runs the scripts of a folder against a Gitea, with more lines in its host
// block.
func runPeers(t *testing.T, server *giteatest.Server, folder, lines string) {
	s := newSuite(t)
	g := gitea{server, &sync.Map{}}
	s.vault.add("Gitea's token", g.Token, giteatest.User)
	t.Run("scripts", func(t *testing.T) {
		p := s.params(filepath.Join("testdata", folder), map[string]commandFunc{"gitea": g.command})
		setup := p.Setup
		p.Setup = func(env *testscript.Env) error {
			if err := setup(env); err != nil {
				return err
			}
			w := env.Values[worldKey{}].(*world)
			w.vault.add("Gitea's token", g.Token, giteatest.User)
			env.Setenv("GITEA_URL", g.URL())
			env.Setenv("GITEA_HOST", g.Host)
			env.Setenv("GITEA_USER", giteatest.User)
			env.Setenv("FREE_ADDRESS", "127.0.0.1:"+freePort(t))
			block := fmt.Sprintf("provider \"gitea\" {\n  host %q {\n    scheme = \"http\"\n    allow_private = true\n%s  }\n}\n", g.Host, lines)
			if err := os.WriteFile(filepath.Join(env.WorkDir, providersFile), []byte(block), 0o644); err != nil {
				return err
			}
			helper := filepath.Join(env.WorkDir, secretsDir, "gitea.git")
			return os.WriteFile(helper, []byte("username="+giteatest.User+"\npassword="+g.Token+"\n"), 0o600)
		}
		testscript.Run(t, p)
	})
	s.finish(t)
}

// gitea is a running Gitea, as scripts use it.
type gitea struct {
	*giteatest.Server
	robots *sync.Map // of *giteatest.Robot by name; scripts run side by side
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

// command is the command gitea of scripts.
func (g gitea) command(w *world, ts *testscript.TestScript, neg bool, args []string) {
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
		token, err := g.Mint(context.Background(), ts.Name()+"-"+args[0], "write:repository,read:user")
		ts.Check(err)
		w.keep(ts, args[0], token, giteatest.User)
	case "robot":
		robot, err := g.NewRobot(context.Background(), args[0])
		ts.Check(err)
		g.robots.Store(args[0], robot)
		token, err := robot.Mint(context.Background(), "mirrors")
		ts.Check(err)
		w.keep(ts, args[0], token, args[0])
	case "revoke":
		robot, ok := g.robots.Load(args[0])
		if !ok {
			ts.Fatalf("no robot %q", args[0])
		}
		ts.Check(robot.(*giteatest.Robot).Revoke(context.Background(), "mirrors"))
	case "api":
		status, body := g.call(ts, args[0], args[1], strings.Join(args[2:], ""))
		fmt.Fprintf(ts.Stdout(), "%s\nHTTP %d\n", body, status)
		if (status >= 300) != neg {
			ts.Fatalf("Gitea answers %d", status)
		}
	case "until":
		part := args[0] == "-match"
		if part {
			args = args[1:]
		}
		for deadline := time.Now().Add(untilTimeout); ; time.Sleep(100 * time.Millisecond) {
			status, body := g.call(ts, http.MethodGet, args[0], "")
			if body == args[1] || part && strings.Contains(body, args[1]) {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("Gitea answers %d %s", status, body)
			}
		}
	case "git":
		w.git(ts, neg, append([]string{"-t", "gitea"}, args...))
	case "ref":
		url := g.CloneURL(args[0])
		if strings.Contains(args[0], "/") {
			url = g.URL() + "/" + args[0] + ".git"
		}
		w.git(ts, false, []string{"-t", "gitea", "ls-remote", url, args[1]})
		id, _, _ := strings.Cut(ts.ReadFile("stdout"), "\t")
		fmt.Fprintln(ts.Stdout(), id)
	case "unhook":
		g.unhook(ts, args[0])
	default:
		ts.Fatalf("unknown verb %q", verb)
	}
}

// unhook deletes the webhooks of a repository; there has to be one.
func (g gitea) unhook(ts *testscript.TestScript, repo string) {
	hooks := "/repos/" + giteatest.User + "/" + repo + "/hooks"
	_, body := g.call(ts, http.MethodGet, hooks, "")
	var list []struct {
		ID int64 `json:"id"`
	}
	ts.Check(json.Unmarshal([]byte(body), &list))
	if len(list) == 0 {
		ts.Fatalf("%s has no webhook", repo)
	}
	for _, hook := range list {
		g.must(ts, http.MethodDelete, fmt.Sprintf("%s/%d", hooks, hook.ID), "")
	}
}

// seed pushes a small history with two tags. More branches are written into the
// repository behind Gitea's back: pushing a thousand takes it minutes.
func (g gitea) seed(w *world, ts *testscript.TestScript, args []string) {
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
	w.exec(ts, false, "sh", "-c", script, "sh", folder, g.CloneURL(args[0]))
	w.git(ts, false, []string{"-t", "gitea", "-C", folder, "push", "--quiet", "origin", "main"})
	w.git(ts, false, []string{"-t", "gitea", "-C", folder, "push", "--quiet", "origin", "--all"})
	w.git(ts, false, []string{"-t", "gitea", "-C", folder, "push", "--quiet", "origin", "--tags"})
	more := `i=0; while [ $i -lt "$2" ]; do i=$((i+1)); echo "create refs/heads/many/$i refs/heads/main"; done | git -C "$1" update-ref --stdin && git -C "$1" pack-refs --all`
	w.exec(ts, false, "sh", "-c", more, "sh", g.Folder(giteatest.User+"/"+args[0]), count)
}

func (g gitea) must(ts *testscript.TestScript, method, path, body string) {
	if status, answer := g.call(ts, method, path, body); status >= http.StatusMultipleChoices {
		ts.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

func (g gitea) call(ts *testscript.TestScript, method, path, body string) (int, string) {
	if body != "" && !json.Valid([]byte(body)) {
		ts.Fatalf("the body is not JSON: %s", body)
	}
	status, answer, err := g.Call(context.Background(), method, path, body)
	ts.Check(err)
	return status, strings.TrimSpace(string(answer))
}
