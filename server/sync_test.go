package server_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

func (b *bench) pullAndWait(t *testing.T) {
	t.Helper()
	b.PullAndWait(t, mirror)
}

// forgePush makes a change at the forge, past the server and past HTTP.
func (b *bench) forgePush(t *testing.T, client *servertest.Client, args ...string) {
	t.Helper()
	dir, err := b.forge.RepoDir(origin)
	require.NoError(t, err)
	client.Git(append([]string{"push", "--quiet", "--force", dir}, args...)...)
}

func TestInvariant07_convergesWithoutWebhooks(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 3, Tags: 2})
	other := b.direct(t)
	other.Git("fetch", "--quiet", "--tags")
	other.Git("reset", "--quiet", "--hard", "HEAD~2")
	other.Commit("rewritten")
	// No webhook tells of any of this: created, forced, deleted, moved tag.
	b.forgePush(t, other, "HEAD:main", "HEAD:refs/heads/deep/er/new", ":feature-2", "HEAD:refs/tags/v1", ":refs/tags/v2")
	b.pullAndWait(t)
	b.requireSame(t)
	a := b.Repository(t, mirror).Sync
	require.EqualValues(t, "ready", a.State)
	require.Equal(t, [3]int{1, 2, 2}, [3]int{a.LastRun.RefsCreated, a.LastRun.RefsUpdated, a.LastRun.RefsDeleted})
	require.Len(t, b.events(t), 5)
	require.Empty(t, b.Fsck(t, mirror))

	// One ref alone.
	other.Commit("main only")
	b.forgePush(t, other, "HEAD:main", "HEAD:left")
	_, err := b.REST(t, mirror).PullUpstream(t.Context(), mirror, rest.PullUpstreamRequest{Ref: new("main")})
	require.NoError(t, err)
	head := other.Head()
	require.Eventually(t, func() bool { return b.Refs(t, mirror)["refs/heads/main"] == head }, time.Minute, 25*time.Millisecond)
	require.NotContains(t, b.Refs(t, mirror), "refs/heads/left")
	b.pullAndWait(t)
	b.requireSame(t)
}

func TestInvariant09_readsWorkWithoutUpstream(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 1})
	client := b.work(t)
	before := b.Refs(t, mirror)
	require.NoError(t, b.forge.Close())

	require.Equal(t, before["refs/heads/main"], b.clone(t).Head())
	client.Git("fetch", "--quiet", "origin")
	require.Equal(t, before["refs/heads/main"], client.LsRemote("origin")["refs/heads/main"])
	require.EqualValues(t, "ready", b.Repository(t, mirror).Sync.State)

	b.pullAndWait(t)
	a := b.Repository(t, mirror).Sync
	require.EqualValues(t, "failing", a.State)
	require.EqualValues(t, "network", a.LastError.Class)
	require.NotNil(t, a.NextAttemptAt)
	require.NotNil(t, a.LastSuccessAt, "how old the copy is")

	// Reads still work while it says so; a push is refused, and moves nothing.
	b.clone(t)
	client.Commit("nowhere to go")
	out, err := client.Try("push", "origin", "HEAD:main")
	require.Error(t, err, out)
	require.Contains(t, out, "[remote rejected]")
	require.Equal(t, before, b.Refs(t, mirror))
	// What is local by nature needs no upstream.
	client.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), "HEAD:main")
}

func TestInvariant11_defaultBranchFollowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	other := b.direct(t)

	// Renamed: the new name exists, HEAD points at it, the old one is gone.
	b.forgePush(t, other, "HEAD:trunk")
	b.forge.Git(origin, "symbolic-ref", "HEAD", "refs/heads/trunk")
	b.forgePush(t, other, ":main")
	b.pullAndWait(t)
	b.requireSame(t)
	require.Equal(t, "trunk", b.Get(t, mirror).At("default_branch"))
	require.Equal(t, "trunk", b.clone(t).Git("branch", "--show-current"))

	// Pointed elsewhere, with no other change at all.
	b.forgePush(t, other, "HEAD:next")
	b.pullAndWait(t)
	b.forge.Git(origin, "symbolic-ref", "HEAD", "refs/heads/next")
	b.pullAndWait(t)
	require.Equal(t, "next", b.Get(t, mirror).At("default_branch"))
	require.Equal(t, "next", b.clone(t).Git("branch", "--show-current"))

	// Pointed at a branch that is not there: the old one stays.
	b.forge.Git(origin, "symbolic-ref", "HEAD", "refs/heads/unborn")
	b.pullAndWait(t)
	require.Equal(t, "next", b.Get(t, mirror).At("default_branch"))
	require.Equal(t, "next", b.clone(t).Git("branch", "--show-current"))
}

