package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// newAppBench follows a repository at GitHub through the App, by its webhook
// alone.
func newAppBench(t *testing.T) *bench {
	t.Helper()
	d := githubCase()
	b := d.start(t, servertest.Options{})
	b.forge.CreateRepo("acme/other", true)
	d.follow(t, b)
	return b
}

// requireReads checks that the copy is served, as it was.
func (b *bench) requireReads(t *testing.T, want map[string]string) {
	t.Helper()
	require.Equal(t, want["refs/heads/main"], b.clone(t).Head())
	require.Equal(t, public(want), public(b.Refs(t, mirror)))
}

// requireFollowed checks that pushes go both ways, by webhook alone.
func (b *bench) requireFollowed(t *testing.T, path string) {
	t.Helper()
	other := b.WorkAtHost(t, b.forge, path)
	id := other.Commit("at the host " + path + time.Now().String())
	b.hostPush(t, other, "HEAD:main")
	b.awaitRef(t, "refs/heads/main", id)
	b.settle(t)
	work := b.work(t)
	id = work.Commit("through the server " + path + time.Now().String())
	work.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, id, b.forge.Ref(path, "refs/heads/main"))
	b.settle(t)
	requireMirrors(t, b.forge.Refs(path), b.Refs(t, mirror))
}

func TestGitHubApp_mirrorsAndPushesThrough(t *testing.T) {
	t.Parallel()
	b := newAppBench(t)
	b.requireReads(t, b.forge.Refs(origin))
	b.requireFollowed(t, origin)
	require.Equal(t, "none", b.Get(t, mirror).At("sync.webhook.state"))
	require.Contains(t, b.Repository(t, mirror).Sync.Webhook.Message, "App")
	require.NotEmpty(t, b.Repository(t, mirror).Sync.Webhook.LastDeliveryAt)
	require.Empty(t, b.forge.Webhooks(origin), "the App has its own")

	// Whatever was asked for, no token opens more than the one repository, and
	// what reads does not write.
	tokens := b.forge.InstallationTokens()
	writes := 0
	for _, token := range tokens {
		require.Equal(t, []string{origin}, token.Repos)
		if !token.ReadOnly {
			writes++
		}
	}
	require.Equal(t, 1, writes, "one for all pushes of the hour")
	require.Greater(t, len(tokens), writes)
}

// TestGitHubApp_grantStates: each way in which the App loses the repository
// is a state of its own, announced once; what is here is served all the while, and
// after the webhook about its end the repository is followed again.
func TestGitHubApp_grantStates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lose  func(f *forgetest.TestForge)
		back  func(f *forgetest.TestForge)
		state string
		words string
	}{
		"suspended": {
			func(f *forgetest.TestForge) { f.SuspendInstallation("acme", true) },
			func(f *forgetest.TestForge) { f.SuspendInstallation("acme", false) },
			"suspended", "suspended",
		},
		"removed from the installation": {
			func(f *forgetest.TestForge) { f.SelectRepositories("acme", "acme/other") },
			func(f *forgetest.TestForge) { f.SelectRepositories("acme", "acme/other", origin) },
			"revoked", "does not include",
		},
		"uninstalled": {
			func(f *forgetest.TestForge) { f.Uninstall("acme") },
			func(f *forgetest.TestForge) { f.Install("acme") },
			"revoked", "install",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newAppBench(t)
			b.requireFollowed(t, origin)
			before := b.Refs(t, mirror)
			c.lose(b.forge)
			a := b.awaitUpstream(t, c.state)
			require.EqualValues(t, "failing", a.State)
			require.Contains(t, a.LastError.Message, c.words)
			require.NotNil(t, a.UpstreamSince)
			e := b.awaitEvent(t, core.EventUpstreamUnavailable, 1)
			require.Equal(t, c.state, e.At("state"), e.Raw)
			require.Contains(t, e.At("message"), c.words)
			b.requireReads(t, before)
			work := b.work(t)
			work.Commit("nowhere to go")
			out, err := work.Try("push", "origin", "HEAD:main")
			require.Error(t, err)
			require.Contains(t, out, c.words, "the client is shown why")
			require.Equal(t, public(before), public(b.Refs(t, mirror)))

			// Pushed past us meanwhile: of this, no webhook tells.
			other := b.WorkAtHost(t, b.forge, origin)
			id := other.Commit("while it was " + name)
			dir, err := b.forge.RepoDir(origin)
			require.NoError(t, err)
			other.Git("push", "--quiet", dir, "HEAD:main")
			c.back(b.forge)
			b.awaitRef(t, "refs/heads/main", id)
			b.awaitUpstream(t, "active")
			require.Equal(t, c.state, b.awaitEvent(t, core.EventUpstreamRecovered, 1).At("state"))
			b.requireFollowed(t, origin)
			require.Len(t, b.eventsOf(t, core.EventUpstreamUnavailable), 1)
		})
	}
}

