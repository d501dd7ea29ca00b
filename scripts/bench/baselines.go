package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// nginx is the baseline: nginx, fcgiwrap and git http-backend.
type nginx struct {
	host    string // 127.0.0.1:PORT
	root    string // of the bare repositories
	pids    []int  // nginx's master and fcgiwrap's
	account string // file of the CPU times of git http-backend; "" keeps none
	stop    func()
}

// cpu returns the CPU time used so far. That of git is there only for a server
// that keeps account.
func (n nginx) cpu() time.Duration {
	sum := cpuOf(n.pids...)
	raw, err := os.ReadFile(n.account)
	if err != nil {
		return sum // nothing has run yet
	}
	for line := range strings.Lines(string(raw)) {
		us, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64) // written by keepAccount
		sum += time.Duration(us) * time.Microsecond
	}
	return sum
}

// url returns the address of a repository.
func (n nginx) url(name string) string { return "http://" + n.host + "/open/" + name + ".git" }

// path returns the folder of a repository.
func (n nginx) path(name string) string { return filepath.Join(n.root, name+".git") }

// startNginx starts a baseline server over the folder root, with its own files
// under the name. With accounting, git runs under [keepAccount], which costs
// wall time, so that server is for CPU times alone.
func (b *bench) startNginx(ctx context.Context, name, root string, accounting bool) (nginx, error) {
	port, err := freePort()
	if err != nil {
		return nginx{}, err
	}
	peers := filepath.Join(b.work, name)
	n := nginx{host: fmt.Sprintf("127.0.0.1:%d", port), root: root}
	if err := os.MkdirAll(n.root, 0o750); err != nil {
		return nginx{}, err
	}
	script := filepath.Join(b.root, "scripts", "peers", "nginx-git")
	env := append(os.Environ(), "HEADWATER_PEERS_DIR="+peers)
	if accounting {
		dir := filepath.Join(peers, "account")
		if err := b.prepareAccount(ctx, dir); err != nil {
			return nginx{}, err
		}
		n.account = filepath.Join(dir, accountFile)
		env = append(env, "GIT_EXEC_PATH="+dir) // where the script looks for git http-backend
	}
	n.stop = func() {
		if err := command(context.WithoutCancel(ctx), env, script, "stop"); err != nil {
			fmt.Fprintln(os.Stderr, "bench: stop nginx:", err)
		}
	}
	if err := command(ctx, env, script, "start", strconv.Itoa(port), n.root); err != nil {
		return nginx{}, err
	}
	for _, file := range []string{"nginx.pid", "fcgi.pid"} {
		pid, err := waitPid(ctx, filepath.Join(peers, "nginx", file))
		if err != nil {
			n.stop()
			return nginx{}, err
		}
		n.pids = append(n.pids, pid)
	}
	return n, nil
}

// waitPid reads a file with a process id that is about to be written.
func waitPid(ctx context.Context, file string) (int, error) {
	for range 100 {
		if raw, err := os.ReadFile(file); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
				return pid, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return 0, fmt.Errorf("%s does not appear", file)
}

// gitea is a real one, started by the benchmark.
type gitea struct {
	host  string
	token string
	repos string // folder of the repositories
	pid   int
	stop  func()
}

// errNoGitea says that none was built.
var errNoGitea = errors.New("no Gitea: build one with scripts/peers/gitea-build")

// startGitea starts a Gitea with an empty database under the name.
func (b *bench) startGitea(ctx context.Context, name string) (gitea, error) {
	cache := os.Getenv("HEADWATER_PEERS_DIR")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return gitea{}, err
		}
		cache = filepath.Join(base, "headwater-peers")
	}
	binary := os.Getenv("HEADWATER_GITEA")
	if binary == "" {
		binary = filepath.Join(cache, "bin", "gitea")
	}
	if _, err := os.Stat(binary); err != nil {
		return gitea{}, errNoGitea
	}
	port, err := freePort()
	if err != nil {
		return gitea{}, err
	}
	peers := filepath.Join(b.work, name)
	if err := os.MkdirAll(peers, 0o750); err != nil {
		return gitea{}, err
	}
	// Its templates and locales.
	if err := os.Symlink(filepath.Join(cache, "gitea126-src"), filepath.Join(peers, "gitea126-src")); err != nil && !os.IsExist(err) {
		return gitea{}, err
	}
	script := filepath.Join(b.root, "scripts", "peers", "gitea")
	env := append(os.Environ(), "HEADWATER_PEERS_DIR="+peers, "HEADWATER_GITEA="+binary)
	g := gitea{host: fmt.Sprintf("127.0.0.1:%d", port), repos: filepath.Join(peers, "run-bench", "repos")}
	g.stop = func() {
		if err := command(context.WithoutCancel(ctx), env, script, "stop", "bench"); err != nil {
			fmt.Fprintln(os.Stderr, "bench: stop gitea:", err)
		}
	}
	if err := command(ctx, env, script, "start", strconv.Itoa(port), "bench"); err != nil {
		g.stop()
		return gitea{}, err
	}
	if g.pid, err = waitPid(ctx, filepath.Join(peers, "run-bench", "pid")); err != nil {
		g.stop()
		return gitea{}, err
	}
	token, err := os.ReadFile(filepath.Join(peers, "run-bench", "token"))
	g.token = strings.TrimSpace(string(token))
	return g, err
}

// create makes an empty repository of the administrator.
func (g gitea) create(ctx context.Context, name string) error {
	return g.call(ctx, http.MethodPost, "/api/v1/user/repos", map[string]any{"name": name, "private": true, "default_branch": "main"}, nil)
}

func (g gitea) call(ctx context.Context, method, path string, in, out any) error {
	return callJSON(ctx, method, "http://"+g.host+path, "token "+g.token, in, out)
}

// url returns the address of a repository with the credential in it.
func (g gitea) url(name string) string {
	u := url.URL{Scheme: "http", Host: g.host, Path: "/admin1/" + name + ".git"}
	return u.String()
}
