package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/forgetest"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// agedBench is a bench whose clock stands still until it is advanced.
func agedBench(t *testing.T) (*bench, *servertest.Clock) {
	t.Helper()
	clock := servertest.NewClock()
	forge := newForge(t, forgetest.SeedOptions{Commits: 5, Branches: 1})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}, Clock: clock})}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	// The copy ages by the clock alone.
	b.SetSettings(t, mirror, rest.SettingsRequest{Poll: new("off")})
	return b, clock
}

// asking reads the branches with a demand in the query.
func (b *bench) asking(t *testing.T, query string) servertest.Answer {
	t.Helper()
	return b.API(t, http.MethodGet, mirror, "/branches"+query, nil)
}

func TestInvariant09_readsSayHowOldTheCopyIs(t *testing.T) {
	t.Parallel()
	b, clock := agedBench(t)
	a := b.asking(t, "")
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "0", a.Header.Get("Headwater-Staleness"))
	observed := a.Header.Get("Headwater-Observed-At")
	require.NotEmpty(t, observed)

	clock.Advance(90 * time.Second)
	a = b.asking(t, "")
	require.Equal(t, observed, a.Header.Get("Headwater-Observed-At"))
	require.Equal(t, "90", a.Header.Get("Headwater-Staleness"))
	state := b.API(t, http.MethodGet, mirror, "/sync", nil)
	require.EqualValues(t, 90, state.At("lag_seconds"), state.Raw)
	require.NotEmpty(t, state.At("digest"))

	// A demand is met by a look, without any run if nothing changed.
	b.forge.ForgetRequests()
	runs := len(b.Runs(t, mirror))
	a = b.asking(t, "?max_staleness=1m")
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "0", a.Header.Get("Headwater-Staleness"))
	require.Equal(t, 1, b.forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.forge.Count(forgetest.KindFetch))
	require.Len(t, b.Runs(t, mirror), runs)
	// Young enough: nobody is asked.
	b.forge.ForgetRequests()
	require.Equal(t, http.StatusOK, b.asking(t, "?max_staleness=1m&freshness=fail").Status)
	require.Zero(t, b.forge.Count(forgetest.KindListRefs))

	// A change that nobody announced is seen by the one who demands freshness.
	other := b.direct(t)
	head := other.Commit("unannounced")
	b.forgePush(t, other, "HEAD:main")
	a = b.API(t, http.MethodGet, mirror, "/branch?name=main", nil)
	require.NotContains(t, a.Raw, head)
	a = b.API(t, http.MethodGet, mirror, "/branch?name=main&max_staleness=0s", nil)
	require.Contains(t, a.Raw, head)

	// The upstream is gone: serve says so, revalidate too, fail refuses.
	require.NoError(t, b.forge.Close())
	clock.Advance(time.Hour)
	for query, want := range map[string]int{
		"":                                     http.StatusOK,
		"?max_staleness=5s&freshness=serve":    http.StatusOK,
		"?max_staleness=5s":                    http.StatusOK,
		"?max_staleness=5s&freshness=fail":     http.StatusServiceUnavailable,
		"?max_staleness=2h&freshness=fail":     http.StatusOK,
		"?max_staleness=soon":                  http.StatusBadRequest,
		"?max_staleness=5s&freshness=whatever": http.StatusBadRequest,
	} {
		a = b.asking(t, query)
		require.Equal(t, want, a.Status, "%s: %s", query, a.Raw)
		if want != http.StatusBadRequest {
			require.Equal(t, "3600", a.Header.Get("Headwater-Staleness"), query)
		}
		if want == http.StatusServiceUnavailable {
			require.NotEmpty(t, a.Header.Get("Retry-After"))
			require.Contains(t, a.At("error"), "last confirmed by its upstream 60 min ago")
			require.Equal(t, "not_fresh", a.At("code"))
		}
	}

	// By the token, and by the repository's settings; the request goes before.
	strict := b.TokenWith(t, access.Claims{Repo: mirror, Scopes: access.Scopes(), MaxStaleness: "10s", Freshness: "fail"})
	path := "/api/v1/repos/branches"
	require.Equal(t, http.StatusServiceUnavailable, b.Call(t, http.MethodGet, path, strict, nil).Status)
	require.Equal(t, http.StatusOK, b.Call(t, http.MethodGet, path+"?freshness=serve", strict, nil).Status)
	b.SetSettings(t, mirror, rest.SettingsRequest{MaxStaleness: new("1m"), Freshness: new(rest.FreshnessPolicy("fail"))})
	require.Equal(t, http.StatusServiceUnavailable, b.asking(t, "").Status)
}

func TestGitFetch_tellsAndDemandsFreshness(t *testing.T) {
	t.Parallel()
	b, clock := agedBench(t)
	client := b.clone(t)
	fetch := func(args ...string) (string, error) {
		return client.Try(append(args, "-c", "protocol.version=2", "fetch", "origin")...)
	}
	out, err := fetch()
	require.NoError(t, err, out)
	require.NotContains(t, out, "this mirror")

	// git shows the new commit after a demand, and not before.
	other := b.direct(t)
	head := other.Commit("unannounced")
	b.forgePush(t, other, "HEAD:main")
	clock.Advance(10 * time.Minute)
	out, err = fetch()
	require.NoError(t, err, out)
	require.NotEqual(t, head, client.Git("rev-parse", "origin/main"))
	out, err = fetch("-c", "http."+b.URL+"/.extraHeader=Headwater-Max-Staleness: 5s")
	require.NoError(t, err, out)
	require.Equal(t, head, client.Git("rev-parse", "origin/main"))
	require.NotContains(t, out, "this mirror")

	// A fetch from an old copy says so, in every protocol version.
	require.NoError(t, b.forge.Close())
	clock.Advance(3 * 24 * time.Hour)
	for _, version := range []string{"0", "1", "2"} {
		fresh := b.Client(t, mirror)
		out, err = fresh.Try("-c", "protocol.version="+version, "clone", b.Remote(mirror), "v"+version)
		require.NoError(t, err, out)
		require.Contains(t, out, "remote: this mirror was last confirmed by its upstream 3 days ago", version)
		require.Equal(t, 1, strings.Count(out, "this mirror"))
	}
	out, err = fetch("-c", "http."+b.URL+"/.extraHeader=Headwater-Max-Staleness: 5s", "-c", "http."+b.URL+"/.extraHeader=Headwater-Freshness: fail")
	require.Error(t, err)
	require.Contains(t, out, "fresher was demanded")
	require.Contains(t, out, "503")
}

