package console_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

const (
	// script is what every name holds that somebody else chooses.
	script = `<script>window.hacked=1<`
	// widget is the mirror that most is done to, and what it follows.
	widget, upstream = "team/widget" + script, "acme/widget"
)

// bench is a server with mirrors in several states, and a second organisation.
type bench struct {
	*servertest.Server
	store core.Store
	forge *forgetest.TestForge

	rewrites int // made so far
}

func newBench(t *testing.T) *bench {
	t.Helper()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo(upstream, true)
	forge.Seed(upstream, forgetest.SeedOptions{Commits: 5, Branches: 3, Tags: 2})
	b := &bench{Server: servertest.Start(t, servertest.Options{
		Forges: []*forgetest.TestForge{forge}, Webhooks: events.Policy{AllowHTTP: true, AllowPrivate: true}, KeepDeleted: time.Hour,
	}), forge: forge}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, widget, forge, upstream)
	b.Create(t, "notes")
	require.NoError(t, b.store.CreateOrg(t.Context(), core.Org{Name: "rival", CreatedAt: time.Now()}))
	require.NoError(t, b.store.CreateRepository(t.Context(), core.Repository{
		ID: core.NewID("repo", time.Now()), Org: "rival", Name: "rival-secret", DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: time.Now(),
		Upstream: &core.Upstream{Provider: "gitea", Instance: "gitea", Host: "rival-host.example", Owner: "r", Name: "s", URL: "https://rival-host.example/r/s.git"},
	}))
	return b
}

// rewrite loses the last commit of main at the forge, and syncs.
func (b *bench) rewrite(t *testing.T) {
	t.Helper()
	work := b.WorkAtHost(t, b.forge, upstream)
	work.Git("reset", "--quiet", "--hard", "HEAD~1")
	// Within a second, the same message would make the same commit once more.
	b.rewrites++
	work.Commit(fmt.Sprint("rewritten ", b.rewrites))
	dir, err := b.forge.RepoDir(upstream)
	require.NoError(t, err)
	work.Git("push", "--quiet", "--force", dir, "HEAD:main")
	require.NoError(t, b.Sync(t, widget))
}

// receiver returns the address of a receiver of webhooks that takes none.
func (b *bench) receiver(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("no: " + script))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (b *bench) id(t *testing.T) string { return b.Repo(t, widget).ID }

// browser is somebody's browser without JavaScript.
type browser struct {
	t    *testing.T
	base string
	*http.Client
}

func (b *bench) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, b.URL, &http.Client{Jar: jar, Timeout: time.Minute}}
}

// page is what a browser got.
type page struct {
	Status int
	Path   string // after redirects
	Body   string
	Header http.Header
}

func (w *browser) do(r *http.Request, err error) page {
	w.t.Helper()
	require.NoError(w.t, err)
	resp, err := w.Do(r)
	require.NoError(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return page{resp.StatusCode, resp.Request.URL.RequestURI(), string(body), resp.Header}
}

func (w *browser) get(path string) page {
	w.t.Helper()
	return w.do(http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.base+path, nil))
}

// post sends a form as a browser does, from a page of a site.
func (w *browser) post(path, site string, form url.Values) page {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.base+path, strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	return w.do(r, nil)
}

const same = "same-origin"

// link stores a link of the owner's, as the command does.
func (b *bench) link(t *testing.T, life time.Duration) string {
	t.Helper()
	secret, hash := console.NewSecret()
	require.NoError(t, b.store.AddConsoleLink(t.Context(), core.ConsoleLink{Hash: hash, Subject: "operator:ada", ExpiresAt: time.Now().Add(life)}))
	return secret
}

func (b *bench) owner(t *testing.T) *browser {
	t.Helper()
	w := b.browser(t)
	require.Equal(t, "/console/", w.post("/console/link", same, url.Values{"code": {b.link(t, time.Minute)}}).Path)
	return w
}

func (b *bench) signedIn(t *testing.T, claims access.Claims, role core.ConsoleRole) *browser {
	t.Helper()
	w := b.browser(t)
	p := w.post("/console/sign-in", same, url.Values{"token": {b.TokenWith(t, claims)}, "role": {string(role)}})
	require.Equal(t, "/console/", p.Path, p.Body)
	return w
}

var all = access.Claims{Repo: "org", Scopes: access.Scopes()}

