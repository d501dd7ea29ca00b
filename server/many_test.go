package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/forgetest"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// orgToken is a token of the whole organisation that opens everything.
func (b *bench) orgToken(t *testing.T) string { return b.Token(t, "org") }

// list returns the names that the listing has for a query, over all of its pages.
func (b *bench) list(t *testing.T, query string) (names []string) {
	t.Helper()
	cursor := ""
	for range 100 {
		page := b.page(t, query+cursor)
		for _, r := range page.Repos {
			names = append(names, r.RepoName)
		}
		if !page.HasMore {
			return names
		}
		cursor = "&cursor=" + page.NextCursor
	}
	t.Fatal("the listing does not end")
	return nil
}

// page returns one page of the listing, for a query as clients may spell it.
func (b *bench) page(t *testing.T, query string) (page rest.RepositoryList) {
	t.Helper()
	a := b.Call(t, http.MethodGet, "/api/repos?"+query, b.orgToken(t), nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.NoError(t, json.Unmarshal([]byte(a.Raw), &page))
	return page
}

func TestList_filtersAndOrders(t *testing.T) {
	t.Parallel()
	// Without polls, which confirm a mirror between two pages in the order of the lag.
	b := startBench(t, forgetest.SeedOptions{Commits: 3}, servertest.Options{Hosts: []string{"  poll = \"off\"\n"}})
	for _, name := range []string{"a/local", "b/local"} {
		b.Create(t, name)
	}
	b.Link(t, "z/second", b.forge, origin)
	require.NoError(t, b.Sync(t, "z/second"))
	// The host takes the credential of this one no more.
	b.Link(t, "c/refused", b.forge, origin)
	require.NoError(t, b.Sync(t, "c/refused"))
	_, err := b.REST(t, "c/refused").UpdateCredential(t.Context(), "c/refused", b.Repository(t, "c/refused").Credential.ID,
		rest.UpdateCredentialRequest{Password: "wrong"})
	require.NoError(t, err)
	b.PullAndWait(t, "c/refused")
	class := b.Repository(t, "c/refused").Sync.LastError.Class

	require.Equal(t, []string{"c/refused", "z/second", "b/local", "a/local", mirror}, b.list(t, ""))
	require.Equal(t, []string{"c/refused"}, b.list(t, "state=failing"))
	require.Equal(t, []string{"c/refused"}, b.list(t, "state=failing&class="+string(class)))
	require.Empty(t, b.list(t, "state=failing&class=corrupt"))
	require.Equal(t, []string{"b/local", "a/local"}, b.list(t, "state=local"))
	require.Equal(t, []string{"z/second", mirror}, b.list(t, "state=ready&host="+strings.ToUpper(b.forge.Host())))
	require.Empty(t, b.list(t, "host=other.example"))
	require.Equal(t, []string{"c/refused", "z/second", mirror}, b.list(t, "provider=gitea"))
	require.Empty(t, b.list(t, "provider=gitlab"))

	// Every order says the same in one page and in pages of one.
	for _, sort := range []string{"newest", "name", "size", "last-change", "lag"} {
		whole := b.list(t, "limit=100&sort="+sort)
		require.Len(t, whole, 5, sort)
		require.Equal(t, whole, b.list(t, "limit=1&sort="+sort), sort)
	}
	require.Equal(t, []string{"z/second", mirror}, b.list(t, "limit=1&state=ready"))
	byLag := b.list(t, "sort=lag")
	require.ElementsMatch(t, []string{"a/local", "b/local"}, byLag[3:], "those without an upstream are last")
	for i := range 2 {
		before, after := b.Repository(t, byLag[i]).Sync.ObservedAt, b.Repository(t, byLag[i+1]).Sync.ObservedAt
		require.False(t, after.Before(*before), byLag)
	}
	byName := b.list(t, "sort=name")
	require.IsIncreasing(t, byName)
	// Whatever was pushed last comes first. Not to a mirror: the other one of its upstream
	// would follow at any time.
	client := b.Client(t, "a/local").Clone(b.Remote("a/local"))
	client.Commit("newer")
	client.Git("push", "--quiet", "origin", "HEAD:refs/heads/newer")
	require.Equal(t, "a/local", b.list(t, "sort=last-change")[0])

	for _, bad := range []string{"state=broken", "class=none", "sort=speed", "host=https://x", "provider=a%20b", "provider=bogus", "host=%00", "state=%zz", "a=1;state=paused", "state=paused&state=held", "cursor=abc", "sort=lag&cursor=" + b.page(t, "limit=1&sort=size").NextCursor} {
		a := b.Call(t, http.MethodGet, "/api/repos?"+bad, b.orgToken(t), nil)
		require.Equal(t, http.StatusBadRequest, a.Status, "%s: %s", bad, a.Raw)
	}
	require.Len(t, b.list(t, "status=broken&kind=x"), 5, "parameters that nobody knows are ignored")
}

func TestList_sizeOnDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	b.Create(t, "empty")
	require.Eventually(t, func() bool { return b.Repository(t, mirror).DiskBytes > b.Repository(t, "empty").DiskBytes }, time.Minute, 25*time.Millisecond)
	require.Equal(t, []string{mirror, "empty"}, b.list(t, "sort=size"))
	// A push is measured.
	before := b.Repository(t, mirror).DiskBytes
	client := b.work(t)
	client.Commit("more")
	client.Git("push", "--quiet", "origin", "HEAD:more")
	require.Eventually(t, func() bool { return b.Repository(t, mirror).DiskBytes > before }, time.Minute, 25*time.Millisecond)
}

