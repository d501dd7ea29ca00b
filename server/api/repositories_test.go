package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/upstream"
)

func TestNew_authorisation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.create(t, "team/app", "")
	b.create(t, "lib", "")
	all := access.Scopes()
	for _, tt := range []struct {
		name, method, path, token string
		want                      int
	}{
		{"no token", "GET", "/api/v1/repo", "", 401},
		{"malformed token", "GET", "/api/v1/repo", "abc", 401},
		{"legacy", "GET", "/api/v1/repo", b.token(t, "team/app", access.GitRead), 200},
		{"preferred", "GET", "/api/repos/team%2Fapp", b.token(t, "team/app", access.GitRead), 200},
		{"preferred, more encoded than needed", "GET", "/api/repos/%74eam%2fapp", b.token(t, "team/app", access.GitRead), 200},
		{"any scope may get", "GET", "/api/v1/repo", b.token(t, "team/app", access.RepoWrite), 200},
		{"claim by internal id", "GET", "/api/v1/repo", b.token(t, id, access.GitRead), 200},
		{"path by internal id", "GET", "/api/repos/" + id, b.token(t, "team/app", access.GitRead), 200},
		{"claim by internal id, path by name", "GET", "/api/repos/team%2Fapp", b.token(t, id, access.GitRead), 200},
		{"HEAD", "HEAD", "/api/v1/repo", b.token(t, "team/app", access.GitRead), 200},
		{"path of another repository", "GET", "/api/repos/lib", b.token(t, "team/app", all...), 403},
		{"path of no repository", "GET", "/api/repos/none", b.token(t, "team/app", all...), 403},
		{"path decoded once only", "GET", "/api/repos/team%252Fapp", b.token(t, "team/app", all...), 403},
		{"path that climbs", "GET", "/api/repos/lib%2F..%2Fteam%2Fapp", b.token(t, "team/app", all...), 403},
		{"slash not encoded", "GET", "/api/repos/team/app", b.token(t, "team/app", all...), 404},
		{"repository that does not exist", "GET", "/api/v1/repo", b.token(t, "none", all...), 404},
		{"repository of another organisation", "GET", "/api/v1/repo", b.tokenOf(t, "other", "team/app", all...), 404},
		{"the same by internal id", "GET", "/api/v1/repo", b.tokenOf(t, "other", id, all...), 404},
		{"the same by path", "GET", "/api/repos/team%2Fapp", b.tokenOf(t, "other", "x", all...), 403},
		{"org token names no repository", "GET", "/api/v1/repo", b.token(t, "org", all...), 403},
		{"no claim names no repository", "GET", "/api/repos/lib", b.token(t, "", all...), 403},
		{"list with org", "GET", "/api/v1/repos", b.token(t, "org", access.OrgRead), 200},
		{"list without a claim", "GET", "/api/repos", b.token(t, "", access.OrgRead), 200},
		{"list with a token for one repository", "GET", "/api/repos", b.token(t, "lib", all...), 403},
		{"list without the scope", "GET", "/api/repos", b.token(t, "org", access.RepoWrite), 403},
		{"create without the scope", "POST", "/api/repos", b.token(t, "new", access.GitWrite), 403},
		{"create with an org token", "POST", "/api/repos", b.token(t, "org", all...), 403},
		{"delete without the scope", "DELETE", "/api/repos/lib", b.token(t, "lib", access.GitWrite), 403},
		{"patch without the scope", "PATCH", "/api/v1/repo", b.token(t, "lib", access.GitWrite), 403},
		{"detach without the scope", "DELETE", "/api/v1/repos/base", b.token(t, "lib", access.RepoWrite), 403},
		{"pull without the scope", "POST", "/api/repos/lib/pull-upstream", b.token(t, "lib", access.GitRead), 403},
		{"credential without the scope", "POST", "/api/repos/lib/git-credentials", b.token(t, "lib", access.GitWrite), 403},
		{"providers", "GET", "/providers", b.token(t, "lib", access.OrgRead), 200},
		{"providers without a token", "GET", "/providers", "", 401},
		{"providers without the scope", "GET", "/providers", b.token(t, "lib", access.GitRead), 403},
		{"health without a token", "GET", "/healthz", "", 200},
		{"readiness without a token", "HEAD", "/readyz", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := b.do(t, tt.method, tt.path, tt.token, "")
			require.Equal(t, tt.want, a.status, a.raw)
			if tt.want >= 400 {
				require.NotEmpty(t, a.at("error"))
				require.Equal(t, float64(tt.want), a.at("status"))
			}
			if tt.want == 401 {
				require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")
			}
		})
	}
}