func TestInvariant12_pullRefsNeverAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 2, PullRefs: 20})
	client := b.work(t)
	client.Commit("a change")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	b.forgePush(t, client, "HEAD:refs/pull/21/head", "HEAD~1:refs/heads/other")
	b.pullAndWait(t)
	b.requireSame(t)
	for name := range b.Refs(t, mirror) {
		require.NotContains(t, name, "pull")
	}
	// A host lists everything to a push, whatever the client wants of it.
	for _, r := range b.forge.Requests() {
		if r.Kind == forgetest.KindListRefs || r.Kind == forgetest.KindDiscover {
			for _, name := range r.Listed {
				require.NotContains(t, name, "refs/pull", "%s %s", r.Kind, r.RefPrefixes)
			}
		}
		if r.Kind == forgetest.KindListRefs {
			require.NotEmpty(t, r.RefPrefixes, "a listing without prefixes lists everything")
			for _, prefix := range r.RefPrefixes {
				require.False(t, strings.HasPrefix("refs/pull/", prefix), prefix)
			}
		}
	}
	pushes := b.forge.Count(forgetest.KindPush, forgetest.KindPushDiscover)
	out, err := client.Try("push", "origin", "HEAD:refs/pull/1/head")
	require.Error(t, err, out)
	require.Equal(t, pushes, b.forge.Count(forgetest.KindPush, forgetest.KindPushDiscover), "the host is not even asked")
}

func TestInvariant13_branchBecomesFolder(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5})
	other := b.direct(t)
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		b.forgePush(t, other, ":"+from)
		b.forgePush(t, other, "HEAD:"+to, "HEAD:refs/tags/"+to)
		b.pullAndWait(t)
		require.Equal(t, "succeeded", b.Get(t, mirror).At("sync.last_run.outcome"), b.Get(t, mirror).Raw)
		b.requireSame(t)
	}
	b.forgePush(t, other, "HEAD:a", "HEAD:refs/tags/a")
	b.pullAndWait(t)
	b.forgePush(t, other, ":refs/tags/a")
	rename(t, "a", "a/b")
	b.forgePush(t, other, ":refs/tags/a/b")
	rename(t, "a/b", "a")

	// The same by a push through the server, in one go.
	client := b.work(t)
	client.Git("push", "--quiet", "origin", ":refs/heads/a", "HEAD:main")
	client.Git("push", "--quiet", "origin", "HEAD:x")
	// Git cannot do it in one transaction, so the upstream refuses that; then
	// nothing is half done here either.
	out, err := client.Try("push", "--atomic", "origin", ":x", "HEAD:x/y")
	require.Error(t, err, out)
	b.requireSame(t)
	client.Git("push", "--quiet", "origin", ":x", "HEAD:x/y")
	b.requireSame(t)
	require.NoError(t, b.Sync(t, mirror))
	b.requireSame(t)
	require.Empty(t, b.Fsck(t, mirror))
}

func TestInvariant14_recoversAlone(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	forge := newForge(t, forgetest.SeedOptions{Commits: 3})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}, Clock: clock})}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	other := b.direct(t)
	head := other.Commit("news")
	b.forgePush(t, other, "HEAD:main")

	failures, each := 150, 30
	if longtest.Long() {
		failures, each = 1000, 100
	}
	faults := []forgetest.Fault{
		{Status: 503}, {Status: 401, Body: "Unauthorized"}, {Status: 404, Body: "Repository not found"}, {Status: 429, RetryAfter: time.Hour}, {Drop: true},
	}
	b.Pull(t, mirror)
	id := b.Repo(t, mirror).ID
	for n := range failures {
		// Another reason now and then, each of them once at least.
		if n%each == 0 {
			b.forge.ClearFaults()
			b.forge.Inject(faults[n/each%len(faults)])
			if n > 0 {
				clock.Advance(8 * time.Hour)
			}
		}
		require.Eventually(t, func() bool {
			state, err := b.store.SyncState(t.Context(), id)
			require.NoError(t, err)
			if state.Failures > n {
				return true
			}
			clock.Advance(8 * time.Hour) // more than any class waits
			return false
		}, time.Minute, time.Millisecond, "after %d failures", n)
	}
	b.forge.ClearFaults()
	require.Eventually(t, func() bool {
		clock.Advance(8 * time.Hour)
		return b.Refs(t, mirror)["refs/heads/main"] == head
	}, time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		status := b.Status(t, mirror)
		return status.Failures == 0 && status.LastError == "" && !status.Running
	}, time.Minute, 5*time.Millisecond)
	b.requireSame(t)
}