func TestPause_leavesTheUpstreamAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	client := b.work(t)
	api := b.REST(t, mirror)
	paused, err := api.PauseRepository(t.Context(), mirror)
	require.NoError(t, err)
	require.Equal(t, "paused", string(paused.Sync.State))
	require.NotNil(t, paused.Sync.PausedAt)
	_, err = api.PauseRepository(t.Context(), mirror)
	require.NoError(t, err, "twice is no error")
	require.Equal(t, paused.Sync.PausedAt, b.Repository(t, mirror).Sync.PausedAt, "it keeps its time")
	require.Equal(t, []string{mirror}, b.list(t, "state=paused"))

	before := b.Refs(t, mirror)
	other := b.direct(t)
	other.Commit("at the host")
	b.forgePush(t, other, "HEAD:main")
	seen := len(b.forge.Requests())

	// Asked for, announced, or read with a demand: nothing reaches the host.
	_, err = api.PullUpstream(t.Context(), mirror, rest.PullUpstreamRequest{})
	refused := servertest.RequireRefused(t, http.StatusConflict, err)
	require.Contains(t, refused.Message, "paused")
	_, err = b.store.RequestSync(t.Context(), b.Repo(t, mirror).ID, "webhook", "")
	require.NoError(t, err)
	b.Engine().Services().Schedule.NotifyAll()
	runs := len(b.Runs(t, mirror))
	a := b.API(t, http.MethodGet, mirror, "/branches?max_staleness=0s&freshness=fail", nil)
	require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Raw)
	require.Contains(t, a.Raw, "the mirror is paused")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	a = b.API(t, http.MethodGet, mirror, "/branches?max_staleness=0s&freshness=revalidate", nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	b.clone(t)

	// A push for the upstream is refused in words, before and after the others; what stays here is taken.
	client.Commit("here")
	out, err := client.Try("push", "origin", "HEAD:main")
	require.Error(t, err, out)
	require.Contains(t, out, "the mirror is paused")
	require.Equal(t, before, b.Refs(t, mirror))
	client.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), "HEAD:main")
	_, err = api.CreateBranch(t.Context(), mirror, rest.CreateBranchRequest{TargetBranch: "x", BaseBranch: new("main")})
	refused = servertest.RequireRefused(t, http.StatusConflict, err)
	require.Contains(t, refused.Message, "the mirror is paused")

	require.Len(t, b.Runs(t, mirror), runs, "no run began")
	require.Len(t, b.forge.Requests(), seen, "nothing was asked of the host")

	// What was announced meanwhile runs at once.
	_, err = api.ResumeRepository(t.Context(), mirror)
	require.NoError(t, err)
	head := other.Head()
	require.Eventually(t, func() bool { return b.Refs(t, mirror)["refs/heads/main"] == head }, time.Minute, 25*time.Millisecond)
	require.Nil(t, b.Repository(t, mirror).Sync.PausedAt)

	b.Create(t, "local")
	_, err = b.REST(t, "local").PauseRepository(t.Context(), "local")
	servertest.RequireRefused(t, http.StatusBadRequest, err)
}

// limit sets the limits of the organisation as the operator does, beside the server.
func (b *bench) limit(t *testing.T, l core.OrgLimits) {
	t.Helper()
	require.NoError(t, b.store.SetOrgLimits(t.Context(), servertest.Org, l))
	time.Sleep(1100 * time.Millisecond) // the server believes what it knows for a second
}

