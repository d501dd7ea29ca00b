package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
