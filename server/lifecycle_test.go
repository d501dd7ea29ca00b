package server_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestNew_twoServersInOneProcess is the guarantee that the server has no state
// but its own: two of them, with the same names in use, do not notice each
// other.
func TestNew_twoServersInOneProcess(t *testing.T) {
	t.Parallel()
	one, two := newBench(t, forgetest.SeedOptions{Commits: 3}), newBench(t, forgetest.SeedOptions{Commits: 7, Branches: 2})
	require.NotEqual(t, one.Refs(t, mirror)["refs/heads/main"], two.Refs(t, mirror)["refs/heads/main"])

	// Same organisation name, other keys.
	out, err := one.ClientWith(t, two.Token(t, mirror)).Try("ls-remote", one.Remote(mirror))
	require.Error(t, err, out)

	client := one.work(t)
	head := client.Commit("for one only")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	require.NoError(t, two.Sync(t, mirror))
	require.NotEqual(t, head, two.Refs(t, mirror)["refs/heads/main"])
	one.requireSame(t)
	two.requireSame(t)

	// One ends; the other does not care.
	one.Stop(t)
	client = two.clone(t)
	client.Commit("for two")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	two.requireSame(t)
}

func TestNew_refusesDirectoryInUse(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	_, err := server.New(t.Context(), servertest.ServerOptions(t, servertest.Options{Dir: s.Dir}))
	require.ErrorContains(t, err, "another server is using the data directory")
	s.Create(t, "still/works")
	s.Stop(t)
	again := servertest.Start(t, servertest.Options{Dir: s.Dir})
	again.Get(t, "still/works")
}

// TestNew_failsWhole runs alone: it counts goroutines and file descriptors.
func TestNew_failsWhole(t *testing.T) { //nolint:paralleltest // see above
	descriptors := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(open)
	}
	before := goleak.IgnoreCurrent()
	for _, tt := range []struct {
		name  string
		spoil func(dir string, o *server.Options)
		says  string
	}{
		{"no directory", func(_ string, o *server.Options) { o.DataDir = "" }, "a data directory is required"},
		{"directory is a file", func(dir string, o *server.Options) { o.DataDir = filepath.Join(dir, "file") }, "data directory"},
		{"no configuration", func(_ string, o *server.Options) { o.ConfigFile = "/nowhere/providers.hcl" }, "providers.hcl"},
		{"bad configuration", func(dir string, o *server.Options) { o.ConfigFile = filepath.Join(dir, "file") }, "file"},
		{"no git", func(_ string, o *server.Options) { o.GitPath = "/nowhere/git" }, "git"},
		{"bad sealing key", func(_ string, o *server.Options) { o.SealKey = "not a key" }, ""},
		{"damaged sealing key", func(dir string, _ *server.Options) { write(t, filepath.Join(dir, "keys", "seal.json"), "{") }, "seal.json"},
		{"damaged database", func(dir string, _ *server.Options) {
			write(t, filepath.Join(dir, "headwater.db"), strings.Repeat("no", 2000))
		}, "database"},
		{"damaged key", func(dir string, _ *server.Options) { write(t, filepath.Join(dir, "keys", "local.pem"), "no key") }, "local.pem"},
		{"unknown provider", func(dir string, o *server.Options) {
			o.ConfigFile = filepath.Join(dir, "keys", "unknown.hcl")
			write(t, o.ConfigFile, "provider \"nobody\" {\n}\n")
		}, "nobody"},
		{"no plugin of the name", func(_ string, o *server.Options) { o.Builtins = map[string]func() providers.Provider{} }, ""},
		{"repositories are a file", func(dir string, _ *server.Options) { write(t, filepath.Join(dir, "repos"), "") }, "data directory"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "file"), "nonsense {")
		require.NoError(t, os.Mkdir(filepath.Join(dir, "keys"), 0o700), tt.name)
		o := servertest.ServerOptions(t, servertest.Options{Dir: dir})
		tt.spoil(dir, &o)
		open := descriptors()
		srv, err := server.New(t.Context(), o)
		require.Error(t, err, tt.name)
		require.Nil(t, srv, tt.name)
		require.ErrorContains(t, err, tt.says, tt.name)
		require.NotContains(t, err.Error(), "panic", tt.name)
		require.LessOrEqual(t, descriptors(), open, "%s: files are left open", tt.name)
		require.NoError(t, goleak.Find(before), tt.name)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestServer_Shutdown_drainsPush(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	client := b.work(t)
	head := client.Commit("in flight")
	there, release := make(chan struct{}), make(chan struct{})
	b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, Times: 1, Before: func() { close(there); <-release }})
	pushed := make(chan error, 1)
	go func() {
		out, err := client.Try("push", "--quiet", "origin", "HEAD:main")
		if err != nil {
			t.Error(out)
		}
		pushed <- err
	}()
	<-there
	stopped := make(chan error, 1)
	go func() { stopped <- b.Shutdown(context.Background()) }()
	// Turned away as soon as the shutdown has begun, with a time to come back.
	require.Eventually(t, func() bool {
		a := b.API(t, http.MethodGet, mirror, "", nil)
		return a.Status == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond)
	select {
	case err := <-stopped:
		t.Fatalf("shut down while a push is on its way: %v", err)
	case <-pushed:
		t.Fatal("the push was cut off")
	default:
	}
	close(release)
	require.NoError(t, <-pushed)
	require.NoError(t, <-stopped)
	require.Equal(t, head, b.forge.Ref(origin, "refs/heads/main"))
	require.NoError(t, b.Shutdown(context.Background()), "a second time")

	again := servertest.Start(t, servertest.Options{Dir: b.Dir, Forges: []*forgetest.TestForge{b.forge}})
	require.Equal(t, head, again.Refs(t, mirror)["refs/heads/main"])
}

