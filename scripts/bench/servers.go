package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// freePort returns a port of the loopback interface that is free now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

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

// headwater is a running server.
type headwater struct {
	base string // URL
	data string
	log  string
	pid  int
	stop func()
	b    *bench
}

// startHeadwater starts a server with an empty data directory. The hosts are
// loopback addresses that it may reach as Gitea instances.
func (b *bench) startHeadwater(ctx context.Context, name string, hosts ...string) (*headwater, error) {
	var hcl strings.Builder
	hcl.WriteString("provider \"gitea\" {\n")
	for _, h := range hosts {
		fmt.Fprintf(&hcl, "  host %q {\n    scheme        = \"http\"\n    allow_private = true\n  }\n", h)
	}
	hcl.WriteString("}\n")
	return b.startHeadwaterWith(ctx, name, hcl.String())
}

// startHeadwaterWith takes the text of providers.hcl and more flags of "serve".
// A name that was used before gives a server over the same data.
func (b *bench) startHeadwaterWith(ctx context.Context, name, hcl string, flags ...string) (*headwater, error) {
	dir := filepath.Join(b.work, name)
	h := &headwater{data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log.json"), b: b}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "providers.hcl")
	if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(h.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// Debug lines tell how long each git process took; they cost microseconds.
	cmd := exec.Command(filepath.Join(b.root, "bin", "headwater"), append([]string{ //nolint:noctx // ended by stop
		"serve", "--data", h.data, "--listen", "127.0.0.1:0", "--admin-listen=none", "--config", config, "--log-level", "debug", "--log-json",
	}, flags...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir()}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	h.pid = cmd.Process.Pid
	h.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	// With thousands of repositories a start takes a while: each is looked
	// through for what a killed git left.
	for range 2400 {
		if raw, err := os.ReadFile(filepath.Join(h.data, "run", "address")); err == nil && len(raw) > 0 {
			h.base = strings.TrimSpace(string(raw))
			if api, err := h.api("", nil); err == nil {
				if _, err := api.GetReadiness(ctx, nil); err == nil {
					return h, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			h.stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	h.stop()
	return nil, fmt.Errorf("the server did not start; see %s", h.log)
}

// cpu returns the CPU time that the server and its processes used so far.
func (h *headwater) cpu() time.Duration { return cpuOf(h.pid) }

// token returns a token for the repository, or for the organisation with "org".
// It is signed here: a process for each of thousands of repositories would cost
// minutes.
func (h *headwater) token(repo string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(h.data, "keys", "local.pem"))
	if err != nil {
		return "", err
	}
	key, err := access.ParsePrivateKey(raw)
	if err != nil {
		return "", err
	}
	now := time.Now()
	return access.Sign(key, access.Claims{
		Issuer: "local", Subject: "bench", Repo: repo, IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		Scopes: []access.Scope{access.GitRead, access.GitWrite, access.RepoWrite, access.OrgRead},
	})
}

// api returns a client of the API that sends a token, over connections of its
// own if doer is not nil.
func (h *headwater) api(token string, doer rest.HttpRequestDoer) (*rest.API, error) {
	authorize := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	options := []rest.ClientOption{rest.WithRequestEditorFn(authorize)}
	if doer != nil {
		options = append(options, rest.WithHTTPClient(doer))
	}
	return rest.New(h.base, options...)
}

// callJSON sends and receives JSON.
func callJSON(ctx context.Context, method, target, authorization string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, target, resp.Status, bytes.TrimSpace(answer))
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// hosted is a repository on the server.
type hosted struct {
	h     *headwater
	api   *rest.API
	name  string
	token string
	path  string // on disk
	url   string // of the git remote
}

// create makes a repository; with an upstream ("owner/name" at host) a synced one.
func (h *headwater) create(ctx context.Context, name, host, upstream string) (hosted, error) {
	r := hosted{h: h, name: name, url: h.base + "/" + name + ".git"}
	var err error
	if r.token, err = h.token(name); err != nil {
		return r, err
	}
	if r.api, err = h.api(r.token, nil); err != nil {
		return r, err
	}
	body := rest.CreateRepositoryRequest{DefaultBranch: new("main")}
	if upstream != "" {
		owner, repo, _ := strings.Cut(upstream, "/")
		body.BaseRepo = &rest.BaseRepoRequest{Provider: new("gitea"), Owner: &owner, Name: repo, UpstreamHost: &host}
	}
	answer, err := r.api.CreateRepository(ctx, nil, body)
	if err != nil {
		return r, err
	}
	id := answer.RepoID
	r.path = filepath.Join(h.data, "repos", id[len(id)-2:], id[len(id)-4:len(id)-2], id+".git")
	return r, nil
}

// credential stores what opens the upstream.
func (r hosted) credential(ctx context.Context, user, password string) error {
	_, err := r.api.CreateCredential(ctx, r.name, rest.CreateCredentialRequest{Username: &user, Password: password})
	return err
}

// git returns a client that may read and write the repository.
func (r hosted) git() client { return r.h.b.git.with(r.token) }

// show returns the repository's view.
func (r hosted) show(ctx context.Context) (rest.Repository, error) {
	return r.api.GetRepository(ctx, r.name)
}

// pull asks for a sync, and returns the request that it is.
func (r hosted) pull(ctx context.Context) (wanted int64, err error) {
	answer, err := r.api.PullUpstream(ctx, r.name, rest.PullUpstreamRequest{})
	return answer.Wanted, err
}

// sync asks for a sync, waits for its end and returns how long the run took.
func (r hosted) sync(ctx context.Context) (time.Duration, error) {
	wanted, err := r.pull(ctx)
	if err != nil {
		return 0, err
	}
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		a, err := r.show(ctx)
		if err != nil {
			return 0, err
		}
		if a.Sync != nil && a.Sync.Tried >= wanted && a.Sync.LastRun != nil && a.Sync.LastRun.FinishedAt != nil {
			if a.Sync.LastError != nil {
				return 0, fmt.Errorf("sync failed: %s", a.Sync.LastError.Message)
			}
			return a.Sync.LastRun.FinishedAt.Sub(a.Sync.LastRun.StartedAt), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
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