// actions are what the audit of an organisation says, newest first.
func (b *bench) actions(t *testing.T, org string) []string {
	t.Helper()
	entries, err := b.store.Audit(t.Context(), core.AuditFilter{Org: org, Limit: 50})
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s %s %s", e.Actor.Subject, e.Action, e.Outcome))
	}
	return out
}

func TestConsole_link(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.browser(t)
	require.Equal(t, "/console/sign-in", w.get("/console").Path)
	require.Equal(t, "/console/sign-in?next=%2Faudit", w.get("/console/audit").Path)

	secret := b.link(t, time.Minute)
	for range 2 { // what only looks uses nothing up
		p := w.get("/console/link/" + secret)
		require.Equal(t, http.StatusOK, p.Status)
		require.Contains(t, p.Body, "Sign in as operator:ada?")
		require.Equal(t, "no-referrer", p.Header.Get("Referrer-Policy"))
		require.Equal(t, "no-store", p.Header.Get("Cache-Control"))
		require.Empty(t, p.Header.Get("Set-Cookie"))
	}
	require.Equal(t, http.StatusForbidden, w.post("/console/link", "cross-site", url.Values{"code": {secret}}).Status, "login CSRF")
	large := url.Values{"code": {secret}, "x": {strings.Repeat("a", 17<<10)}}
	require.Equal(t, http.StatusRequestEntityTooLarge, w.post("/console/link", same, large).Status, "what a stranger may have us keep")
	p := w.post("/console/link", same, url.Values{"code": {secret}})
	require.Equal(t, "/console/", p.Path)
	require.Contains(t, p.Body, "all organisations")
	require.Equal(t, http.StatusNotFound, b.browser(t).post("/console/link", same, url.Values{"code": {secret}}).Status, "once")
	require.Equal(t, http.StatusNotFound, w.get("/console/link/"+b.link(t, -time.Second)).Status, "for five minutes")
	require.Contains(t, b.actions(t, "rival"), "operator:ada console.sign_in ok")
	require.NotContains(t, b.Log.String(), secret)

	// Nothing of the secrets is in the database.
	sessions, err := b.store.ConsoleSessions(t.Context(), "", time.Now())
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	base, err := url.Parse(b.URL + "/console")
	require.NoError(t, err)
	cookies := w.Jar.Cookies(base)
	require.Len(t, cookies, 1)
	require.NotEqual(t, cookies[0].Value, sessions[0].Hash)
	_, err = b.store.ConsoleSession(t.Context(), cookies[0].Value, time.Now())
	require.Equal(t, core.KindNotFound, core.KindOf(err))

	// The API never takes the cookie.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/api/repos", nil)
	require.NoError(t, err)
	r.AddCookie(cookies[0])
	require.Equal(t, http.StatusUnauthorized, w.do(r, nil).Status)

	require.Equal(t, "/console/sign-in", w.post("/console/sign-out", same, nil).Path)
	r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/console/audit", nil)
	require.NoError(t, err)
	r.AddCookie(cookies[0])
	require.Contains(t, b.browser(t).do(r, nil).Path, "/console/sign-in", "the session is ended, not only forgotten by the browser")
}

func TestConsole_cookieAndPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.browser(t)
	w.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := w.post("/console/link", same, url.Values{"code": {b.link(t, time.Minute)}})
	for _, attribute := range []string{"HttpOnly", "SameSite=Lax", "Path=/console"} {
		require.Contains(t, p.Header.Get("Set-Cookie"), attribute)
	}
	p = w.get("/console/")
	policy := p.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, p.Body, " style=")
	require.NotContains(t, p.Body, "onclick")
	for _, file := range []string{"console.css", "console.js", "pico.min.css", "htmx.min.js", "uPlot.iife.min.js", "htmx.LICENSE", "pico.LICENSE", "uPlot.LICENSE"} {
		got := w.get("/console/static/" + file)
		require.Equal(t, http.StatusOK, got.Status, file)
		require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	}
}

