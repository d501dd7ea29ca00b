package server_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// bench is a server with one mirror of one repository of a forge.
type bench struct {
	*servertest.Server
	forge *forgetest.TestForge
	store core.Store
}

// The names of the bench's repository, here and at the forge.
const (
	mirror = "team/mirror"
	origin = "acme/widget"
)

func newForge(t *testing.T, seed forgetest.SeedOptions) *forgetest.TestForge {
	t.Helper()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo(origin, true)
	forge.Seed(origin, seed)
	return forge
}

func newBench(t *testing.T, seed forgetest.SeedOptions) *bench {
	t.Helper()
	return startBench(t, seed, servertest.Options{})
}

func startBench(t *testing.T, seed forgetest.SeedOptions, o servertest.Options) *bench {
	t.Helper()
	forge := newForge(t, seed)
	o.Forges = []*forgetest.TestForge{forge}
	b := &bench{forge: forge, Server: servertest.Start(t, o)}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	return b
}

// settled waits until nothing is open any more of what the upstream did not
// answer for.
func (b *bench) settled(t *testing.T) {
	t.Helper()
	settled(t, b.Dir)
	require.Eventually(t, func() bool { return b.Get(t, mirror).At("sync.unconfirmed") == nil }, time.Minute, 20*time.Millisecond)
}

// clone clones the mirror.
func (b *bench) clone(t *testing.T) *servertest.Client {
	t.Helper()
	return b.Client(t, mirror).Clone(b.Remote(mirror))
}

// direct returns a working tree of the forge's repository, past the server.
func (b *bench) direct(t *testing.T) *servertest.Client {
	t.Helper()
	return b.WorkAtHost(t, b.forge, origin)
}

// work returns a working tree of the mirror, to push from. What a clone gets is
// another matter, see [bench.clone].
func (b *bench) work(t *testing.T) *servertest.Client {
	t.Helper()
	return b.WorkOf(t, mirror)
}

// events returns the push events of the mirror.
func (b *bench) events(t *testing.T) []core.Event {
	t.Helper()
	all, err := b.store.Events(t.Context(), 0, 100_000)
	require.NoError(t, err)
	var own []core.Event
	id := b.Repo(t, mirror).ID
	for _, e := range all {
		if e.RepoID == id && e.Type == "push" {
			own = append(own, e)
		}
	}
	return own
}

// state is everything that a refused push must leave as it is.
type state struct {
	Here, There map[string]string
	Events      int
}

func (b *bench) state(t *testing.T) state {
	t.Helper()
	return state{Here: b.Refs(t, mirror), There: b.forge.Refs(origin), Events: len(b.events(t))}
}

// requireSame checks that the mirror's branches and tags, and its tracking
// refs, are what the forge has.
func (b *bench) requireSame(t *testing.T) {
	t.Helper()
	requireMirrors(t, b.forge.Refs(origin), b.Refs(t, mirror))
}

func requireMirrors(t *testing.T, there, here map[string]string) {
	t.Helper()
	want, public, tracking := map[string]string{}, map[string]string{}, map[string]string{}
	for name, id := range there {
		if core.UpstreamOwned(core.Default, name) {
			want[name] = id
		}
	}
	for name, id := range here {
		if short, ok := strings.CutPrefix(name, core.TrackingPrefix); ok {
			tracking["refs/"+short] = id
		} else if core.UpstreamOwned(core.Default, name) {
			public[name] = id
		}
	}
	require.Empty(t, cmp.Diff(want, public), "public refs (-upstream +here)")
	require.Empty(t, cmp.Diff(want, tracking), "tracking refs (-upstream +here)")
}