func TestNew_unknownRoutesAndMethodsAreJSON(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, tt := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/api", 404, ""},
		{"GET", "/api/v1/nothing", 404, ""},
		{"GET", "/api/v2/repos", 404, ""},
		{"GET", "/api//repos", 404, ""},
		{"GET", "/api/repos/", 404, ""},
		{"PUT", "/api/v1/repo", 405, "GET, HEAD, PATCH"},
		{"PUT", "/api/repos/a", 405, "DELETE, GET, HEAD, PATCH"},
		{"GET", "/api/v1/repos/git-credentials", 405, "DELETE, POST, PUT"},
		{"GET", "/api/repos/a/git-credentials/1", 405, "DELETE, PUT"},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"DELETE", "/readyz", 405, "GET, HEAD"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			a := b.do(t, tt.method, tt.path, "", "")
			require.Equal(t, tt.want, a.status)
			require.NotEmpty(t, a.at("error"))
			require.Equal(t, tt.allow, a.header.Get("Allow"))
		})
	}
}

func TestNew_encodedBodiesAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for coding, want := range map[string]int{"gzip": http.StatusUnsupportedMediaType, "br": http.StatusUnsupportedMediaType, "Identity": http.StatusCreated} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://git.example.com/api/v1/repos", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+b.token(t, coding, access.RepoWrite))
		r.Header.Set("Content-Encoding", coding)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, "%s: %s", coding, w.Body)
	}
}

func TestNew_health(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.Equal(t, "1.2.3", b.do(t, http.MethodGet, "/healthz", "", "").at("version"))
	require.Equal(t, "ready", b.do(t, http.MethodGet, "/readyz?writes=true", "", "").at("status"))
	b.ledger.readOnly = core.Errorf(core.KindResource, "no space is left")
	require.Equal(t, "read-only", b.do(t, http.MethodGet, "/readyz", "", "").at("status"), "reads go on")
	for _, yes := range []string{"true", "1", "t"} {
		require.Equal(t, http.StatusServiceUnavailable, b.do(t, http.MethodGet, "/readyz?writes="+yes, "", "").status)
	}
	for _, bad := range []string{"writes=yes", "writes=%zz", "writes=false&writes=true", "x;writes=true"} {
		require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodGet, "/readyz?"+bad, "", "").status, bad)
	}
	b.ledger.notReady = core.Errorf(core.KindInternal, "ping /var/lib/db: closed")
	a := b.do(t, http.MethodGet, "/readyz", "", "")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.NotContains(t, a.raw, "/var/lib")
}

func TestServer_listProviders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.do(t, http.MethodGet, "/providers", b.token(t, "", access.OrgRead), "")
	require.JSONEq(t, `{"providers":[{"name":"gitlab","type":"gitlab","hosts":[],"builtin":false,"state":"running","generation":0,"crashes":0}]}`, a.raw)
}

func TestServer_createRepository_answers(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/v1/repos", "/api/repos"} {
		for _, tt := range []struct {
			name, query, body string
			want              map[string]any
		}{
			{"no body", "", "", map[string]any{"default_branch": "main", "base_repo": nil, "sync": nil, "credential": nil}},
			{"null", "", "null", map[string]any{"default_branch": "main"}},
			{"branch", "", `{"default_branch":"trunk"}`, map[string]any{"default_branch": "trunk"}},
			{"branch in the query", "?default_branch=dev", `{}`, map[string]any{"default_branch": "dev"}},
			{"body before query", "?default_branch=dev", `{"default_branch":"trunk"}`, map[string]any{"default_branch": "trunk"}},
			{"unknown keys", "", `{"base_repo":null,"color":1}`, map[string]any{"default_branch": "main"}},
			{"public GitHub", "", `{"base_repo":{"provider":"GitHub","owner":"o","name":"n","auth":{"auth_type":"public"},"operation":"sync"}}`,
				map[string]any{"base_repo.provider": "github", "base_repo.owner": "o", "base_repo.name": "n", "base_repo.upstream_host": "github.com", "sync.state": "pending"}},
			{"provider left out is GitHub", "", `{"base_repo":{"owner":"o","name":"n","auth":{"auth_type":"public"}}}`, map[string]any{"base_repo.provider": "github"}},
			{"generic", "", gitlabBody, map[string]any{"base_repo.provider": "gitlab", "base_repo.owner": "group/sub", "sync.state": "pending", "sync.runs": 0.0, "sync.failures": 0.0}},
			{"generic with host", "", `{"base_repo":{"provider":"gitea","owner":"o","name":"n","upstream_host":"git.corp:3000"}}`,
				map[string]any{"base_repo.upstream_host": "git.corp:3000"}},
		} {
			t.Run(path+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				a := b.do(t, http.MethodPost, path+tt.query, b.token(t, "team/app", access.RepoWrite), tt.body)
				require.Equal(t, http.StatusCreated, a.status, a.raw)
				require.Regexp(t, "^repo_", a.at("repo_id"))
				require.Equal(t, a.at("repo_id"), a.at("id"))
				require.Equal(t, "team/app", a.at("repo_name"))
				require.Equal(t, "team/app", a.at("url"))
				require.Equal(t, "http://git.example.com/team/app.git", a.at("http_url"))
				require.Equal(t, "repository created", a.at("message"))
				_, err := time.Parse(time.RFC3339, a.at("created_at").(string))
				require.NoError(t, err)
				for path, want := range tt.want {
					require.Equal(t, want, a.at(path), path)
				}
			})
		}
	}
}

