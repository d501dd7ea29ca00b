package console_test

import (
	"bufio"
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// fill returns the path of a route for a repository.
func fill(route, id string) (method, path string) {
	method, path, _ = strings.Cut(route, " ")
	return method, console.Prefix + strings.NewReplacer("{id}", id, "{$}", "", "{plot}", "lag", "{what}", "approve").Replace(path)
}

// isStream reports whether a route never ends.
func isStream(route string) bool { return strings.HasSuffix(route, "/stream") }

// request sends what a form or link of a route sends, with all that any form has.
func (w *browser) request(method, path string, form url.Values) page {
	w.t.Helper()
	if method == http.MethodGet {
		return w.get(path + "?" + form.Encode())
	}
	return w.post(path, same, form)
}

// TestRoutes goes through all routes, so that a new one cannot forget what holds for all.
func TestRoutes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rivals, err := b.store.Repositories(t.Context(), core.RepositoryFilter{Org: "rival", Limit: 1})
	require.NoError(t, err)
	theirs, ours := rivals[0].ID, b.id(t)
	require.NoError(t, b.store.AddConsoleSession(t.Context(), core.ConsoleSession{
		ID: "ses_rival", Hash: "rival", Role: core.ConsoleViewer, Org: "rival", Subject: "rival-person", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	}))
	// What it has, and what happened there; a number that is nowhere else.
	require.NoError(t, b.store.AddEvents(t.Context(), []core.Event{{
		ID: core.NewID("evt", time.Now()), Org: "rival", RepoID: theirs, Type: core.EventPush, Payload: []byte(`{"repository":{"repo_name":"rival-secret"}}`), CreatedAt: time.Now(),
	}}))
	require.NoError(t, b.store.CreateWebhook(t.Context(), core.Webhook{
		ID: core.NewID("wh", time.Now()), Org: "rival", URL: "https://rival-hook.example/", Events: []string{core.EventPush}, Active: true, CreatedAt: time.Now(),
	}))
	require.NoError(t, b.store.AddAudit(t.Context(), core.AuditEntry{ID: core.NewID("aud", time.Now()), Org: "rival", At: time.Now(), Actor: core.Actor{Subject: "rival-person"}, Action: "sync.request", Outcome: "ok"}))
	require.NoError(t, b.store.AddConsoleMinutes(t.Context(), []core.ConsoleMinute{{Org: "rival", At: time.Now().UTC().Truncate(time.Minute), PushesOK: 98765432, LagMedian: 98765432 * time.Second, LagMost: 98765432 * time.Second, LagMax: 98765432 * time.Second}}, nil))
	nobody, viewer, operator := b.browser(t), b.signedIn(t, all, core.ConsoleViewer), b.signedIn(t, all, core.ConsoleOperator)
	routes := console.PageRoutes()
	require.Greater(t, len(routes), 25)
	// What any form may hold, about what belongs to somebody else.
	form := url.Values{
		"org": {"rival"}, "id": {theirs}, "action": {"sync"}, "confirmed": {"yes"}, "session": {"ses_rival"}, "webhook": {"x"}, "delivery": {"x"}, "shared": {"x"},
		"password": {"secret-of-a-form"}, "url": {"https://rival-host.example/r/s"}, "mode": {"read-only"}, "disk": {"1"}, "rewrite": {"x"},
	}
	// What an operator is answered for that where the path names no repository.
	want := map[string]int{
		"POST /maintenance": 403, "POST /organisations/limits": 403, "POST /repositories/bulk": 400, "POST /sessions/end": 200,
		"POST /trash/undelete": 404, "POST /trash/delete": 404,
		"POST /credentials": 404, "POST /credentials/rotate": 404, "POST /credentials/check": 404, "POST /redeliver": 404, "POST /ping": 404,
	}
	for _, route := range routes {
		method, path := fill(route, ours)
		t.Run(route, func(t *testing.T) {
			if method == http.MethodPost {
				require.Equal(t, "/console/sign-in?expired=1", nobody.post(path, same, form).Path, "nobody")
				for _, site := range []string{"cross-site", "same-site"} {
					require.Equal(t, http.StatusForbidden, operator.post(path, site, form).Status, site)
				}
				p := viewer.post(path, same, form)
				require.Equal(t, http.StatusForbidden, p.Status, "viewer")
				require.Contains(t, p.Body, "viewers change nothing")
				require.Equal(t, "tester console.refuse refused", b.actions(t, servertest.Org)[0])
			} else {
				require.Contains(t, nobody.get(path).Path, "/console/sign-in", "nobody")
			}
			if isStream(route) {
				return
			}
			method, path := fill(route, theirs)
			p := operator.request(method, path, form)
			switch {
			case strings.Contains(route, "{id}"):
				require.Equal(t, http.StatusNotFound, p.Status, "another organisation's")
			case method == http.MethodGet:
				require.Equal(t, http.StatusOK, p.Status)
			default:
				require.Contains(t, want, route, "say here what an operator is answered about another organisation")
				require.Equal(t, want[route], p.Status)
			}
			require.NotContains(t, p.Body, "rival-", "another organisation's")
			require.NotContains(t, p.Body, "98765432", "another organisation's")
			require.NotContains(t, p.Body, "secret-of-a-form")
			require.Equal(t, "no-store", p.Header.Get("Cache-Control"))
			require.Equal(t, "nosniff", p.Header.Get("X-Content-Type-Options"))
			require.Equal(t, "no-referrer", p.Header.Get("Referrer-Policy"))
			require.Contains(t, p.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		})
	}
	// Nothing of that was done.
	for _, action := range b.actions(t, "rival") {
		require.NotContains(t, action, "tester")
	}
	sessions, err := b.store.ConsoleSessions(t.Context(), "rival", time.Now())
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	mode, err := b.store.ReadOnly(t.Context())
	require.NoError(t, err)
	require.False(t, mode.On())
}

// TestRoutes_narrowToken signs in with a token that the server issued for one operation:
// every route that stands for another one is refused as the API refuses that.
func TestRoutes_narrowToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.NoError(t, b.Sync(t, widget))
	other := b.signedIn(t, all, core.ConsoleOperator)
	narrow := func(operations ...string) *browser {
		issued, err := b.REST(t, "org").IssueToken(t.Context(), client.IssueTokenRequest{
			Repo: new("org"), Operations: operations, Scopes: new([]string{"org:read", "git:read", "git:write", "repo:write"}),
		})
		require.NoError(t, err)
		w := b.browser(t)
		require.Equal(t, "/console/", w.post("/console/sign-in", same, url.Values{"token": {issued.Token}}).Path)
		return w
	}
	w := narrow("listRepositories")
	sessions, err := b.store.ConsoleSessions(t.Context(), servertest.Org, time.Now())
	require.NoError(t, err)
	require.Len(t, sessions, 2)
	form := url.Values{"confirmed": {"yes"}, "id": {b.id(t)}, "action": {"sync"}}
	for _, s := range sessions {
		form.Add("session", s.ID)
	}
	for _, route := range console.PageRoutes() {
		method, path := fill(route, b.id(t))
		if needs := console.Needs(route); !console.Owners(route) && len(needs) == 1 && needs[0] == "listRepositories" {
			if method == http.MethodGet {
				require.Equal(t, http.StatusOK, w.get(path).Status, route)
			}
			continue
		}
		require.True(t, console.Owners(route) != (len(console.Needs(route)) > 0), "%s: say which operations of the API it stands for", route)
		p := w.request(method, path, form)
		require.Equal(t, http.StatusForbidden, p.Status, route)
		if !console.Owners(route) {
			require.Regexp(t, "issued for other operations than|no token that the server issued opens", p.Body, route)
		}
	}
	require.Equal(t, http.StatusOK, other.get("/console/repositories").Status, "its session goes on")

	// A page says which of its parts this session may not see, and has nothing of them.
	p := w.get("/console/")
	require.Equal(t, http.StatusOK, p.Status)
	require.Contains(t, p.Body, "issued for other operations than listEvents")
	require.Contains(t, p.Body, "issued for other operations than listProviders")
	require.NotContains(t, p.Body, `class="events"`)
	require.NotContains(t, p.Body, "<svg class=\"plot")
	p = narrow("listRepositories", "getOrganisation").get("/console/organisations")
	require.Equal(t, http.StatusOK, p.Status)
	for _, operation := range []string{"listKeys", "listRevocations"} {
		require.Contains(t, p.Body, "issued for other operations than "+operation)
	}
	require.Contains(t, p.Body, "no token that the server issued opens revokeTokens")
	require.NotContains(t, p.Body, "None.")
	require.NotContains(t, p.Body, sessions[0].ID)
	p = narrow("listRepositories", "getRepository").get("/console/repositories/" + b.id(t))
	require.Equal(t, http.StatusOK, p.Status)
	for _, operation := range []string{"listEvents", "listSyncRuns", "listBranches", "listTags", "listRewrites", "getInboundWebhook", "listRepositoryAudit", "getSettings", "listWebhooks"} {
		require.Contains(t, p.Body, "issued for other operations than "+operation)
	}
	for _, nothing := range []string{">none<", "None.", "No run yet", "No ref was", "No webhook", "Nothing has happened", `class="settings"`} {
		require.NotContains(t, p.Body, nothing, "what is not shown is not called nothing")
	}
	require.NotContains(t, p.Body, `class="events"`)
	require.NotContains(t, p.Body, "Lag behind the upstream")
	require.Contains(t, narrow("listRepositories", "listEvents", "listProviders").get("/console/").Body, "Lag behind the upstreams")
}