func TestInvariant16_rotationDuringFirstMirror(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 200, Branches: 20, Tags: 10})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}})}
	secret := b.Link(t, mirror, forge, origin)
	rotated := make(chan struct{})
	var fetches atomic.Int32
	forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Before: func() {
		if fetches.Add(1) != 2 {
			return // the first step has begun, with the old credential
		}
		defer close(rotated)
		r, err := b.REST(t, mirror).GetRepository(t.Context(), mirror)
		if err == nil {
			_, err = b.REST(t, mirror).UpdateCredential(t.Context(), mirror, r.Credential.ID, rest.UpdateCredentialRequest{Password: forge.Token()})
		}
		if err != nil {
			t.Error(err)
		}
		forge.RevokeToken(secret)
	}})
	b.Pull(t, mirror)
	b.WaitReady(t, mirror)
	<-rotated
	b.requireSame(t)
	runs := b.Runs(t, mirror)
	require.Len(t, runs, 1, "no failed run in between")
	require.Equal(t, "succeeded", runs[0].Outcome)
	require.Zero(t, b.Status(t, mirror).Failures)
}

func TestInvariant18_requestsFold(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	runs := len(b.Runs(t, mirror))
	begun, release := make(chan struct{}, 1000), make(chan struct{})
	var now, most atomic.Int32
	b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindDiscover}, Before: func() {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		begun <- struct{}{}
		<-release
		now.Add(-1)
	}})
	b.Pull(t, mirror)
	<-begun // one run is at the upstream

	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if a := b.API(t, http.MethodPost, mirror, "/pull-upstream", nil); a.Status != http.StatusAccepted {
				t.Error(a.Raw)
			}
		})
	}
	all.Wait()
	close(release)
	require.NoError(t, b.Sync(t, mirror)) // asks itself, and folds in or comes after
	got := len(b.Runs(t, mirror)) - runs
	require.LessOrEqual(t, got, 3, "one running, one for the 200 that waited, at most one for this wait")
	require.GreaterOrEqual(t, got, 2, "those who asked during a run need one that began afterwards")
	require.EqualValues(t, 1, most.Load(), "never two at once")
}

// flip is a resolver whose answers a test changes.
type flip struct {
	mu    sync.Mutex
	addrs []netip.Addr
	asked int
}

func (f *flip) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.addrs, nil
}

func (f *flip) set(addrs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addrs = nil
	for _, a := range addrs {
		f.addrs = append(f.addrs, netip.MustParseAddr(a))
	}
}

func TestInvariant19_nothingLeadsInside(t *testing.T) {
	t.Parallel()
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, forgetest.SeedOptions{Commits: 3})
		var reached atomic.Int32
		inside := http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }), ReadHeaderTimeout: time.Minute}
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- inside.Serve(l) }()
		t.Cleanup(func() { require.NoError(t, inside.Close()); <-served })

		client := b.work(t)
		client.Commit("x")
		b.forge.RedirectRepo(origin, "http://"+l.Addr().String()+"/latest/meta-data")
		before := b.Refs(t, mirror)
		b.pullAndWait(t)
		a := b.Repository(t, mirror).Sync
		require.EqualValues(t, "failing", a.State)
		require.EqualValues(t, "moved", a.LastError.Class)
		out, err := client.Try("push", "origin", "HEAD:main")
		require.Error(t, err, out)
		require.Equal(t, before, b.Refs(t, mirror))
		require.Zero(t, reached.Load(), "the redirect was followed")
	})

	t.Run("name that turns inward", func(t *testing.T) {
		t.Parallel()
		forge := newForge(t, forgetest.SeedOptions{Commits: 3})
		_, port, err := net.SplitHostPort(forge.Host())
		require.NoError(t, err)
		host := "git.example.org:" + port
		dns := &flip{}
		b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{
			Resolver: dns, Hosts: []string{fmt.Sprintf("  host %q {\n    scheme = \"http\"\n  }\n", host)},
		})}
		dns.set("127.0.0.1")
		base := servertest.Base("gitea", host, origin)
		_, err = b.REST(t, "x").CreateRepository(t.Context(), nil, rest.CreateRepositoryRequest{BaseRepo: &base})
		require.Contains(t, servertest.RequireRefused(t, http.StatusBadRequest, err).Message, "loopback")

		// Harmless when the repository is made, inside when it is contacted.
		dns.set("140.82.121.3")
		b.LinkAs(t, mirror, host, origin)
		for _, addrs := range [][]string{{"127.0.0.1"}, {"140.82.121.3", "127.0.0.1"}, {"::ffff:127.0.0.1"}, {"169.254.169.254"}, {"10.0.0.1"}, {"::1"}} {
			dns.set(addrs...)
			b.pullAndWait(t)
			require.EqualValues(t, "refused", b.Repository(t, mirror).Sync.LastError.Class)
		}
		require.Zero(t, forge.Count(), "the forge on the loopback address was contacted")
	})

	t.Run("pinned to the checked address", func(t *testing.T) {
		t.Parallel()
		forge := newForge(t, forgetest.SeedOptions{Commits: 3})
		_, port, err := net.SplitHostPort(forge.Host())
		require.NoError(t, err)
		// No resolver but ours knows this name: git gets there by the pin.
		host := "git.example.invalid:" + port
		dns := &flip{}
		dns.set("127.0.0.1")
		b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{
			Resolver: dns, Hosts: []string{fmt.Sprintf("  host %q {\n    scheme        = \"http\"\n    allow_private = true\n  }\n", host)},
		})}
		b.LinkAs(t, mirror, host, origin)
		b.StoreCredential(t, mirror, forge)
		b.pullAndWait(t)
		b.requireSame(t)
		client := b.work(t)
		client.Commit("pinned")
		client.Git("push", "--quiet", "origin", "HEAD:main")
		b.requireSame(t)
		// Even where private addresses are allowed, metadata services are not.
		dns.set("169.254.169.254")
		b.pullAndWait(t)
		require.EqualValues(t, "refused", b.Repository(t, mirror).Sync.LastError.Class)
		require.Greater(t, dns.asked, 3, "every contact resolves anew")
	})
}

