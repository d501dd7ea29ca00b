package upstream_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/remote"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/providertest"
)

// lfsHost is the LFS of a forge's repositories, which keeps what was written to which.
// To a repository that is not there it says what Gitea does.
type lfsHost struct {
	*httptest.Server
	b *mirrortest.Bench

	mu     sync.Mutex
	writes []string // "what stable-id", as they came
	before func(what string)
}

// newLFSBench is a status bench whose host has LFS, and the LFS of its upstream as r has it.
func newLFSBench(t *testing.T) (*mirrortest.Bench, *hostAPI, *lfsHost, func(r core.Repository) lfs.Upstream) {
	t.Helper()
	b, api := newStatusBench(t)
	h := &lfsHost{b: b}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(r *http.Request, base string) any{
		"POST /{owner}/{name}/objects/batch": func(r *http.Request, base string) any {
			var in struct {
				Operation string
				Objects   []map[string]any
			}
			_ = json.NewDecoder(r.Body).Decode(&in)
			for _, o := range in.Objects {
				o["actions"] = map[string]any{in.Operation: map[string]string{"href": base + "/bytes/" + o["oid"].(string)}}
			}
			return map[string]any{"objects": in.Objects}
		},
		"PUT /{owner}/{name}/bytes/{oid}": func(r *http.Request, _ string) any {
			_, _ = io.Copy(io.Discard, r.Body)
			return nil
		},
		"POST /{owner}/{name}/locks": func(*http.Request, string) any {
			return map[string]any{"lock": map[string]string{"id": "1", "path": "a"}}
		},
		"POST /{owner}/{name}/locks/{id}/unlock": func(*http.Request, string) any {
			return map[string]any{"lock": map[string]string{"id": "1", "path": "a"}}
		},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			path := r.PathValue("owner") + "/" + r.PathValue("name")
			what := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/"+path+"/")
			h.mu.Lock()
			before := h.before
			h.mu.Unlock()
			if before != nil {
				before(what)
			}
			w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
			id, err := b.Forge.Forge.RepoID(path)
			if err != nil {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, `{"Message":"Not Found"}`)
				return
			}
			out, _ := json.Marshal(answer(r, h.URL+"/"+path))
			h.mu.Lock()
			h.writes = append(h.writes, what+" "+id)
			h.mu.Unlock()
			_, _ = w.Write(out)
		})
	}
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	b.Plugin.AddHost(providers.HostPolicy{Host: h.Listener.Addr().String(), Scheme: "http", AllowPrivate: true})
	b.Plugin.ResolveFunc = func(ctx context.Context, q providers.ResolveRequest) (providers.Remote, error) {
		if q.Contact {
			return api.resolve(ctx, q)
		}
		found, err := (&providertest.Loopback{}).Resolve(ctx, q)
		found.LFSURL = h.URL + "/" + q.Locator.Owner + "/" + q.Locator.Name
		return found, err
	}
	service := remote.New(remote.Options{Upstreams: upstream.New(b.Plugin, b.Store, nil, nil), Links: b.Monitor, Clock: core.SystemClock{}, Agent: "test"})
	t.Cleanup(service.CloseIdle)
	return b, api, h, service.For
}

// seen returns what was written since the last call.
func (h *lfsHost) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := h.writes
	h.writes = nil
	return seen
}