// TestRoutes_expired has sessions end in each way that they can.
func TestRoutes_expired(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sync := "/console/repositories/" + b.id(t) + "/sync"
	secret, hash := console.NewSecret()
	require.NoError(t, b.store.AddConsoleSession(t.Context(), core.ConsoleSession{
		ID: "ses_old", Hash: hash, Role: core.ConsoleOwner, Subject: "ada", CreatedAt: time.Now().Add(-time.Hour), ExpiresAt: time.Now().Add(-time.Second),
	}))
	w := b.browser(t)
	base, err := url.Parse(b.URL + "/console")
	require.NoError(t, err)
	w.Jar.SetCookies(base, []*http.Cookie{{Name: "headwater_console", Value: secret, Path: "/console"}})
	require.Equal(t, "/console/sign-in?next=%2Frepositories", w.get("/console/repositories").Path)
	require.Equal(t, "/console/sign-in?expired=1", w.post(sync, same, nil).Path)

	// A token of two seconds makes a session of two seconds.
	short := b.signedIn(t, access.Claims{Repo: "org", Scopes: access.Scopes(), ExpiresAt: time.Now().Add(2 * time.Second)}, core.ConsoleOperator)
	require.Eventually(t, func() bool { return short.get("/console/repositories").Path == "/console/sign-in?next=%2Frepositories" }, time.Minute, 200*time.Millisecond)

	// A cookie that somebody was given beforehand is no session after they have signed in.
	planted := b.browser(t)
	planted.Jar.SetCookies(base, []*http.Cookie{{Name: "headwater_console", Value: "chosen-by-somebody-else", Path: "/console"}})
	require.Equal(t, "/console/", planted.post("/console/link", same, url.Values{"code": {b.link(t, time.Minute)}}).Path)
	thief := b.browser(t)
	thief.Jar.SetCookies(base, []*http.Cookie{{Name: "headwater_console", Value: "chosen-by-somebody-else", Path: "/console"}})
	require.Contains(t, thief.get("/console/audit").Path, "/console/sign-in")
}