func TestServer_createRepository_refuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "taken", "")
	for _, tt := range []struct {
		name, repo, body string
		status           int
		text             string
	}{
		{"taken", "taken", "", 409, "exists already"},
		{"bad name", "a/../b", "", 400, `must not be`},
		{"not JSON", "app", "{", 400, "not valid JSON"},
		{"two values", "app", "{}{}", 400, "not valid JSON"},
		{"array", "app", "[]", 400, "must be a JSON object"},
		{"branch is a number", "app", `{"default_branch":1}`, 400, `the field "default_branch" must be a string, not number`},
		{"base is a string", "app", `{"base_repo":"x"}`, 400, `the field "base_repo" must be an object, not string`},
		{"owner is a list", "app", `{"base_repo":{"owner":[]}}`, 400, `the field "base_repo.owner" must be a string, not array`},
		{"auth is a string", "app", `{"base_repo":{"auth":"x"}}`, 400, `the field "base_repo.auth" must be an object`},
		{"no owner", "app", `{"base_repo":{"provider":"gitlab","name":"n"}}`, 400, "owner and base_repo.name are required"},
		{"unknown auth", "app", `{"base_repo":{"provider":"gitlab","owner":"o","name":"n","auth":{"auth_type":"magic"}}}`, 400, `"magic" is unknown`},
		{"unknown operation", "app", `{"base_repo":{"owner":"o","name":"n","operation":"steal"}}`, 400, `"steal" is unknown`},
		{"fork", "app", `{"base_repo":{"provider":"code","owner":"acme","name":"n","operation":"fork","auth":{"token":"x"}}}`, 403, "base_repo.auth.token: the token is malformed"},
		{"fork without a token", "app", `{"base_repo":{"provider":"code","owner":"acme","name":"n","operation":"fork"}}`, 400, "base_repo.auth.token is required"},
		{"fork of another host", "app", `{"base_repo":{"provider":"gitlab","owner":"acme","name":"n","operation":"fork","auth":{"token":"x"}}}`, 400, "for repositories of this server"},
		{"snapshot", "app", `{"base_repo":{"provider":"code.storage","name":"n","operation":"snapshot","ref":"main"},"initial_commit":{}}`, 400, "base_repo.auth.token is required"},
		{"sync from itself", "app", `{"base_repo":{"provider":"code.storage","owner":"o","name":"n"}}`, 400, "names this server"},
		{"no App", "app", `{"base_repo":{"provider":"github","owner":"o","name":"n"}}`, 412, "not configured"},
		{"too large", "app", `{"x":"` + strings.Repeat("a", maxBody) + `"}`, 413, "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := b.do(t, http.MethodPost, "/api/v1/repos", b.token(t, tt.repo, access.RepoWrite), tt.body)
			require.Equal(t, tt.status, a.status, a.raw)
			require.Contains(t, a.at("error"), tt.text)
		})
	}
}

