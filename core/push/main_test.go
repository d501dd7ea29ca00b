package push_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// bench is a world with the service of write sessions, behind HTTP.
type bench struct {
	*coretest.World
	push   *push.Service
	url    string
	wanted atomic.Int32 // syncs asked for

	mu     sync.Mutex
	policy access.Policy
	ns     core.Namespace
	errs   []error // of ReceivePack
}

func newBench(t *testing.T, o coretest.Options, po push.Options) *bench {
	t.Helper()
	b := &bench{World: coretest.NewWorld(t, o)}
	b.restart(po)
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// restart makes a new service, as a new process has it.
func (b *bench) restart(po push.Options) {
	b.Helper()
	po.Git, po.Repos, po.Store, po.Upstreams, po.Clock = b.Git, b.Repos, b.Store, b.Upstreams, b.Clock
	po.Logger = b.Logger
	if po.SettlePeriod == 0 {
		po.SettlePeriod = 100 * time.Millisecond
	}
	po.HooksDir = filepath.Join(b.Dir, "run", "git-hooks")
	po.WantSync = func(context.Context, string) { b.wanted.Add(1) }
	var err error
	b.push, err = push.New(po)
	require.NoError(b, err)
}

// settle has open journal entries settled, as Run does, until none is left.
func (b *bench) settle() {
	b.Helper()
	require.Eventually(b, func() bool {
		require.NoError(b, b.push.Recover(b.Context()))
		open, err := b.Store.OpenJournals(b.Context())
		require.NoError(b, err)
		return len(open) == 0
	}, time.Minute, 20*time.Millisecond)
}

// setPolicy gives the token of all pushes a policy.
func (b *bench) setPolicy(refs string) {
	b.Helper()
	p, err := access.ParsePolicy([]byte(refs), nil)
	require.NoError(b, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.policy = p
}

// setNamespace gives all pushes a namespace.
func (b *bench) setNamespace(ns core.Namespace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ns = ns
}

func (b *bench) session(r core.Repository) push.Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return push.Session{Repo: r, Namespace: b.ns, Source: core.SourcePush, Actor: core.Actor{Subject: "t"}, Policy: b.policy}
}

// ServeHTTP serves /ID/... : pushes by the service, fetches by git http-backend.
func (b *bench) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	r, err := b.Store.RepositoryByID(req.Context(), id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s := b.session(r)
	switch {
	case rest == "info/refs" && req.URL.Query().Get("service") == "git-receive-pack":
		w.Header().Set("Content-Type", "application/x-git-receive-pack-advertisement")
		err = b.push.Advertise(req.Context(), r, s.Namespace, w)
	case rest == "git-receive-pack":
		body := io.Reader(req.Body)
		if req.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				break
			}
		}
		w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
		_ = http.NewResponseController(w).EnableFullDuplex()
		err = b.push.ReceivePack(req.Context(), push.Receive{
			Session: s, Protocol: req.Header.Get("Git-Protocol"), Body: body, Out: flusher{w},
		})
	default:
		(&cgi.Handler{
			Path: filepath.Join(coretest.Run(b, b.Dir, "--exec-path"), "git-http-backend"),
			Env: append(coretest.Env(), "GIT_PROJECT_ROOT="+filepath.Dir(b.Path(r)), "GIT_HTTP_EXPORT_ALL=1",
				"PATH_INFO=/"+r.ID+".git/"+rest, "GIT_PROTOCOL="+req.Header.Get("Git-Protocol")),
		}).ServeHTTP(w, req)
	}
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errs = append(b.errs, err)
	}
}

// flusher sends every write at once.
type flusher struct{ http.ResponseWriter }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

// received returns the errors of ReceivePack.
func (b *bench) received() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]error(nil), b.errs...)
}

// remote returns the URL of the repository for a client.
func (b *bench) remote(r core.Repository) string { return b.url + "/" + r.ID }

// seed puts refs both at the forge and here, as after a sync. The objects are
// in the clone too, which it returns.
func (b *bench) seed(r core.Repository, refs ...string) (clone string, id core.ObjectID) {
	b.Helper()
	clone = filepath.Join(b.TempDir(), "clone")
	coretest.Run(b, b.Dir, "init", "--quiet", "--initial-branch=main", clone)
	id = coretest.Commit(b, clone, "seed")
	for _, ref := range refs {
		coretest.Run(b, clone, "update-ref", ref, string(id))
		b.install(r, clone, ref, id)
	}
	return clone, id
}

// install puts one ref of the clone to the forge and here.
func (b *bench) install(r core.Repository, clone, ref string, id core.ObjectID) {
	b.Helper()
	here := map[string]core.ObjectID{ref: id}
	if r.Upstream != nil {
		dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
		require.NoError(b, err)
		coretest.Install(b, clone, dir, map[string]core.ObjectID{ref: id})
		here[core.TrackingRef(ref)] = id
	}
	coretest.Install(b, clone, b.Path(r), here)
}

// client runs a git push of the clone and returns what it printed.
func (b *bench) client(clone string, r core.Repository, args ...string) (string, error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), 3*time.Minute)
	defer cancel()
	head := []string{"push", "--porcelain"}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		head, args = append(head, args[0]), args[1:]
	}
	return coretest.TryRun(ctx, clone, "", append(append(head, b.remote(r)), args...)...)
}

// write runs a session by the API's way.
func (b *bench) write(r core.Repository, atomic bool, updates ...core.RefUpdate) []push.Result {
	b.Helper()
	s := b.session(r)
	s.Updates, s.Atomic = updates, atomic
	results, err := b.push.Write(b.Context(), s)
	require.NoError(b, err)
	require.Len(b, results, len(updates))
	return results
}

// reasons returns the reason per update, "" for what was done.
func reasons(results []push.Result) []string {
	out := make([]string, len(results))
	for i, r := range results {
		out[i] = r.Reason
	}
	return out
}

// inSync requires that here and upstream have the same branches and tags.
func (b *bench) inSync(r core.Repository) {
	b.Helper()
	require.Equal(b, b.UpstreamRefs(r), b.Refs(r))
}

// request builds the body of a git-receive-pack request.
func request(caps string, pack []byte, updates ...core.RefUpdate) []byte {
	var body []byte
	for i, u := range updates {
		line := string(id40(u.Old)) + " " + string(id40(u.New)) + " " + u.Name
		if i == 0 {
			line += "\x00" + caps
		}
		body = append(body, pktline.Appendf(nil, "%s", line)...)
	}
	body = append(body, pktline.FlushPacket...)
	return append(body, pack...)
}

func id40(id core.ObjectID) core.ObjectID {
	if id.IsZero() {
		return core.ZeroSHA1
	}
	return id
}

// receive runs a request past HTTP and returns the answer.
func (b *bench) receive(ctx context.Context, r core.Repository, body []byte) (string, error) {
	var out bytes.Buffer
	err := b.push.ReceivePack(ctx, push.Receive{Session: b.session(r), Body: bytes.NewReader(body), Out: &out})
	return out.String(), err
}