// TestRoutes_next never leads away from the console.
func TestRoutes_next(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, next := range []string{
		"https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "/%5cevil.example", "javascript:alert(1)", "/\r\nSet-Cookie: a=b", "/../../api", "@evil.example/", ".evil.example/",
	} {
		w := b.browser(t)
		w.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		p := w.post("/console/sign-in", same, url.Values{"token": {b.TokenWith(t, all)}, "next": {next}})
		require.Equal(t, http.StatusSeeOther, p.Status, next)
		at, err := url.Parse(p.Header.Get("Location"))
		require.NoError(t, err)
		require.Empty(t, at.Host, next)
		require.True(t, strings.HasPrefix(at.Path, "/console/"), "%q leads to %q", next, at)
		require.NotContains(t, at.Path, "..", next)
	}
}

// TestRoot: a browser that asks for the address of the server comes here, a program gets
// the answer that there is nothing.
func TestRoot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for accept, want := range map[string]int{"text/html,application/xhtml+xml": http.StatusFound, "application/json": http.StatusNotFound, "": http.StatusNotFound} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/", nil)
		require.NoError(t, err)
		r.Header.Set("Accept", accept)
		resp, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, accept)
		if want == http.StatusFound {
			require.Equal(t, "console/", resp.Header.Get("Location"), "also below a path of a proxy")
		}
	}
}