func TestServer_listRepositories_pages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var want []string
	for i := range 45 {
		name := fmt.Sprintf("Team/app-%02d", i)
		b.create(t, name, "")
		want = append([]string{name}, want...)
	}
	_, err := b.ledger.CreateRepository(t.Context(), engine.CreateRequest{Org: "other", Name: "foreign"})
	require.NoError(t, err)
	token := b.token(t, "org", access.OrgRead)
	list := func(t *testing.T, query url.Values) ([]string, answer) {
		t.Helper()
		a := b.do(t, http.MethodGet, "/api/v1/repos?"+query.Encode(), token, "")
		require.Equal(t, http.StatusOK, a.status, a.raw)
		var names []string
		for _, item := range a.at("repos").([]any) {
			repo := item.(map[string]any)
			require.Equal(t, repo["repo_name"], repo["url"])
			names = append(names, repo["url"].(string))
		}
		return names, a
	}

	t.Run("walks to the end, newest first", func(t *testing.T) {
		t.Parallel()
		var got []string
		query := url.Values{}
		for pages := 1; ; pages++ {
			names, a := list(t, query)
			got = append(got, names...)
			if a.at("has_more") == false {
				require.Nil(t, a.at("next_cursor"))
				require.Equal(t, 3, pages)
				break
			}
			require.Len(t, names, 20)
			query.Set("cursor", a.at("next_cursor").(string))
		}
		require.Equal(t, want, got)
	})
	for _, tt := range []struct {
		limit string
		want  int
	}{{"1", 1}, {"0", 1}, {"-5", 1}, {"44", 44}, {"45", 45}, {"100", 45}, {"1000", 45}, {"99999999999999999999", 45}} {
		t.Run("limit "+tt.limit, func(t *testing.T) {
			t.Parallel()
			names, a := list(t, url.Values{"limit": {tt.limit}})
			require.Len(t, names, tt.want)
			require.Equal(t, tt.want < 45, a.at("has_more"))
		})
	}
	t.Run("query", func(t *testing.T) {
		t.Parallel()
		names, _ := list(t, url.Values{"q": {" tEAM/APP-1 "}, "limit": {"100"}})
		require.Len(t, names, 10)
		names, a := list(t, url.Values{"q": {"nothing"}})
		require.Empty(t, names)
		require.Equal(t, []any{}, a.at("repos"))
	})
	for _, query := range []string{"cursor=%21", "cursor=YWJj", "cursor=cmVwb3M6", "limit=ten", "host=%00", "host=a,b", "host=..", "host=a:b", "host=a%09", "host=user@host"} {
		t.Run("refuses "+query, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodGet, "/api/repos?"+query, token, "").status)
		})
	}
}