func TestInvariant22_errorsTellClassAndSentence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault forgetest.Fault
		class string
		text  string
	}{
		"credential refused": {forgetest.Fault{Status: 401, Body: "token has expired, see settings ", Echo: true}, "auth", "token has expired"},
		"no permission":      {forgetest.Fault{Status: 403, Body: "organisation requires single sign-on ", Echo: true}, "auth", "single sign-on"},
		"gone":               {forgetest.Fault{Status: 404, Body: "Repository not found ", Echo: true}, "not_found", "Repository not found"},
		"rate limit":         {forgetest.Fault{Status: 429, Body: "slow down please ", RetryAfter: 90 * time.Second, Echo: true}, "rate_limited", "slow down please"},
		"broken":             {forgetest.Fault{Status: 500, Body: "unicorn ", Echo: true}, "unavailable", "unicorn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, forgetest.SeedOptions{Commits: 2})
			client := b.work(t)
			client.Commit("x")
			b.forge.Inject(tt.fault)
			b.pullAndWait(t)
			a := b.Get(t, mirror)
			require.Equal(t, "failing", a.At("sync.state"))
			require.Equal(t, tt.class, a.At("sync.last_error.class"), a.Raw)
			require.Equal(t, tt.class, a.At("sync.last_run.class"))
			require.Contains(t, a.At("sync.last_error.message"), tt.text)
			require.Contains(t, a.At("sync.last_run.error"), tt.text)
			out, err := client.Try("push", "origin", "HEAD:main")
			require.Error(t, err)
			for _, secret := range b.forge.Echoed() {
				require.NotContains(t, a.Raw, secret)
				require.NotContains(t, out, secret)
				require.NotContains(t, b.Log.String(), secret)
			}
		})
	}
}

func TestInvariant23_eventMeansReadable(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	client, other := b.work(t), b.direct(t)
	id := b.Repo(t, mirror).ID
	git := filepath.Join(b.Engine().Services().Repos.Path(id))
	pushes := servertest.Rounds(4, 8, 60)
	done := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		for n := range pushes {
			if out, err := client.Try("push", "--quiet", "origin", fmt.Sprintf("HEAD:refs/heads/push-%d", n)); err != nil {
				t.Error(out)
			}
		}
	})
	writers.Go(func() {
		dir, _ := b.forge.RepoDir(origin)
		for n := range pushes {
			if out, err := other.Try("push", "--quiet", dir, fmt.Sprintf("HEAD:refs/heads/sync-%d", n)); err != nil {
				t.Error(out)
			}
			if err := b.SyncID(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	})
	go func() { writers.Wait(); close(done) }()
	reader := b.ClientWith(t, b.TokenWith(t, access.Claims{Repo: mirror, Scopes: []access.Scope{access.GitRead}}))
	var last int64
	seen := 0
	for stop := false; !stop; {
		select {
		case <-done:
			stop = true // one more look, at what came last
		default:
		}
		events, err := b.store.Events(t.Context(), last, 1000)
		require.NoError(t, err)
		if len(events) == 0 && !stop {
			time.Sleep(time.Millisecond) // looking without a rest takes a processor from git
		}
		for _, e := range events {
			last = e.Seq
			if e.Type != "push" {
				continue
			}
			seen++
			refs := reader.LsRemote(b.Remote(mirror), e.Ref)
			require.Contains(t, string(e.Payload), `"after":"`+refs[e.Ref]+`"`, "%s has an event before it is readable in %s", e.Ref, git)
		}
	}
	require.Equal(t, 2*pushes, seen)
}