func TestInvariant01_okMeansVisible(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	writers, pushes := 4, servertest.Rounds(3, 6, 300)
	var all sync.WaitGroup
	failed := make(chan error, writers)
	for w := range writers {
		client := b.work(t)
		var heads []string
		for n := range pushes {
			heads = append(heads, client.Commit(fmt.Sprint(w, n)))
		}
		all.Go(func() {
			ref := fmt.Sprintf("refs/heads/writer-%d", w)
			for n, head := range heads {
				if out, err := client.Try("push", "--quiet", "origin", head+":"+ref); err != nil {
					failed <- fmt.Errorf("push %d: %w: %s", n, err, out)
					return
				}
				listed, err := client.Try("ls-remote", "origin", ref)
				there, forgeErr := b.forge.Forge.Ref(origin, ref)
				if err != nil || forgeErr != nil || listed != head+"\t"+ref+"\n" || there != head {
					failed <- fmt.Errorf("push %d of %s: here %q (%w), there %q (%w)", n, head, listed, err, there, forgeErr)
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	b.requireSame(t)
	require.Len(t, b.events(t), writers*pushes)
}

func TestInvariant02_refusedMovesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3, Branches: 2, Tags: 1})
	b.forge.Protect(origin, "refs/heads/main")
	b.forge.Refuse(origin, forgetest.Refusal{Pattern: "refs/heads/locked*", Reason: "branch is frozen for the release", Message: []string{"ask the release team"}})
	client := b.work(t)
	client.Commit("unwanted")
	denied := b.ClientWith(t, b.TokenWith(t, access.Claims{
		Repo: mirror, Scopes: access.Scopes(), Refs: []access.RefOps{{Pattern: "refs/heads/*", Ops: []access.Op{"no-push"}}, {Pattern: "*", Ops: []access.Op{"no-push"}}},
	})).Clone(b.Remote(mirror))
	denied.Commit("unwanted, too")
	before := b.state(t)

	for name, tt := range map[string]struct {
		client *servertest.Client
		args   []string
		says   []string
	}{
		"protected branch": {client, []string{"HEAD:main"}, []string{"remote: error: Not allowed to push to protected branch main", "[remote rejected]"}},
		"the host's rule":  {client, []string{"HEAD:locked-1"}, []string{"remote: ask the release team", "branch is frozen for the release"}},
		"delete protected": {client, []string{":main"}, []string{"remote: error: branch main is protected from deletion", "[remote rejected]"}},
		"atomic with one refused": {client, []string{"--atomic", "HEAD:fine", "HEAD:locked-2", "HEAD:refs/notes/atomic"},
			[]string{"[remote rejected]", "branch is frozen for the release"}},
		"token policy":     {denied, []string{"HEAD:main", "HEAD:other"}, []string{"denied by policy"}},
		"internal ref":     {client, []string{"HEAD:refs/internal/upstream/heads/main"}, []string{"this ref is internal to the server"}},
		"ephemeral ref":    {client, []string{"HEAD:refs/namespaces/ephemeral/refs/heads/x"}, []string{"this ref is internal to the server"}},
		"pull request ref": {client, []string{"HEAD:refs/pull/1/head"}, []string{"[remote rejected]", "refs/pull"}},
		"name conflict":    {client, []string{"HEAD:main/sub"}, []string{"conflicts with another ref"}},
		"tag onto a blob":  {client, []string{"HEAD:refs/heads/feature-1/x", "--atomic"}, []string{"conflicts with another ref"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := tt.client.Try(append([]string{"push", "origin"}, tt.args...)...)
			require.Error(t, err, out)
			for _, text := range tt.says {
				require.Contains(t, out, text)
			}
			require.Empty(t, cmp.Diff(before, b.state(t)), "(-before +after)\n%s", out)
		})
	}

	// Not atomic: what is not refused goes through, and only that.
	out, err := client.Try("push", "origin", "HEAD:fine", "HEAD:locked-3", "HEAD:refs/notes/kept")
	require.Error(t, err)
	require.Contains(t, out, "[new branch]")
	want := before
	want.Here, want.There = maps.Clone(before.Here), maps.Clone(before.There)
	head := client.Head()
	want.There["refs/heads/fine"] = head
	for _, ref := range []string{"refs/heads/fine", "refs/internal/upstream/heads/fine", "refs/notes/kept"} {
		want.Here[ref] = head
	}
	want.Events += 2
	require.Empty(t, cmp.Diff(want, b.state(t)), "(-want +got)\n%s", out)
}

func TestInvariant03_lostReplyIsAsked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault forgetest.Fault
		moved bool
		says  string
	}{
		"after the upstream applied":  {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, DropReply: true, Times: 1}, true, "did not confirm"},
		"before the upstream applied": {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, Drop: true, Times: 1}, false, "outcome unknown"},
		"gateway error":               {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, Status: 502, Times: 1}, false, "outcome unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, forgetest.SeedOptions{Commits: 3, Branches: 1})
			client := b.work(t)
			head := client.Commit("lost")
			before := b.state(t)
			b.forge.Inject(tt.fault)
			out, err := client.Try("push", "origin", "HEAD:main", "HEAD:new", ":feature-1")
			require.Contains(t, out, tt.says)
			if !tt.moved {
				require.Error(t, err, out)
				b.settled(t)
				require.NoError(t, b.Sync(t, mirror))
				after := b.state(t)
				require.Empty(t, cmp.Diff(before, after), out)
				// Once it is known that nothing happened, the same push works.
				client.Git("push", "--quiet", "origin", "HEAD:main")
			} else {
				require.NoError(t, err, out)
				require.Len(t, b.events(t), before.Events+3)
			}
			require.Equal(t, head, client.LsRemote("origin")["refs/heads/main"])
			require.Equal(t, head, b.forge.Ref(origin, "refs/heads/main"))
			b.requireSame(t)
		})
	}

	t.Run("nobody to ask", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, forgetest.SeedOptions{Commits: 3})
		client := b.work(t)
		head := client.Commit("lost")
		// The push is applied, and from then on the forge is not reachable.
		b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, DropReply: true, Times: 1, Before: func() {
			b.forge.Inject(forgetest.Fault{Drop: true})
		}})
		out, err := client.Try("push", "origin", "HEAD:main")
		require.Error(t, err)
		require.Contains(t, out, "outcome unknown", "neither yes nor no would be true")
		b.forge.ClearFaults()
		b.settled(t)
		require.NoError(t, b.Sync(t, mirror))
		require.Equal(t, head, client.LsRemote("origin")["refs/heads/main"])
		b.requireSame(t)
		require.Len(t, b.events(t), 1)
	})
}