func TestInvariant08_ensure(t *testing.T) {
	t.Parallel()
	b, _ := agedBench(t)
	other := b.direct(t)
	api := b.REST(t, mirror)
	ensure := func(body rest.EnsureRequest) (rest.Ensured, error) { return api.Ensure(t.Context(), mirror, body) }
	ref := func(name, id string) *[]rest.EnsureRef {
		r := rest.EnsureRef{Name: &name}
		if id != "" {
			r.ID = &id
		}
		return &[]rest.EnsureRef{r}
	}
	head := other.Commit("one")
	b.forgePush(t, other, "HEAD:main")
	ensured, err := ensure(rest.EnsureRequest{Refs: ref("main", head), Ids: &[]string{head}})
	require.NoError(t, err)
	require.Equal(t, head, b.Refs(t, mirror)["refs/heads/main"])
	require.NotNil(t, ensured.ObservedAt)

	// What is here is not asked about, even when the branch has gone on.
	b.forge.ForgetRequests()
	_, err = ensure(rest.EnsureRequest{Refs: ref("refs/heads/main", b.Refs(t, mirror)["refs/heads/main"])})
	require.NoError(t, err)
	require.Zero(t, b.forge.Count(forgetest.KindListRefs))

	// A look that began before the call does not count: the change comes while
	// another look is on its way.
	gate, begun := make(chan struct{}), make(chan struct{}, 1)
	first := true
	undo := b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindListRefs}, Before: func() {
		if first {
			first = false
			begun <- struct{}{}
			<-gate
		}
	}})
	done := make(chan error, 2)
	wait := func() {
		_, err := ensure(rest.EnsureRequest{Refs: ref("main", "")})
		done <- err
	}
	go wait()
	<-begun
	go wait()
	close(gate)
	for range 2 {
		require.NoError(t, <-done)
	}
	undo()
	require.GreaterOrEqual(t, b.forge.Count(forgetest.KindListRefs), 2)

	// An id that is on no ref any more comes by itself.
	lost := other.Commit("lost")
	b.forgePush(t, other, "HEAD:main")
	other.Git("reset", "--quiet", "--hard", "HEAD~1")
	other.Commit("instead")
	b.forgePush(t, other, "HEAD:main")
	_, err = ensure(rest.EnsureRequest{Ids: &[]string{lost}})
	require.NoError(t, err)
	reader := b.clone(t)
	reader.Git("fetch", "--quiet", "origin", lost)

	// What does not exist is named when the time is up.
	nowhere := strings.Repeat("1", 40)
	_, err = ensure(rest.EnsureRequest{Ids: &[]string{nowhere, head}, Refs: ref("never", ""), Timeout: new("1ms")})
	require.Contains(t, string(servertest.RequireRefused(t, http.StatusGatewayTimeout, err).Body), nowhere)
	for _, bad := range []rest.EnsureRequest{
		{}, {Ids: &[]string{"abc"}}, {Refs: ref("refs/notes/x", "")}, {Refs: ref("a..b", "")}, {Ids: &[]string{head}, Timeout: new("5")},
	} {
		_, err = ensure(bad)
		servertest.RequireRefused(t, http.StatusBadRequest, err)
	}
	b.Create(t, "plain")
	_, err = b.REST(t, "plain").Ensure(t.Context(), "plain", rest.EnsureRequest{Ids: &[]string{head}})
	servertest.RequireRefused(t, http.StatusBadRequest, err)
}

// A push through the server and a wait for the upstream, at the same time, on
// the same branch: each is true, and the branch never goes back.
func TestInvariant08_ensureRacesPushes(t *testing.T) {
	t.Parallel()
	b, _ := agedBench(t)
	client, other := b.clone(t), b.direct(t)
	for round := range 4 {
		mine := client.Commit("through the server")
		theirs := other.Commit("at the upstream")
		branch := "theirs"
		b.forgePush(t, other, "HEAD:"+branch)
		done := make(chan error, 2)
		for _, want := range []rest.EnsureRef{{Name: &branch, ID: &theirs}, {Name: new("main")}} {
			go func() {
				_, err := b.REST(t, mirror).Ensure(t.Context(), mirror, rest.EnsureRequest{Refs: &[]rest.EnsureRef{want}})
				done <- err
			}()
		}
		client.Git("push", "--quiet", "origin", "HEAD:main")
		require.Equal(t, mine, b.Refs(t, mirror)["refs/heads/main"], "round %d", round)
		for range 2 {
			require.NoError(t, <-done)
		}
		refs := b.Refs(t, mirror)
		require.Equal(t, mine, refs["refs/heads/main"], "round %d: the look that began before the push does not undo it", round)
		require.Equal(t, theirs, refs["refs/heads/"+branch])
	}
	b.pullAndWait(t)
	b.requireSame(t)
}