// TestGitHubApp_lifeOfTheRepository: renames and transfers are followed,
// visibility changes nothing for an App, and what is archived or deleted says so.
func TestGitHubApp_lifeOfTheRepository(t *testing.T) {
	t.Parallel()
	t.Run("renamed", func(t *testing.T) {
		t.Parallel()
		b := newAppBench(t)
		b.forge.RenameRepo(origin, "acme/gadget")
		e := b.awaitEvent(t, core.EventUpstreamMoved, 1)
		require.Equal(t, "widget", e.At("old.name"))
		require.Equal(t, "gadget", e.At("new.name"))
		b.settle(t)
		b.requireFollowed(t, "acme/gadget")
		require.Len(t, b.eventsOf(t, core.EventUpstreamMoved), 1)
		require.Empty(t, b.eventsOf(t, core.EventUpstreamUnavailable))
	})
	t.Run("transferred", func(t *testing.T) {
		t.Parallel()
		b := newAppBench(t)
		b.forge.CreateRepo("zenith/tools", true) // the App is there, too
		b.forge.RenameRepo(origin, "zenith/widget")
		e := b.awaitEvent(t, core.EventUpstreamMoved, 1)
		require.Equal(t, "acme", e.At("old.owner"))
		require.Equal(t, "zenith", e.At("new.owner"))
		require.Equal(t, b.forge.CloneURL("zenith/widget"), e.At("new.url"))
		b.settle(t)
		require.Equal(t, "zenith", b.Repository(t, mirror).BaseRepo.Owner)
		b.requireFollowed(t, "zenith/widget")
		require.Empty(t, b.eventsOf(t, core.EventUpstreamUnavailable))
	})
	t.Run("transferred to where the App is not", func(t *testing.T) {
		t.Parallel()
		b := newAppBench(t)
		before := b.Refs(t, mirror)
		b.forge.RenameRepo(origin, "stranger/widget") // and nobody tells us
		b.forge.Settle()
		b.Pull(t, mirror)
		require.Eventually(t, func() bool { return b.Repository(t, mirror).Sync.State == "failing" }, time.Minute, 25*time.Millisecond)
		state := b.Repository(t, mirror).Sync.UpstreamState
		require.Contains(t, []string{"revoked", "deleted"}, string(state))
		b.requireReads(t, before)
		b.forge.Install("stranger") // its webhook names the repository by its id
		b.awaitUpstream(t, "active")
		b.awaitEvent(t, core.EventUpstreamMoved, 1)
		b.requireFollowed(t, "stranger/widget")
	})
	t.Run("made public and private", func(t *testing.T) {
		t.Parallel()
		b := newAppBench(t)
		for _, private := range []bool{false, true} {
			require.NoError(t, b.forge.SetPrivate(origin, private))
			b.settle(t)
			require.EqualValues(t, "active", b.Repository(t, mirror).Sync.UpstreamState)
			b.requireFollowed(t, origin)
		}
		require.Empty(t, b.eventsOf(t, core.EventUpstreamUnavailable))
	})
	t.Run("archived", func(t *testing.T) {
		t.Parallel()
		b := newAppBench(t)
		require.NoError(t, b.forge.SetArchived(origin, true))
		b.awaitUpstream(t, "archived")
		require.EqualValues(t, "ready", b.Repository(t, mirror).Sync.State, "it can be read")
		require.Equal(t, "archived", b.awaitEvent(t, core.EventUpstreamUnavailable, 1).At("state"))
		work := b.work(t)
		work.Commit("too late")
		out, err := work.Try("push", "origin", "HEAD:main")
		require.Error(t, err)
		require.Contains(t, out, "archived")
		b.requireReads(t, b.forge.Refs(origin))
		require.NoError(t, b.forge.SetArchived(origin, false))
		b.awaitUpstream(t, "active")
		b.requireFollowed(t, origin)
		b.awaitEvent(t, core.EventUpstreamRecovered, 1)
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		b := newAppBench(t)
		before := b.Refs(t, mirror)
		require.NoError(t, b.forge.DeleteRepo(origin))
		a := b.awaitUpstream(t, "deleted")
		require.Contains(t, a.LastError.Message, "deleted")
		require.Equal(t, "deleted", b.awaitEvent(t, core.EventUpstreamUnavailable, 1).At("state"))
		b.requireReads(t, before)
		work := b.work(t)
		work.Commit("for nobody")
		out, err := work.Try("push", "origin", "HEAD:main")
		require.Error(t, err)
		require.Contains(t, out, "deleted")
	})
}