// An upstream that takes the push and answers half a report, and cannot be asked
// either: the client is shown that, nobody calls the copy ready, and nothing but one
// question at a time goes to the host until it is known.
func TestInvariant03_unconfirmedIsNotReady(t *testing.T) {
	t.Parallel()
	// Without polls: one that meets the host away is a run that failed.
	b := startBench(t, forgetest.SeedOptions{Commits: 3}, servertest.Options{
		Stall: 3 * time.Second, SettlePeriod: 2 * time.Second, Hosts: []string{"  poll = \"off\"\n"},
	})
	client := b.clone(t)
	head := client.Commit("lost")
	b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, HalfReply: true, Times: 1, Before: func() {
		b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindDiscover, forgetest.KindListRefs}, Status: 503})
	}})
	runs := b.Repository(t, mirror).Sync.Runs
	out, err := client.Try("push", "origin", "HEAD:main")
	require.Error(t, err)
	require.Contains(t, out, "outcome unknown")
	got := b.Repository(t, mirror)
	require.EqualValues(t, "unconfirmed", got.Sync.State)
	require.Equal(t, []string{"refs/heads/main"}, got.Sync.Unconfirmed)
	out, err = client.Try("push", "origin", "HEAD:main")
	require.Error(t, err)
	require.Contains(t, out, "not known yet")
	require.EqualValues(t, runs, b.Repository(t, mirror).Sync.Runs, "no run for it")
	b.forge.ClearFaults()
	require.Eventually(t, func() bool { return b.Repository(t, mirror).Sync.State == "ready" }, time.Minute, 20*time.Millisecond)
	require.Equal(t, head, client.LsRemote("origin")["refs/heads/main"])
	b.requireSame(t)
	require.Len(t, b.events(t), 1)
}

func TestInvariant04_staleNeverOverwrites(t *testing.T) {
	t.Parallel()

	t.Run("another writer between advertisement and push", func(t *testing.T) {
		t.Parallel()
		for name, args := range map[string][]string{
			"fast forward": {"HEAD:main"},
			"forced":       {"--force", "HEAD:main"},
			"delete":       {":feature-1"},
			"create":       {"HEAD:fresh"},
			"moved tag":    {"--force", "HEAD:refs/tags/v1"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, forgetest.SeedOptions{Commits: 3, Branches: 1, Tags: 1})
				client, other := b.work(t), b.direct(t)
				client.Git("commit", "--quiet", "--amend", "--allow-empty", "-m", "mine")
				theirs := other.Commit("theirs")
				if name == "fast forward" {
					client.Git("reset", "--quiet", "--hard", "origin/main")
					client.Commit("mine")
				}
				b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Times: 1, Before: func() {
					// Past HTTP: a push over it would meet the fault, too.
					dir, err := b.forge.RepoDir(origin)
					if err == nil {
						_, err = other.Try("push", "--quiet", "--force", dir, "HEAD:main", "HEAD:feature-1", "HEAD:fresh", "HEAD:refs/tags/v1")
					}
					if err != nil {
						t.Error(err)
					}
				}})
				out, err := client.Try(append([]string{"push", "origin"}, args...)...)
				require.Error(t, err, out)
				require.Contains(t, out, "fetch first")
				for _, ref := range []string{"refs/heads/main", "refs/heads/feature-1", "refs/heads/fresh", "refs/tags/v1"} {
					require.Equal(t, theirs, b.forge.Ref(origin, ref), ref)
				}
				require.NoError(t, b.Sync(t, mirror))
				b.requireSame(t)
			})
		}
	})

	t.Run("races", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, forgetest.SeedOptions{Commits: 2})
		rounds := 8
		if longtest.Long() {
			rounds = 100
		}
		clients := []*servertest.Client{b.work(t), b.work(t), b.direct(t)}
		accepted := make([][]string, len(clients))
		var all sync.WaitGroup
		for i, c := range clients {
			all.Go(func() {
				for n := range rounds {
					for range 20 {
						if _, err := c.Try("fetch", "--quiet", "origin"); err != nil {
							continue
						}
						_, _ = c.Try("reset", "--quiet", "--hard", "origin/main") // always works after a fetch
						_, _ = c.Try("commit", "--quiet", "--allow-empty", "-m", fmt.Sprint(i, n))
						if _, err := c.Try("push", "--quiet", "origin", "HEAD:main"); err == nil {
							head, _ := c.Try("rev-parse", "HEAD")
							accepted[i] = append(accepted[i], strings.TrimSpace(head))
							break
						}
					}
				}
			})
		}
		all.Wait()
		history := b.forge.Git(origin, "rev-list", "refs/heads/main")
		for i, ids := range accepted {
			require.NotEmpty(t, ids, "writer %d never got through", i)
			for _, id := range ids {
				require.Contains(t, history, id, "writer %d got ok, and its commit is gone", i)
			}
		}
		require.NoError(t, b.Sync(t, mirror))
		b.requireSame(t)
	})
}