// Invariant 22: the status of a failure carries class and host sentence.
func TestServer_getRepository_tellsTheSync(t *testing.T) {
	t.Parallel()
	at := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		status engine.SyncStatus
		want   map[string]any
	}{
		{"pending", engine.SyncStatus{}, map[string]any{"state": "pending", "last_success_at": nil, "last_error": nil, "progress": nil, "last_run": nil, "next_attempt_at": nil}},
		{"syncing", engine.SyncStatus{Running: true, Progress: &core.Progress{Phase: "Receiving objects", Percent: 40, Step: 1, Steps: 2}, LastRun: &core.Run{ID: "run_1", StartedAt: at}},
			map[string]any{"state": "syncing", "progress.percent": 40.0, "progress.phase": "Receiving objects", "last_run.id": "run_1", "last_run.outcome": "", "last_run.finished_at": nil}},
		{"ready", engine.SyncStatus{SyncState: core.SyncState{FirstSyncedAt: at, LastSuccessAt: at, Runs: 3},
			LastRun: &core.Run{ID: "run_3", Trigger: "api", Outcome: "succeeded", StartedAt: at, FinishedAt: at.Add(time.Second), RefsCreated: 1, RefsUpdated: 2, RefsDeleted: 3, Bytes: 4}},
			map[string]any{"state": "ready", "last_success_at": "2031-05-01T12:00:00Z", "runs": 3.0, "last_run.trigger": "api", "last_run.outcome": "succeeded",
				"last_run.started_at": "2031-05-01T12:00:00Z", "last_run.finished_at": "2031-05-01T12:00:01Z", "last_run.refs_created": 1.0,
				"last_run.refs_updated": 2.0, "last_run.refs_deleted": 3.0, "last_run.bytes": 4.0}},
		{"failing", engine.SyncStatus{SyncState: core.SyncState{LastErrorAt: at, LastClass: core.ClassAuth, LastError: "authentication failed", Failures: 2, NextAttemptAt: at.Add(time.Minute)}},
			map[string]any{"state": "failing", "last_error.class": "auth", "last_error.message": "authentication failed", "last_error.at": "2031-05-01T12:00:00Z",
				"failures": 2.0, "next_attempt_at": "2031-05-01T12:01:00Z"}},
		{"ready again after a failure", engine.SyncStatus{SyncState: core.SyncState{FirstSyncedAt: at, LastSuccessAt: at, LastErrorAt: at, LastClass: core.ClassAuth}},
			map[string]any{"state": "ready", "last_error": nil}},
		{"held", engine.SyncStatus{SyncState: core.SyncState{FirstSyncedAt: at, LastClass: core.ClassDiverged, LastError: "most refs are gone", LastErrorAt: at, BrakeDigest: "x"}},
			map[string]any{"state": "held", "last_error.class": "diverged"}},
		{"not asked who it is", engine.SyncStatus{}, map[string]any{"state": "pending", "identity.state": "unchecked", "identity.confirmed_at": nil, "identity.message": nil}},
		{"known to be the same", engine.SyncStatus{Identity: upstream.Identity{Asked: true, Confirmed: at, Settled: true}},
			map[string]any{"state": "pending", "identity.state": "confirmed", "identity.confirmed_at": "2031-05-01T12:00:00Z"}},
		{"another one now", engine.SyncStatus{Identity: upstream.Identity{Asked: true, Confirmed: at}},
			map[string]any{"state": "pending", "identity.state": "unconfirmed", "identity.confirmed_at": "2031-05-01T12:00:00Z"}},
		{"a credential that cannot ask", engine.SyncStatus{Identity: upstream.Identity{Confirmed: at, Reason: "insufficient scope"}},
			map[string]any{"state": "pending", "identity.state": "unavailable", "identity.confirmed_at": "2031-05-01T12:00:00Z", "identity.message": "insufficient scope"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := b.create(t, "app", gitlabBody)
			b.ledger.statuses[id] = tt.status
			a := b.do(t, http.MethodGet, "/api/repos/app", b.token(t, "app", access.GitRead), "")
			require.Equal(t, http.StatusOK, a.status)
			for path, want := range tt.want {
				require.Equal(t, want, a.at("sync."+path), path)
			}
			a = b.do(t, http.MethodGet, "/api/repos", b.token(t, "org", access.OrgRead), "")
			require.Equal(t, tt.want["state"], a.at("repos").([]any)[0].(map[string]any)["sync"].(map[string]any)["state"])
		})
	}
}

func TestServer_getRepository_tellsItsOwnAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "team/app", "")
	for _, tt := range []struct {
		name, scheme, forwarded, want string
	}{
		{"plain", "http", "", "http://git.example.com/team/app.git"},
		{"TLS", "https", "", "https://git.example.com/team/app.git"},
		{"TLS in front", "http", "https", "https://git.example.com/team/app.git"},
		{"odd header", "http", "javascript", "http://git.example.com/team/app.git"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.scheme+"://git.example.com/api/v1/repo", nil)
			r.Header.Set("Authorization", "Bearer "+b.token(t, "team/app", access.GitRead))
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-Proto", tt.forwarded)
			}
			w := httptest.NewRecorder()
			b.ServeHTTP(w, r)
			require.Contains(t, w.Body.String(), `"http_url":"`+tt.want+`"`)
		})
	}
}

func TestServer_updateRepository_table(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		branch     string
	}{
		{"changes", `{"default_branch":"release/1"}`, 200, "release/1"},
		{"another case", `{"Default_Branch":"release/1"}`, 200, "release/1"},
		{"again, and then null", `{"default_branch":"release/1","DEFAULT_BRANCH":null}`, 200, "release/1"},
		{"nothing to change", `{}`, 400, ""},
		{"no known field", `{"name":"x"}`, 400, ""},
		{"no body", ``, 400, ""},
		{"null", `{"default_branch":null,"name":"x"}`, 400, ""},
		{"missing branch", `{"default_branch":"missing"}`, 404, ""},
		{"empty", `{"default_branch":""}`, 400, ""},
		{"bad name", `{"default_branch":"a..b"}`, 400, ""},
		{"number", `{"default_branch":1}`, 400, ""},
	} {
		for _, path := range []string{"/api/v1/repo", "/api/repos/app"} {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.create(t, "app", "")
				a := b.do(t, http.MethodPatch, path, b.token(t, "app", access.RepoWrite), tt.body)
				require.Equal(t, tt.status, a.status, a.raw)
				if tt.status == 200 {
					require.Equal(t, tt.branch, a.at("default_branch"))
				}
			})
		}
	}
}