// TestLinks follows links that hold what needs to be escaped once, and not twice.
func TestLinks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.owner(t)
	link := func(path, pattern string) string {
		found := regexp.MustCompile(`href="(` + pattern + `)"`).FindStringSubmatch(w.get(path).Body)
		require.NotEmpty(t, found, "%s has no link %s", path, pattern)
		return html.UnescapeString(found[1])
	}
	host := link("/console/", `/console/repositories\?host=[^"&]*`) // with a port
	require.Contains(t, w.get(host).Body, b.id(t), host)
	require.Contains(t, w.get(link("/console/organisations", `/console/repositories\?org=`+servertest.Org)).Body, b.id(t))
	for i := range 60 {
		require.NoError(t, b.store.AddAudit(t.Context(), core.AuditEntry{
			ID: core.NewID("aud", time.Now()), Org: servertest.Org, At: time.Now(), Actor: core.Actor{Subject: "a:b+c&d"}, Action: "sync.request", Target: "number-" + strconv.Itoa(i), Outcome: "ok",
		}))
	}
	next := link("/console/audit?org="+servertest.Org+"&actor=a%3Ab%2Bc%26d", `/console/audit\?[^"]*cursor=[^"]*`)
	require.Contains(t, w.get(next).Body, "number-0", next)
}

// lines follows the stream of a browser until it ends.
func (w *browser) lines(ctx context.Context) <-chan string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/console/stream", nil)
	require.NoError(w.t, err)
	resp, err := w.Do(r)
	require.NoError(w.t, err)
	require.Equal(w.t, "text/event-stream", resp.Header.Get("Content-Type"))
	out := make(chan string, 100)
	go func() {
		defer close(out)
		defer func() { _ = resp.Body.Close() }()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			if s.Text() != "" {
				out <- s.Text()
			}
		}
	}()
	return out
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	after := time.After(time.Minute)
	for beat := false; ; {
		select {
		case line, ok := <-lines:
			switch {
			case !ok:
				return "end of the stream"
			case line == "event: beat":
				beat = true
			case beat:
				beat = false // its data
			default:
				return line
			}
		case <-after:
			require.FailNow(t, "the stream says nothing")
			return ""
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	issued, err := b.REST(t, "org").IssueToken(t.Context(), client.IssueTokenRequest{
		Repo: new("org"), Operations: []string{"listRepositories", "listEvents"}, Scopes: new([]string{"org:read"}),
	})
	require.NoError(t, err)
	w := b.browser(t)
	require.Equal(t, "/console/", w.post("/console/sign-in", same, url.Values{"token": {issued.Token}}).Path)
	lines := w.lines(ctx)
	require.Equal(t, "retry: 5000", next(t, lines))
	owner := b.owner(t).lines(ctx)
	require.Equal(t, "retry: 5000", next(t, owner))

	// What another organisation does is seen by the owner alone.
	rivals, err := b.store.Repositories(t.Context(), core.RepositoryFilter{Org: "rival", Limit: 1})
	require.NoError(t, err)
	require.NoError(t, b.store.AddEvents(t.Context(), []core.Event{{
		ID: core.NewID("evt", time.Now()), Org: "rival", RepoID: rivals[0].ID, Type: core.EventPush, Payload: []byte(`{}`), CreatedAt: time.Now(),
	}}))
	require.Equal(t, "event: change", next(t, owner))
	require.Equal(t, `data: {"repositories":["`+rivals[0].ID+`"]}`, next(t, owner))
	require.NoError(t, b.Sync(t, widget))
	require.Equal(t, "event: change", next(t, lines))
	require.Equal(t, `data: {"repositories":["`+b.id(t)+`"]}`, next(t, lines))

	// It ends with its session, which ends with its token.
	_, err = b.REST(t, "org").RevokeTokens(t.Context(), client.RevokeTokensJSONRequestBody{Jti: new(issued.Jti)})
	require.NoError(t, err)
	for line := ""; line != "event: end"; line = next(t, lines) {
		require.NotEqual(t, "end of the stream", line)
	}

	// One session has a few, and no more.
	many := b.signedIn(t, all, core.ConsoleViewer)
	for range 8 {
		many.lines(ctx)
	}
	require.Equal(t, http.StatusTooManyRequests, many.get("/console/stream").Status)
}