func TestConsole_organisationsSeeTheirOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rivals, err := b.store.Repositories(t.Context(), core.RepositoryFilter{Org: "rival", Limit: 1})
	require.NoError(t, err)
	w, owner := b.signedIn(t, all, core.ConsoleOperator), b.owner(t)
	for _, path := range []string{"/", "/repositories", "/hosts", "/deliveries", "/audit", "/organisations", "/deliveries?org=rival", "/audit?org=rival", "/organisations?org=rival", "/repositories?org=rival"} {
		p := w.get("/console" + path)
		require.Equal(t, http.StatusOK, p.Status, path)
		require.NotContains(t, strings.ReplaceAll(p.Body, "?org=rival", ""), "rival-", path)
		require.NotContains(t, p.Body, ">rival<", path)
	}
	require.Contains(t, owner.get("/console/repositories").Body, "rival-secret")
	require.Contains(t, owner.get("/console/hosts").Body, "rival-host.example")
	id := rivals[0].ID
	require.Equal(t, http.StatusOK, owner.get("/console/repositories/"+id).Status)
	for _, path := range []string{"", "/compare", "/data/lag"} {
		require.Equal(t, http.StatusNotFound, w.get("/console/repositories/"+id+path).Status)
	}
	for _, path := range []string{"/sync", "/settings", "/rewrites/approve"} {
		require.Equal(t, http.StatusNotFound, w.post("/console/repositories/"+id+path, same, nil).Status)
	}
	require.Equal(t, http.StatusNotFound, w.post("/console/redeliver", same, url.Values{"org": {"rival"}}).Status)
	p := w.post("/console/repositories/bulk", same, url.Values{"id": {id}, "action": {"sync"}, "confirmed": {"yes"}})
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.NotContains(t, p.Body, "rival-secret")
	require.NotContains(t, b.actions(t, "rival"), "tester sync.request ok")
}

func TestConsole_roles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	one := "/console/repositories/" + b.id(t)
	for name, w := range map[string]*browser{
		"by choice": b.signedIn(t, all, core.ConsoleViewer),
		"by token":  b.signedIn(t, access.Claims{Repo: "org", Scopes: []access.Scope{access.OrgRead, access.GitRead}}, core.ConsoleOperator),
	} {
		p := w.get(one)
		require.Equal(t, http.StatusOK, p.Status, name)
		require.NotContains(t, p.Body, "Sync now", name)
		require.Equal(t, http.StatusForbidden, w.post(one+"/sync", same, nil).Status, name)
		require.Equal(t, http.StatusForbidden, w.post(one+"/settings", same, url.Values{"poll": {"1m"}, "confirmed": {"yes"}}).Status, name)
		require.Equal(t, http.StatusForbidden, w.post("/console/repositories/bulk", same, url.Values{"which": {"matching"}, "action": {"sync"}, "confirmed": {"yes"}}).Status, name)
	}
	require.Contains(t, b.actions(t, servertest.Org), "tester console.refuse refused")

	operator := b.signedIn(t, access.Claims{Repo: "org", Scopes: access.Scopes(), Subject: "mo"}, core.ConsoleOperator)
	require.Equal(t, one+"?done=sync", operator.post(one+"/sync", same, nil).Path)
	require.Equal(t, http.StatusForbidden, operator.post(one+"/sync", "cross-site", nil).Status)
	require.Contains(t, b.actions(t, servertest.Org), "mo sync.request ok")

	// Tokens that do not open the organisation sign nobody in.
	w := b.browser(t)
	for text, claims := range map[string]access.Claims{
		"one repository": {Repo: widget, Scopes: access.Scopes()},
		"org:read":       {Repo: "org", Scopes: []access.Scope{access.GitWrite}},
		"expired":        {Repo: "org", Scopes: access.Scopes(), ExpiresAt: time.Now().Add(-time.Hour)},
	} {
		p := w.post("/console/sign-in", same, url.Values{"token": {b.TokenWith(t, claims)}})
		require.GreaterOrEqual(t, p.Status, 400)
		require.Contains(t, p.Body, text)
	}
}

func TestConsole_issuedTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	issued, err := b.REST(t, "org").IssueToken(t.Context(), client.IssueTokenRequest{
		Repo: new("org"), Operations: []string{"listRepositories", "getRepository"}, Scopes: new([]string{"org:read", "git:read", "git:write", "repo:write"}),
	})
	require.NoError(t, err)
	w := b.browser(t)
	require.Equal(t, "/console/", w.post("/console/sign-in", same, url.Values{"token": {issued.Token}}).Path)
	one := "/console/repositories/" + b.id(t)
	p := w.get(one)
	require.Equal(t, http.StatusOK, p.Status)
	require.Contains(t, p.Body, "issued for other operations than listBranches")
	require.Equal(t, http.StatusForbidden, w.post(one+"/sync", same, nil).Status)

	_, err = b.REST(t, "org").RevokeTokens(t.Context(), client.RevokeTokensJSONRequestBody{Jti: new(issued.Jti)})
	require.NoError(t, err)
	require.Equal(t, "/console/sign-in?next=%2Frepositories", w.get("/console/repositories").Path, "the session ends with its token")
}