// TestGitHubApp_downtime: what GitHub could not deliver while the server was
// away is asked for again, so the copy is right without a poll or a pull.
func TestGitHubApp_downtime(t *testing.T) {
	t.Parallel()
	d := githubCase()
	b := newAppBench(t)
	b.requireFollowed(t, origin)
	b.Stop(t)
	other := d.atHost(t, b)
	id := other.Commit("while the server was down")
	b.hostPush(t, other, "HEAD:main", "HEAD:refs/tags/v7", ":feature-1")
	b.forge.RenameRepo(origin, "acme/gadget")
	b.forge.Settle()
	lost := 0
	for _, sent := range b.forge.Deliveries() {
		if !sent.Delivered() {
			lost++
		}
	}
	require.GreaterOrEqual(t, lost, 5)
	b.forge.ForgetRequests()

	// At another address, which GitHub knows.
	again := d.options(t, b.forge, "off", "", servertest.Options{Dir: b.Dir})
	ready := make(chan struct{})
	b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindAPI}, Times: 1, Before: func() { <-ready }})
	b.Server = servertest.Start(t, again)
	d.subscribeApp(b)
	close(ready) // it was about to ask for the log
	b.awaitRef(t, "refs/heads/main", id)
	e := b.awaitEvent(t, core.EventUpstreamMoved, 1)
	require.Equal(t, "gadget", e.At("new.name"))
	require.Eventually(t, func() bool {
		again := map[string]bool{}
		for _, sent := range b.forge.Deliveries() {
			again[sent.ID] = again[sent.ID] || sent.Delivered()
		}
		for _, arrived := range again {
			if !arrived {
				return false
			}
		}
		return true
	}, time.Minute, 25*time.Millisecond)
	b.settle(t)
	requireMirrors(t, b.forge.Refs("acme/gadget"), b.Refs(t, mirror))
	require.Equal(t, "webhook", b.Runs(t, mirror)[0].Trigger)
	var status servertest.Answer
	require.Eventually(t, func() bool {
		status = orgCall(t, b.Server, http.MethodGet, "/providers", nil)
		return strings.Contains(status.Raw, `"replayed"`)
	}, time.Minute, 25*time.Millisecond, "%s", status.Raw)
	b.requireFollowed(t, "acme/gadget")
}

// TestGitHubApp_preconditions: creation says what the operator has to do.
func TestGitHubApp_preconditions(t *testing.T) {
	t.Parallel()
	d := githubCase()
	t.Run("no App", func(t *testing.T) {
		t.Parallel()
		s := servertest.Start(t, servertest.Options{})
		_, err := s.REST(t, mirror).CreateRepository(t.Context(), nil, client.CreateRepositoryRequest{
			BaseRepo: &client.BaseRepoRequest{Provider: new("github"), Owner: new("acme"), Name: "widget"},
		})
		refused := servertest.RequireRefused(t, http.StatusPreconditionFailed, err)
		require.Contains(t, refused.Message, "no GitHub App is configured")
	})
	t.Run("not installed", func(t *testing.T) {
		t.Parallel()
		b := d.start(t, servertest.Options{})
		b.forge.CreateRepo("acme/other", true)
		b.forge.SelectRepositories("acme", "acme/other")
		_, err := d.create(t, b, mirror, origin)
		servertest.RequireRefused(t, http.StatusPreconditionFailed, err)
		b.forge.Uninstall("acme")
		_, err = d.create(t, b, mirror, origin)
		require.Contains(t, servertest.RequireRefused(t, http.StatusPreconditionFailed, err).Message, "not installed")
		b.forge.Install("acme")
		_, err = d.create(t, b, mirror, "acme/nothing")
		servertest.RequireRefused(t, http.StatusNotFound, err)
		b.Follow(t, mirror, d.base(b, origin))
	})
	t.Run("clock", func(t *testing.T) {
		t.Parallel()
		b := d.start(t, servertest.Options{})
		b.forge.SetClockSkew(40 * time.Second) // hosts and servers differ by that much
		b.Follow(t, mirror, d.base(b, origin))
		b.forge.SetClockSkew(time.Hour)
		_, err := d.create(t, b, "team/second", origin)
		require.Contains(t, servertest.RequireRefused(t, http.StatusPreconditionFailed, err).Message, "clock")
	})
	t.Run("limits", func(t *testing.T) {
		t.Parallel()
		b := d.start(t, servertest.Options{})
		b.forge.LimitRate(forgetest.RateLimit{Reset: time.Now().Add(10 * time.Minute)})
		_, err := d.create(t, b, mirror, origin)
		require.NotEmpty(t, servertest.RequireRefused(t, http.StatusTooManyRequests, err).RetryAfter)
	})
}

// TestGitHubApp_enterprise: an Enterprise server's API may be anywhere; api_url
// says where, and only git goes to the host.
func TestGitHubApp_enterprise(t *testing.T) {
	t.Parallel()
	d := githubCase()
	forge := d.forge(t, forgetest.SeedOptions{Commits: 2})
	var asked atomic.Int64
	target, err := url.Parse(forge.APIURL())
	require.NoError(t, err)
	front := httptest.NewServer(http.StripPrefix("/rest", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
	})))
	t.Cleanup(front.Close)
	b := &bench{forge: forge, Server: servertest.Start(t, d.options(t, forge, "off", front.URL+"/rest", servertest.Options{}))}
	b.store = servertest.Store(t, b.Dir)
	d.subscribeApp(b)
	d.follow(t, b)
	b.requireFollowed(t, origin)
	require.Positive(t, asked.Load())
	require.EqualValues(t, asked.Load(), forge.Count(forgetest.KindAPI), "nothing else was asked of the API")
}