// onWrite has f called before each request is answered.
func (h *lfsHost) onWrite(f func(what string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.before = f
}

const lfsBytes = "bytes of an object"

func lfsPointer() lfs.Pointer {
	return lfs.Pointer{OID: lfs.OIDOf(sha256.Sum256([]byte(lfsBytes))), Size: int64(len(lfsBytes))}
}

// lfsWrites are the requests of LFS that change something at a host. offered is what a
// batch answered before.
var lfsWrites = map[string]func(ctx context.Context, up lfs.Upstream, offered lfs.Transfer) error{
	"batch": func(ctx context.Context, up lfs.Upstream, _ lfs.Transfer) error {
		_, err := up.Batch(ctx, lfs.Upload, "", []lfs.Pointer{lfsPointer()})
		return err
	},
	"put": func(ctx context.Context, up lfs.Upstream, offered lfs.Transfer) error {
		return up.Put(ctx, offered, strings.NewReader(lfsBytes))
	},
	"lock": func(ctx context.Context, up lfs.Upstream, _ lfs.Transfer) error {
		_, err := up.Lock(ctx, "a", "")
		return err
	},
	"unlock": func(ctx context.Context, up lfs.Upstream, _ lfs.Transfer) error {
		_, err := up.Unlock(ctx, "1", "", false)
		return err
	},
}

// What Git LFS writes goes to no other repository either that took the upstream's name,
// also with an offer of before; it follows a rename, and needs no poll to know
// that the upstream is archived.
func TestInvariant25_lfs(t *testing.T) {
	t.Parallel()
	b, api, host, of := newLFSBench(t)
	for name, write := range lfsWrites {
		r, _ := b.Mirrored(name)
		r = b.Reload(r)
		path := "acme/" + name
		id := b.Forge.RepoID(path)
		transfers, err := of(r).Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{lfsPointer()})
		require.NoError(t, err)
		offered := transfers[0]
		require.NoError(t, write(t.Context(), of(r), offered), name)
		require.NotEmpty(t, host.seen())
		asked := api.count()
		require.NoError(t, write(t.Context(), of(r), offered), name)
		require.Equal(t, asked, api.count(), "%s: confirmed a moment ago", name)
		host.seen()

		// Renamed within the minute: the host turns the write away, is asked, and gets it.
		api.set(func(a *hostAPI) { a.paths = append(a.paths, path+"-2") })
		b.Forge.RenameRepo(path, path+"-2")
		require.NoError(t, write(t.Context(), of(r), offered), name)
		for _, w := range host.seen() {
			require.Contains(t, w, id, name)
		}
		moved := b.Reload(r)
		require.Equal(t, name+"-2", moved.Upstream.Name)
		// An offer that names the old place is not used at the new one.
		b.Clock.Advance(time.Minute + time.Second)
		require.NoError(t, write(t.Context(), of(moved), offered), name)
		transfers, err = of(moved).Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{lfsPointer()})
		require.NoError(t, err)
		offered = transfers[0]
		require.NotEmpty(t, host.seen())

		// Renamed again, and a stranger with equal refs has the old name.
		replace(b, path+"-2")
		b.Forge.RenameRepo("elsewhere/a", path+"-3")
		api.set(func(a *hostAPI) { a.paths = append(a.paths, path+"-3") })
		b.Clock.Advance(time.Minute + time.Second)
		require.NoError(t, write(t.Context(), of(moved), offered), name)
		for _, w := range host.seen() {
			require.Contains(t, w, id, name)
		}
		moved = b.Reload(r)
		require.Equal(t, name+"-3", moved.Upstream.Name)
		transfers, err = of(moved).Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{lfsPointer()})
		require.NoError(t, err)
		offered = transfers[0]
		host.seen()

		// Archived.
		b.Clock.Advance(time.Minute + time.Second)
		api.set(func(a *hostAPI) { a.archived = true })
		err = write(t.Context(), of(moved), offered)
		require.Equal(t, core.KindUpstreamRejected, core.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "archived", name)
		require.Empty(t, host.seen(), name)
		api.set(func(a *hostAPI) { a.archived = false })
		b.Clock.Advance(time.Minute + time.Second)
		require.NoError(t, write(t.Context(), of(moved), offered), name)
		host.seen()

		// Deleted and made anew.
		replace(b, path+"-3")
		b.Clock.Advance(time.Minute + time.Second)
		err = write(t.Context(), of(moved), offered)
		require.Equal(t, core.KindUpstreamUnavailable, core.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "another repository", name)
		require.Empty(t, host.seen(), "%s reached the stranger", name)
		require.Equal(t, core.UpstreamReplaced, b.State(moved).UpstreamState, name)
		require.NoError(t, b.Forge.Forge.DeleteRepo("elsewhere/a"))
	}
}

// An offer that is used while the host renames the upstream: the upload is not lost.
func TestService_lfsRenamedDuringAnUpload(t *testing.T) {
	t.Parallel()
	b, api, host, of := newLFSBench(t)
	r, _ := b.Mirrored("a")
	r = b.Reload(r)
	id := b.Forge.RepoID("acme/a")
	transfers, err := of(r).Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{lfsPointer()})
	require.NoError(t, err)
	host.seen()
	api.set(func(a *hostAPI) { a.paths = []string{"acme/b"} })
	var once sync.Once
	host.onWrite(func(what string) {
		if strings.HasPrefix(what, http.MethodPut) {
			once.Do(func() { _ = b.Forge.Forge.RenameRepo("acme/a", "acme/b") })
		}
	})
	require.NoError(t, of(r).Put(t.Context(), transfers[0], strings.NewReader(lfsBytes)))
	require.True(t, slices.Contains(host.seen(), "PUT bytes/"+string(lfsPointer().OID)+" "+id))
	require.Equal(t, "b", b.Reload(r).Upstream.Name)
}