func TestConsole_settingsShowTheirPlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w, one := b.owner(t), "/console/repositories/"+b.id(t)
	form := url.Values{"poll": {"1m"}, "exclude": {"refs/heads/feature-1"}, "ref_policies": {"refs/heads/main hold"}}
	p := w.post(one+"/settings", same, form)
	require.Equal(t, http.StatusOK, p.Status)
	require.Contains(t, p.Body, "Deleted")
	require.Contains(t, p.Body, "feature-1")
	s, err := b.store.Settings(t.Context(), b.id(t))
	require.NoError(t, err)
	require.Empty(t, s.Poll, "shown, not done")
	form.Set("confirmed", "yes")
	require.Equal(t, one+"?done=settings", strings.TrimSuffix(w.post(one+"/settings", same, form).Path, "#settings"))
	s, err = b.store.Settings(t.Context(), b.id(t))
	require.NoError(t, err)
	require.Equal(t, "1m", s.Poll)
	require.Equal(t, []core.RefPolicy{{Pattern: "refs/heads/main", Action: core.RefHold}}, s.RefPolicies)
	p = w.post(one+"/settings", same, url.Values{"poll": {"soon"}, "confirmed": {"yes"}})
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.Contains(t, p.Body, "poll must be")
	require.Contains(t, p.Body, "Nothing was changed")
}

func TestConsole_rewrites(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w, one := b.owner(t), "/console/repositories/"+b.id(t)
	b.rewrite(t)
	rows, err := b.REST(t, widget).ListRewrites(t.Context(), b.id(t), &client.ListRewritesParams{})
	require.NoError(t, err)
	require.Len(t, rows.Rewrites, 1)
	require.Contains(t, w.get(one).Body, "Restore")
	p := w.post(one+"/rewrites/restore", same, url.Values{"rewrite": {rows.Rewrites[0].ID}, "branch": {"back"}})
	require.Contains(t, p.Body, "back on the branch", p.Path)
	require.Equal(t, rows.Rewrites[0].Old, b.Refs(t, widget)["refs/heads/back"])
	p = w.post(one+"/rewrites/approve", same, url.Values{"rewrite": {rows.Rewrites[0].ID}})
	require.Equal(t, http.StatusConflict, p.Status)
	require.Contains(t, p.Body, `role="alert"`)
}

func TestConsole_sentences(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w, one := b.owner(t), "/console/repositories/"+b.id(t)
	require.Contains(t, w.get(one).Body, "ready: confirmed")
	require.Contains(t, w.get(one+"/compare").Body, "Every mirrored ref is here")
	b.forge.Git(upstream, "update-ref", "refs/heads/later", "refs/heads/main")
	p := w.get(one + "/compare")
	require.Contains(t, p.Body, "later")
	require.Contains(t, p.Body, "only there")
	require.NoError(t, b.forge.DeleteRepo(upstream))
	require.Error(t, b.Sync(t, widget))
	p = w.get(one)
	require.Contains(t, p.Body, "upstream")
	require.Contains(t, p.Body, "next: ")
	require.NotContains(t, p.Body, "ready: confirmed")
	require.Contains(t, w.get("/console/").Body, "never")
}

func TestConsole_bulk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.signedIn(t, all, core.ConsoleOperator)
	form := url.Values{"which": {"matching"}, "action": {"set"}, "poll": {"2m"}, "host": {b.forge.Host()}}
	p := w.post("/console/repositories/bulk", same, form)
	require.Contains(t, p.Body, "Set poll to 2m: 1 repository")
	form.Set("confirmed", "yes")
	require.Contains(t, w.post("/console/repositories/bulk", same, form).Body, "Done for 1 of 1")
	s, err := b.store.Settings(t.Context(), b.id(t))
	require.NoError(t, err)
	require.Equal(t, "2m", s.Poll)
	// One that cannot be synced is named with its reason.
	p = w.post("/console/repositories/bulk", same, url.Values{"which": {"matching"}, "action": {"sync"}, "confirmed": {"yes"}})
	require.Contains(t, p.Body, "Done for 1 of 2")
	require.Contains(t, p.Body, "no upstream configured")
}