func TestServer_Shutdown_drainsClone(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 400, FileSize: 60_000})
	// A client that has read the first bytes of a clone, and then rests.
	body := "0011command=fetch0001000fno-progress0032want " + b.Refs(t, mirror)["refs/heads/main"] + "\n0009done\n0000"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Remote(mirror)+"/git-upload-pack", strings.NewReader(body))
	require.NoError(t, err)
	r.SetBasicAuth("t", b.Token(t, mirror))
	r.Header.Set("Git-Protocol", "version=2")
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	first := make([]byte, 100)
	_, err = io.ReadFull(resp.Body, first)
	require.NoError(t, err)

	stopped := make(chan error, 1)
	go func() { stopped <- b.Shutdown(context.Background()) }()
	require.Eventually(t, func() bool {
		a := b.API(t, http.MethodGet, mirror, "", nil)
		return a.Status == http.StatusServiceUnavailable
	}, time.Minute, 5*time.Millisecond)
	select {
	case err := <-stopped:
		t.Fatalf("shut down while a clone runs: %v", err)
	default:
	}
	rest, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(rest), "0000"), "the pack came whole")
	require.NoError(t, <-stopped)
}

func TestServer_Shutdown_givesUpInTime(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	client := b.work(t)
	client.Commit("stuck")
	there, release := make(chan struct{}), make(chan struct{})
	b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, Before: func() { close(there); <-release }, Drop: true})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = client.Try("push", "--quiet", "origin", "HEAD:main") // whatever its answer is
	}()
	<-there
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, b.Shutdown(ctx), "did not finish in time")
	close(release)
	<-ended
}

func TestServer_Shutdown_withoutRun(t *testing.T) {
	t.Parallel()
	srv, err := server.New(t.Context(), servertest.ServerOptions(t, servertest.Options{Dir: t.TempDir()}))
	require.NoError(t, err)
	require.NoError(t, srv.Shutdown(t.Context()))
	require.NoError(t, srv.Shutdown(t.Context()))
}

// TestServer_Run_afterShutdown begins the background work when the store is closed
// already: nothing may be tried on it, and nothing is logged as an error.
func TestServer_Run_afterShutdown(t *testing.T) {
	t.Parallel()
	var log servertest.Log
	o := servertest.ServerOptions(t, servertest.Options{Dir: t.TempDir()})
	o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
	srv, err := server.New(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, srv.Shutdown(t.Context()))
	before := log.String()
	require.NoError(t, srv.Run(t.Context()))
	require.Equal(t, before, log.String())
}

// TestServer_Run_besideShutdown lets both begin at the same time, again and again:
// the race detector sees a count that goes up beside the wait for it.
func TestServer_Run_besideShutdown(t *testing.T) {
	t.Parallel()
	for range 20 {
		srv, err := server.New(t.Context(), servertest.ServerOptions(t, servertest.Options{Dir: t.TempDir()}))
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- srv.Run(context.Background()) }()
		require.NoError(t, srv.Shutdown(t.Context()))
		require.NoError(t, <-ended)
	}
}

// TestServer_relativeDirectory starts a server in a directory that is named
// relative to the current one.
func TestServer_relativeDirectory(t *testing.T) {
	t.Parallel()
	wd, err := os.Getwd()
	require.NoError(t, err)
	dir, err := filepath.Rel(wd, t.TempDir())
	require.NoError(t, err)
	s := servertest.Start(t, servertest.Options{Dir: dir})
	s.Create(t, "relative")
	client := s.WorkOf(t, "relative")
	head := client.Commit("first")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, head, s.Client(t, "relative").Clone(s.Remote("relative")).Head())
}

// TestServer_tokensOfDisabledKeys checks that a server notices soon when another
// process disables a key in its store.
func TestServer_tokensOfDisabledKeys(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.Start(t, servertest.Options{Clock: clock})
	s.Create(t, "r")
	token := s.TokenWith(t, access.Claims{Repo: "r", Scopes: []access.Scope{access.GitRead}})
	st := servertest.Store(t, s.Dir)
	keys, err := st.Keys(t.Context(), servertest.Org)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	_, err = s.ClientWith(t, token).Try("ls-remote", s.Remote("r"))
	require.NoError(t, err)
	require.NoError(t, st.DisableKey(t.Context(), servertest.Org, keys[0].ID, clock.Now()))
	clock.Advance(2 * time.Second) // keys are remembered for one
	out, err := s.ClientWith(t, token).Try("ls-remote", s.Remote("r"))
	require.Error(t, err, out)
}
