//go:build npm

package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/providers/forgetest"
)

// kind says what repositories a script makes.
type kind string

const (
	local  kind = "local"
	synced kind = "synced"
)

// upstream is the host that synced repositories follow. Repositories are named
// by their path, OWNER/NAME.
type upstream interface {
	host() string
	// create makes an empty repository.
	create(ctx context.Context, name string) (path string, err error)
	// folder is where the bare repository of a path lies.
	folder(path string) (string, error)
	credential() (user, secret string)
	// protect refuses pushes to a branch; unprotect lifts that.
	protect(ctx context.Context, path, branch string) error
	unprotect(ctx context.Context, path string) error
	// fault makes requests for git to a repository fail.
	fault(f fault) error
}

// fault is how a repository of an upstream host fails. With nothing but a path
// it works again.
type fault struct {
	path   string
	status int  // answer this
	stall  bool // do not answer before it works again
}

// wish is what scripts ask for.
type wish struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Branch string `json:"branch"`
	Status int    `json:"status"`
	Stall  bool   `json:"stall"`
	Reset  bool   `json:"reset"`
}

// control serves the verbs of harness.mjs to scripts until the test ends, and
// returns its URL.
func (b *bench) control() string {
	verbs := map[string]func(ctx context.Context, w wish) (any, error){
		"host": func(context.Context, wish) (any, error) { return map[string]string{"host": b.upstream.host()}, nil },
		"create": func(ctx context.Context, w wish) (any, error) {
			path, err := b.upstream.create(ctx, w.Name)
			owner, name, _ := strings.Cut(path, "/")
			user, secret := b.upstream.credential()
			return map[string]string{"host": b.upstream.host(), "path": path, "owner": owner, "name": name, "username": user, "password": secret}, err
		},
		"refs": func(ctx context.Context, w wish) (any, error) { return b.refs(ctx, w.Path) },
		"protect": func(ctx context.Context, w wish) (any, error) {
			return true, b.upstream.protect(ctx, w.Path, w.Branch)
		},
		"unprotect": func(ctx context.Context, w wish) (any, error) { return true, b.upstream.unprotect(ctx, w.Path) },
		"commit":    func(ctx context.Context, w wish) (any, error) { return b.commitUpstream(ctx, w.Path, w.Branch) },
		"fault": func(_ context.Context, w wish) (any, error) {
			return true, b.upstream.fault(fault{w.Path, w.Status, w.Stall})
		},
		"memory": func(_ context.Context, w wish) (any, error) { return b.memory(w.Reset) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body wish
		verb := verbs[strings.TrimPrefix(r.URL.Path, "/")]
		var answer any
		err := json.NewDecoder(r.Body).Decode(&body)
		if err == nil && verb == nil {
			err = fmt.Errorf("no verb %q", r.URL.Path)
		}
		if err == nil {
			answer, err = verb(r.Context(), body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(answer) // the script notices
	}))
	b.t.Cleanup(server.Close)
	return server.URL
}

// refs returns every ref of an upstream repository, read from its disk.
func (b *bench) refs(ctx context.Context, path string) (map[string]string, error) {
	dir, err := b.upstream.folder(path)
	if err != nil {
		return nil, err
	}
	out, err := git(ctx, dir, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	refs := map[string]string{}
	for line := range strings.Lines(out) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[name] = id
	}
	return refs, nil
}

// commitUpstream adds an empty commit to a branch upstream, as somebody else
// would, and returns it.
func (b *bench) commitUpstream(ctx context.Context, path, branch string) (string, error) {
	dir, err := b.upstream.folder(path)
	if err != nil {
		return "", err
	}
	id, err := git(ctx, dir, "commit-tree", "-p", "refs/heads/"+branch, "-m", "By somebody else", "refs/heads/"+branch+"^{tree}")
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, id)
	}
	_, err = git(ctx, dir, "update-ref", "refs/heads/"+branch, id)
	return id, err
}

// memory returns the most that the server's process has had resident since the
// last reset, in MiB.
func (b *bench) memory(reset bool) (float64, error) {
	proc := filepath.Join("/proc", fmt.Sprint(b.cmd.Process.Pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return 0, err
	}
	var peak int
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := fmt.Sscanf(value, "%d kB", &peak); err != nil {
				return 0, err
			}
		}
	}
	if reset { // proc(5): 5 sets the peak back to what is resident now
		err = os.WriteFile(filepath.Join(proc, "clear_refs"), []byte("5"), 0)
	}
	return float64(peak) / 1024, err
}

// fakeHost is a forge that looks like Gitea.
type fakeHost struct {
	*forgetest.Forge
	user, secret string
	mu           sync.Mutex
	faults       map[string]func() // what removes them, by path
}

func newFakeHost(f *forgetest.Forge) *fakeHost {
	h := &fakeHost{Forge: f, faults: map[string]func(){}}
	h.user, h.secret = f.Credential()
	return h
}

func (h *fakeHost) host() string { return h.Host() }

func (h *fakeHost) create(_ context.Context, name string) (string, error) {
	path := forgetest.User + "/" + name
	return path, h.CreateRepo(path, true)
}

func (h *fakeHost) folder(path string) (string, error) { return h.RepoDir(path) }

func (h *fakeHost) credential() (string, string) { return h.user, h.secret }

func (h *fakeHost) protect(_ context.Context, path, branch string) error {
	return h.Protect(path, "refs/heads/"+branch)
}

func (h *fakeHost) unprotect(_ context.Context, path string) error { return h.Unprotect(path) }

func (h *fakeHost) fault(f fault) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if remove := h.faults[f.path]; remove != nil {
		remove()
		delete(h.faults, f.path)
	}
	if f.status == 0 && !f.stall {
		return nil
	}
	x, release := forgetest.Fault{Repo: f.path, Status: f.status}, make(chan struct{})
	if f.stall {
		x.Before = func() { <-release }
	}
	remove := h.Inject(x)
	h.faults[f.path] = func() {
		remove()
		close(release)
	}
	return nil
}