func TestLimits_disk(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	require.Eventually(t, func() bool { return b.Repository(t, mirror).DiskBytes > 0 }, time.Minute, 25*time.Millisecond)
	client := b.work(t)
	client.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), "HEAD:refs/heads/idea")
	before := b.Refs(t, mirror)
	b.limit(t, core.OrgLimits{DiskBytes: 1000})

	client.Commit("too much")
	out, err := client.Try("push", "origin", "HEAD:refs/heads/new")
	require.Error(t, err, out)
	require.Contains(t, out, `the organisation "local" may use 1.0 kB of disk and uses`)
	require.Equal(t, before, b.Refs(t, mirror))
	_, err = b.REST(t, mirror).CreateBranch(t.Context(), mirror, rest.CreateBranchRequest{TargetBranch: "x", BaseBranch: new("main")})
	servertest.RequireRefused(t, http.StatusRequestEntityTooLarge, err)
	_, err = b.REST(t, "more").CreateRepository(t.Context(), nil, rest.CreateRepositoryRequest{})
	servertest.RequireRefused(t, http.StatusRequestEntityTooLarge, err)
	b.clone(t) // reads go on

	// A sync says it as its state, and goes on when there is room.
	other := b.direct(t)
	other.Commit("at the host")
	b.forgePush(t, other, "HEAD:main")
	b.pullAndWait(t)
	r := b.Repository(t, mirror)
	require.Equal(t, "failing", string(r.Sync.State))
	require.Equal(t, "too_large", string(r.Sync.LastError.Class))
	require.Contains(t, r.Sync.LastError.Message, "of disk and uses")
	require.Equal(t, []string{mirror}, b.list(t, "class=too_large"))

	// What only deletes makes room.
	client.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), ":refs/heads/idea")

	b.limit(t, core.OrgLimits{})
	_, err = b.store.RetryTooLarge(t.Context(), servertest.Org)
	require.NoError(t, err)
	b.Engine().Services().Schedule.NotifyAll()
	head := other.Head()
	require.Eventually(t, func() bool { return b.Refs(t, mirror)["refs/heads/main"] == head }, time.Minute, 25*time.Millisecond)
	client.Git("push", "--quiet", "origin", "HEAD:refs/heads/new")
}

func TestLimits_repositories(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 1})
	b.limit(t, core.OrgLimits{Repositories: 2})
	b.Create(t, "second")
	_, err := b.REST(t, "third").CreateRepository(t.Context(), nil, rest.CreateRepositoryRequest{})
	refused := servertest.RequireRefused(t, http.StatusForbidden, err)
	require.Contains(t, refused.Message, "may have 2 repositories and has 2")

	org, err := b.REST(t, "org").GetOrganisation(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, org.Usage.Repositories)
	require.EqualValues(t, 2, org.Limits.Repositories)
	_, err = b.REST(t, mirror).GetOrganisation(t.Context())
	servertest.RequireRefused(t, http.StatusForbidden, err)
}