func TestServer_deleteRepository_thenIsGone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/v1/repos/delete", "/api/repos/team%2Fapp"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := b.create(t, "team/app", "")
			token := b.token(t, "team/app", access.RepoWrite)
			a := b.do(t, http.MethodDelete, path, token, "")
			require.Equal(t, http.StatusOK, a.status)
			require.Equal(t, id, a.at("repo_id"))
			require.NotEmpty(t, a.at("message"))
			require.Equal(t, http.StatusNotFound, b.do(t, http.MethodDelete, path, token, "").status)
			require.NotEqual(t, id, b.create(t, "team/app", ""), "the name is free, the id is new")
		})
	}
}

func TestServer_detach_isIdempotent(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/v1/repos/base", "/api/repos/app/base"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.create(t, "app", gitlabBody)
			token := b.token(t, "app", access.GitWrite)
			for range 2 {
				a := b.do(t, http.MethodDelete, path, token, "")
				require.Equal(t, http.StatusOK, a.status)
				require.JSONEq(t, `{"message":"repository detached"}`, a.raw)
			}
			a := b.do(t, http.MethodGet, "/api/v1/repo", token, "")
			require.Nil(t, a.at("base_repo"))
			require.Nil(t, a.at("sync"))
		})
	}
}

// TestServer_relinking_isNotForThoseWhoMayNotPush: without its upstream, or
// behind another, a protected branch would not be protected any more.
func TestServer_relinking_isNotForThoseWhoMayNotPush(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "app", gitlabBody)
	for name, tt := range map[string]struct {
		refs   []access.RefOps
		status int
	}{
		"nothing may be pushed":    {[]access.RefOps{{Pattern: "*", Ops: []access.Op{access.NoPush}}}, 403},
		"one branch may not":       {[]access.RefOps{{Pattern: "main", Ops: []access.Op{access.NoPush}}}, 403},
		"all but one branch":       {[]access.RefOps{{Pattern: "agents/*"}, {Pattern: "*", Ops: []access.Op{access.NoPush}}}, 403},
		"pushes without rewriting": {[]access.RefOps{{Pattern: "*", Ops: []access.Op{access.NoForcePush}}}, 200},
	} {
		token, err := access.Sign(b.signers["acme"], access.Claims{
			Issuer: "acme", Subject: "tester", Repo: "app", Scopes: []access.Scope{access.GitWrite, access.RepoWrite},
			IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour), Refs: tt.refs,
		})
		require.NoError(t, err)
		methods := []string{http.MethodDelete}
		if tt.status == 403 {
			methods = append(methods, http.MethodPost, http.MethodPut)
		}
		for _, method := range methods {
			a := b.do(t, method, "/api/repos/app/base", token, `{"base_repo":{"provider":"gitlab","owner":"a","name":"b"}}`)
			require.Equal(t, tt.status, a.status, "%s: %s: %s", name, method, a.raw)
			if tt.status == 403 {
				require.Contains(t, a.at("error"), "denied by policy", name)
			}
		}
	}
}

func TestServer_pullUpstream_table(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, repo, body string
		status           int
		pulls            []string
	}{
		{"no body", "synced", ``, 202, []string{"api:"}},
		{"empty object", "synced", `{}`, 202, []string{"api:"}},
		{"one ref", "synced", `{"ref":"main"}`, 202, []string{"api:main"}},
		{"after is ignored", "synced", `{"after":7}`, 202, []string{"api:"}},
		{"ref of a wrong type", "synced", `{"ref":{}}`, 400, nil},
		{"ref that no upstream is asked for", "synced", `{"ref":"refs/pull/1/head"}`, 400, nil},
		{"no upstream", "local", `{}`, 400, nil},
	} {
		for _, family := range []string{"/api/v1/repos", "/api/repos/" + tt.repo} {
			t.Run(tt.name+" "+family, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				b.create(t, "synced", gitlabBody)
				b.create(t, "local", "")
				a := b.do(t, http.MethodPost, family+"/pull-upstream", b.token(t, tt.repo, access.GitWrite), tt.body)
				require.Equal(t, tt.status, a.status, a.raw)
				require.Equal(t, tt.pulls, b.ledger.pulls)
				if tt.status == 202 {
					require.JSONEq(t, `{"message":"Repository sync initiated successfully","wanted":1}`, a.raw)
				}
			})
		}
	}
}