func TestInvariant05_ownPushIsNoNews(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3, Branches: 1})
	client := b.work(t)
	client.Commit("own")
	client.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/tags/own", ":feature-1", "HEAD:refs/notes/local")
	before := b.events(t)
	require.Len(t, before, 4)

	// What the push's webhook will cause, for now asked for explicitly.
	b.forge.ForgetRequests()
	for range 3 {
		require.NoError(t, b.Sync(t, mirror))
		require.Equal(t, "unchanged", b.Runs(t, mirror)[0].Outcome)
	}
	require.Zero(t, b.forge.Count(forgetest.KindFetch), "nothing is fetched")
	require.Empty(t, cmp.Diff(before, b.events(t)), "no event comes twice")
}

func TestInvariant20_ephemeralStaysHere(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	client := b.work(t)
	head := client.Commit("draft")
	client.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), "HEAD:main", "HEAD:draft")
	client.Git("push", "--quiet", "origin", "HEAD:refs/notes/local")
	before := b.forge.Refs(origin)

	// Never upstream, not by a later sync or push either.
	client.Git("push", "--quiet", "origin", "HEAD~1:refs/heads/other")
	require.NoError(t, b.Sync(t, mirror))
	for _, r := range b.forge.Requests() {
		for _, u := range r.Updates {
			require.Equal(t, "refs/heads/other", u.Name, "pushed upstream")
		}
	}
	_, err := b.forge.Forge.Git(origin, "cat-file", "-e", head)
	require.Error(t, err, "the draft's commit must not be at the upstream")
	require.Equal(t, before["refs/heads/main"], b.forge.Ref(origin, "refs/heads/main"))

	// Never advertised, in any protocol, to readers and writers.
	for _, version := range []string{"0", "1", "2"} {
		client.Configure(map[string]string{"protocol.version": version})
		for name := range client.LsRemote("origin") {
			require.NotContains(t, name, "ephemeral", "version %s", version)
			require.NotContains(t, name, "internal", "version %s", version)
			require.NotContains(t, name, "draft", "version %s", version)
		}
		seen := client.LsRemote(b.Remote(mirror + "+ephemeral"))
		delete(seen, "HEAD")
		require.Equal(t, map[string]string{"refs/heads/main": head, "refs/heads/draft": head}, seen, "version %s", version)
	}
	body := b.advertisement(t, mirror, "git-receive-pack")
	require.Contains(t, body, "refs/heads/main")
	for _, text := range []string{"internal", "ephemeral", "draft", ".have"} {
		require.NotContains(t, body, text)
	}
	body = b.advertisement(t, mirror+"+ephemeral", "git-receive-pack")
	require.Contains(t, body, "refs/heads/draft")
	for _, text := range []string{"internal", "refs/notes", "refs/heads/other"} {
		require.NotContains(t, body, text)
	}
	// The branches that everybody sees may be offered as a base for the pack.
	public := b.Refs(t, mirror)
	for line := range strings.Lines(body) {
		if before, _, found := strings.Cut(line, " .have"); found {
			require.Equal(t, public["refs/heads/other"], before[len(before)-40:])
		}
	}
	require.NotContains(t, b.advertisement(t, mirror+"+import", "git-receive-pack"), "refs/heads", "refused on a synced repository")

	// A full mirror of everything that is advertised has none of it.
	outsider := b.Client(t, mirror)
	outsider.Git("clone", "--quiet", "--mirror", b.Remote(mirror), "work")
	require.NotContains(t, outsider.Git("-C", "work", "for-each-ref"), "draft")
}