func TestLimits_requests(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	b := startBench(t, forgetest.SeedOptions{Commits: 1}, servertest.Options{Clock: clock})
	a := b.Get(t, mirror)
	require.Empty(t, a.Header.Get("RateLimit"), "without a limit there is nothing to say")
	require.NoError(t, b.store.SetOrgLimits(t.Context(), servertest.Org, core.OrgLimits{Requests: 5, TokenRequests: 2}))
	clock.Advance(2 * time.Second)

	token := b.Token(t, mirror)
	get := func(token string) servertest.Answer {
		return b.Call(t, http.MethodGet, "/api/repos/"+strings.ReplaceAll(mirror, "/", "%2F"), token, nil)
	}
	a = get(token)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, `"organisation";q=5;w=1, "token";q=2;w=1`, a.Header.Get("RateLimit-Policy"))
	require.Equal(t, `"organisation";r=4;t=1, "token";r=1;t=1`, a.Header.Get("RateLimit"))
	require.Equal(t, http.StatusOK, get(token).Status)
	a = get(token)
	require.Equal(t, http.StatusTooManyRequests, a.Status, a.Raw)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	require.Equal(t, `"organisation";r=3;t=1, "token";r=0;t=1`, a.Header.Get("RateLimit"), "a refusal uses nothing up")
	require.Contains(t, a.Raw, "may send 2 requests a second")

	// Another token has its own, until the organisation has none left.
	other := b.TokenWith(t, access.Claims{Repo: mirror, Scopes: access.Scopes(), Subject: "another"})
	require.Equal(t, http.StatusOK, get(other).Status)
	require.Equal(t, http.StatusOK, get(other).Status)
	third := b.TokenWith(t, access.Claims{Repo: mirror, Scopes: access.Scopes(), Subject: "third"})
	require.Equal(t, http.StatusOK, get(third).Status)
	a = get(third)
	require.Equal(t, http.StatusTooManyRequests, a.Status, a.Raw)
	require.Contains(t, a.Raw, `the organisation \"local\" may send 5 requests a second`)

	// Git, too, and in words.
	out, err := b.Client(t, mirror).Try("ls-remote", b.Remote(mirror))
	require.Error(t, err)
	require.Contains(t, out, "429")
	require.Contains(t, out, "requests a second")

	clock.Advance(time.Second)
	require.Equal(t, http.StatusOK, get(token).Status)
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	client := b.work(t)
	before := b.Refs(t, mirror)
	require.NoError(t, b.store.SetReadOnly(t.Context(), core.ReadOnlyMode{Since: time.Now(), Reason: "the disk is replaced"}))

	client.Commit("not now")
	out, err := client.Try("push", "origin", "HEAD:main")
	require.Error(t, err, out)
	require.Contains(t, out, "read-only for maintenance")
	require.Contains(t, out, "the disk is replaced")
	api := b.REST(t, mirror)
	_, branch := api.CreateBranch(t.Context(), mirror, rest.CreateBranchRequest{TargetBranch: "x", BaseBranch: new("main")})
	_, pause := api.PauseRepository(t.Context(), mirror)
	for _, err := range []error{branch, pause} {
		refused := servertest.RequireRefused(t, http.StatusServiceUnavailable, err)
		require.Equal(t, "read_only", refused.Code)
		require.Equal(t, "60", refused.RetryAfter)
	}
	_, err = b.REST(t, "new").CreateRepository(t.Context(), nil, rest.CreateRepositoryRequest{})
	servertest.RequireRefused(t, http.StatusServiceUnavailable, err)
	require.Equal(t, before, b.Refs(t, mirror))
	ready := b.Server.Call(t, http.MethodGet, "/readyz", "", nil)
	require.Equal(t, http.StatusOK, ready.Status)
	require.Contains(t, ready.Raw, `"status":"read-only"`)
	ready = b.Server.Call(t, http.MethodGet, "/readyz?writes=true", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, ready.Status, "who asks for writes is not to send them here")
	require.NotContains(t, ready.Raw, "the disk is replaced", "the reason is not for everybody")
	b.clone(t)
	require.Equal(t, http.StatusOK, b.API(t, http.MethodGet, mirror, "/branches", nil).Status)

	require.NoError(t, b.store.SetReadOnly(t.Context(), core.ReadOnlyMode{}))
	require.Equal(t, http.StatusOK, b.Server.Call(t, http.MethodGet, "/readyz?writes=true", "", nil).Status)
	client.Git("push", "--quiet", "origin", "HEAD:main")
}

func TestAudit_export(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 1})
	for i := range 3 {
		b.Create(t, "r"+strconv.Itoa(i))
	}
	export := func(query string) []rest.AuditEntry {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/api/audit/export"+query, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+b.orgToken(t))
		r.Close = true
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, string(raw))
		require.Equal(t, "application/x-ndjson", resp.Header.Get("Content-Type"))
		var all []rest.AuditEntry
		for line := range strings.Lines(string(raw)) {
			var entry rest.AuditEntry
			require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
			all = append(all, entry)
		}
		return all
	}
	all := export("")
	listed, err := b.REST(t, "org").ListAudit(t.Context(), &rest.ListAuditParams{Limit: new(100)})
	require.NoError(t, err)
	require.Equal(t, listed.Entries, all)
	require.Equal(t, "r2", all[0].RepoName)
	middle := all[1].At.Format(time.RFC3339Nano)
	require.NotEmpty(t, export("?since="+middle))
	require.Len(t, append(export("?since="+middle), export("?until="+middle)...), len(all))
	a := b.Call(t, http.MethodGet, "/api/audit/export?since=yesterday", b.orgToken(t), nil)
	require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
	a = b.Call(t, http.MethodGet, "/api/audit/export", b.Token(t, mirror), nil)
	require.Equal(t, http.StatusForbidden, a.Status, fmt.Sprint(a))
}
