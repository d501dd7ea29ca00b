package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/sdktest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// lab lets webhooks lead to receivers of tests.
var lab = events.Policy{AllowHTTP: true, AllowPrivate: true}

// delivery is what a receiver got, and what it found when it asked back.
type delivery struct {
	Header http.Header       `json:"-"`
	Fields map[string]string `json:"headers"` // of Header, for scripts
	Body   string            `json:"body"`
	found  string
}

// field returns a value of the body by a path of keys.
func (d delivery) field(t *testing.T, path string) any {
	t.Helper()
	a := servertest.Answer{}
	require.NoError(t, json.Unmarshal([]byte(d.Body), &a.Body))
	return a.At(path)
}

// hookReceiver takes deliveries; ask may look at the server before it answers.
type hookReceiver struct {
	*httptest.Server
	got chan delivery
}

func newHookReceiver(t *testing.T, ask func(d delivery) string) *hookReceiver {
	t.Helper()
	r := &hookReceiver{got: make(chan delivery, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		d := delivery{Header: req.Header.Clone(), Body: string(body), Fields: map[string]string{}}
		for name := range req.Header {
			d.Fields[strings.ToLower(name)] = req.Header.Get(name)
		}
		if ask != nil {
			d.found = ask(d)
		}
		r.got <- d
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *hookReceiver) next(t *testing.T) delivery {
	t.Helper()
	select {
	case d := <-r.got:
		return d
	case <-time.After(time.Minute):
		require.FailNow(t, "nothing was delivered")
		return delivery{}
	}
}

// orgCall calls the API for the organisation.
func orgCall(t *testing.T, s *servertest.Server, method, path string, body any) servertest.Answer {
	t.Helper()
	return s.Call(t, method, path, s.TokenWith(t, access.Claims{Repo: "org", Scopes: []access.Scope{access.OrgRead, access.RepoWrite}}), body)
}

// subscribe makes a webhook and returns its id and its secret.
func subscribe(t *testing.T, s *servertest.Server, body client.CreateWebhookRequest) (id, secret string) {
	t.Helper()
	w, err := s.REST(t, "org").CreateWebhook(t.Context(), body)
	require.NoError(t, err)
	return w.ID, w.Secret
}

// TestInvariant23_eventsWhenReadable has a receiver that reads the branch of
// an event before it answers, over REST and by git: for pushes to a local
// repository, to a synced one, and for what a sync brings.
func TestInvariant23_eventsWhenReadable(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 3})
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}, Webhooks: lab})
	var mu sync.Mutex
	tokens := map[string]string{}
	for _, name := range []string{"team/local", mirror} {
		tokens[name] = s.Token(t, name)
	}
	r := newHookReceiver(t, func(d delivery) string {
		var body struct {
			Ref        string               `json:"ref"`
			Repository struct{ URL string } `json:"repository"`
		}
		if err := json.Unmarshal([]byte(d.Body), &body); err != nil {
			return err.Error()
		}
		mu.Lock()
		token := tokens[body.Repository.URL]
		mu.Unlock()
		req, err := http.NewRequest(http.MethodGet, s.URL+"/api/v1/repos/commits?limit=1&ref="+body.Ref, nil)
		if err != nil {
			return err.Error()
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var found struct{ Commits []struct{ SHA string } }
		if err := json.NewDecoder(resp.Body).Decode(&found); err != nil || len(found.Commits) == 0 {
			return resp.Status
		}
		return found.Commits[0].SHA
	})
	subscribe(t, s, client.CreateWebhookRequest{URL: r.URL, Events: []string{"push"}})

	s.Create(t, "team/local")
	local := s.Client(t, "team/local").Clone("")
	for range 5 {
		head := local.Commit("local " + time.Now().String())
		local.Git("push", "--quiet", s.Remote("team/local"), "HEAD:refs/heads/main")
		d := r.next(t)
		require.Equal(t, head, d.field(t, "after"))
		require.Equal(t, head, d.found)
	}

	s.Mirror(t, mirror, forge, origin) // a first mirror is no change of anything
	synced := s.WorkOf(t, mirror)
	head := synced.Commit("through")
	synced.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, head, r.next(t).found)
	head = synced.Commit("past it")
	dir, err := forge.RepoDir(origin)
	require.NoError(t, err)
	synced.Git("push", "--quiet", dir, "HEAD:main")
	require.NoError(t, s.Sync(t, mirror))
	require.Equal(t, head, r.next(t).found)
	require.Empty(t, r.got)
}

// TestServer_webhooks makes, changes and deletes a webhook over the API.
func TestServer_webhooks(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Webhooks: lab})
	r := newHookReceiver(t, nil)
	s.Create(t, "team/app")
	s.Create(t, "team/other")
	id, secret := subscribe(t, s, client.CreateWebhookRequest{URL: r.URL + "/a", Events: []string{"push"}, Repo: new("team/app")})
	push := func(repo string) {
		c := s.Client(t, repo).Clone("")
		c.Commit(time.Now().String())
		c.Git("push", "--quiet", "--force", s.Remote(repo), "HEAD:refs/heads/main")
	}
	push("team/other") // not for it
	push("team/app")
	d := r.next(t)
	require.Equal(t, "push", d.Header.Get("X-Pierre-Event"))
	require.Equal(t, "team/app", d.field(t, "repository.url"))
	require.Equal(t, "local", d.field(t, "customer_id"))
	require.Nil(t, d.field(t, "type"))

	api := s.REST(t, "org")
	hook, err := api.GetWebhook(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "team/app", hook.Repo)
	require.EqualValues(t, "active", hook.State)
	list := orgCall(t, s, http.MethodGet, "/api/v1/webhooks", nil)
	require.Len(t, list.At("webhooks"), 1)
	for _, raw := range []string{list.Raw, orgCall(t, s, http.MethodGet, "/api/webhooks/"+id, nil).Raw} {
		require.NotContains(t, raw, secret)
	}

	// The log has the body and the answer.
	var log client.DeliveryList
	require.Eventually(t, func() bool {
		log, err = api.ListDeliveries(t.Context(), id, &client.ListDeliveriesParams{Limit: new(1)})
		return err == nil && len(log.Deliveries) == 1 && log.Deliveries[0].State == "delivered"
	}, time.Minute, 25*time.Millisecond)
	first := log.Deliveries[0]
	require.JSONEq(t, d.Body, string(first.Request.Body))
	require.Len(t, first.Attempts, 1)
	require.False(t, log.HasMore)

	_, err = api.Redeliver(t.Context(), id, first.ID)
	require.NoError(t, err)
	require.Equal(t, d.Body, r.next(t).Body)
	page, err := api.ListDeliveries(t.Context(), id, &client.ListDeliveriesParams{Limit: new(1)})
	require.NoError(t, err)
	require.True(t, page.HasMore)
	rest, err := api.ListDeliveries(t.Context(), id, &client.ListDeliveriesParams{Cursor: &page.NextCursor})
	require.NoError(t, err)
	require.Equal(t, first.ID, rest.Deliveries[0].ID)

	_, err = api.PingWebhook(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "ping", r.next(t).Header.Get("X-Pierre-Event"))

	change := func(body client.UpdateWebhookRequest) client.ChangedWebhook {
		changed, err := api.UpdateWebhook(t.Context(), id, body)
		require.NoError(t, err)
		return changed
	}
	changed := change(client.UpdateWebhookRequest{URL: new(r.URL + "/b"), Repo: new(""), Events: &[]string{"push", "ref.rewritten"}})
	require.Empty(t, changed.Secret)
	require.Empty(t, changed.Repo)
	push("team/other")
	require.Equal(t, "team/other", r.next(t).field(t, "repository.url"))
	rotated := change(client.UpdateWebhookRequest{Secret: new("")}).Secret
	require.NotEqual(t, secret, rotated)
	require.Len(t, rotated, 43)

	require.EqualValues(t, "inactive", change(client.UpdateWebhookRequest{Active: new(false)}).State)
	_, err = api.PingWebhook(t.Context(), id)
	servertest.RequireRefused(t, http.StatusConflict, err)
	require.NoError(t, api.DeleteWebhook(t.Context(), id))
	_, err = api.GetWebhook(t.Context(), id)
	servertest.RequireRefused(t, http.StatusNotFound, err)
	require.Empty(t, r.got)
	for _, text := range []string{secret, rotated} {
		require.NotContains(t, s.Log.String(), text)
	}
}

// TestServer_webhooksRefuse is what the API says to requests that will not do.
func TestServer_webhooksRefuse(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	good := map[string]any{"url": "https://203.0.114.9/hook", "events": []string{"push"}}
	with := func(key string, value any) map[string]any {
		body := map[string]any{}
		for k, v := range good {
			body[k] = v
		}
		body[key] = value
		return body
	}
	for name, test := range map[string]struct {
		body map[string]any
		want string
	}{
		"no url":       {map[string]any{"events": []string{"push"}}, "url"},
		"no events":    {map[string]any{"url": "https://203.0.114.9/"}, "repo.sync.succeeded"},
		"unknown":      {with("events", []string{"branch.created"}), `"branch.created" is unknown`},
		"http":         {with("url", "http://203.0.114.9/"), "--webhooks-allow-http"},
		"loopback":     {with("url", "https://127.0.0.1/"), "loopback"},
		"metadata":     {with("url", "https://169.254.169.254/latest"), "metadata"},
		"repository":   {with("repo", "team/none"), `"team/none"`},
		"short secret": {with("secret", "abc"), "secret"},
		"type":         {with("events", "push"), "events"},
	} {
		a := orgCall(t, s, http.MethodPost, "/api/v1/webhooks", test.body)
		require.Equal(t, http.StatusBadRequest, a.Status, name+": "+a.Raw)
		require.Contains(t, a.At("error"), test.want, name)
	}
	call := func(claims access.Claims, method string) int {
		return s.Call(t, method, "/api/webhooks", s.TokenWith(t, claims), good).Status
	}
	org, read, write := "org", []access.Scope{access.OrgRead}, []access.Scope{access.RepoWrite}
	require.Equal(t, http.StatusForbidden, call(access.Claims{Repo: org, Scopes: read}, http.MethodPost))
	require.Equal(t, http.StatusForbidden, call(access.Claims{Repo: "team/app", Scopes: write}, http.MethodPost), "organisation-wide tokens only")
	require.Equal(t, http.StatusForbidden, call(access.Claims{Repo: org, Scopes: write}, http.MethodGet))
	require.Equal(t, http.StatusCreated, call(access.Claims{Repo: org, Scopes: write}, http.MethodPost))
	require.Equal(t, http.StatusOK, call(access.Claims{Repo: org, Scopes: read}, http.MethodGet))
}

// instants finds the times in a body.
var instants = regexp.MustCompile(`\d{4}-\d\d-\d\dT[^"]*`)

// TestServer_deliveriesSatisfyTheSDK has the published SDK validate what a
// receiver really got: pushes and the events of a sync. Each says of which organisation
// and repository it is, and its times have whole seconds.
func TestServer_deliveriesSatisfyTheSDK(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 2})
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}, Webhooks: lab})
	r := newHookReceiver(t, nil)
	_, secret := subscribe(t, s, client.CreateWebhookRequest{URL: r.URL, Events: []string{"push", "repo.sync.started", "repo.sync.succeeded"}})
	s.Create(t, "team/local")
	c := s.Client(t, "team/local").Clone("")
	c.Commit("first")
	c.Git("push", "--quiet", s.Remote("team/local"), "HEAD:refs/heads/main", "HEAD:refs/tags/v1")
	s.Link(t, mirror, forge, origin)
	s.Pull(t, mirror)
	types := map[string]int{}
	var got []delivery
	for types["repo.sync.succeeded"] == 0 {
		d := r.next(t)
		types[d.Header.Get("X-Pierre-Event")]++
		got = append(got, d)
	}
	require.Equal(t, 1, types["repo.sync.started"])
	require.Equal(t, 2, types["push"])
	for _, d := range got {
		want := "team/local"
		if d.Header.Get("X-Pierre-Event") != "push" {
			want = mirror
		}
		require.Equal(t, []any{servertest.Org, want, want}, []any{d.field(t, "org"), d.field(t, "repository.repo_name"), d.field(t, "repository.url")}, d.Body)
		require.NotEmpty(t, instants.FindAllString(d.Body, -1), d.Body)
		for _, at := range instants.FindAllString(d.Body, -1) {
			require.Len(t, at, len("2006-01-02T15:04:05Z"), "receivers are promised whole seconds: %s", d.Body)
		}
	}
	text, err := json.Marshal(got)
	require.NoError(t, err)
	sdktest.Run(t, "testdata/sdk/webhook.mjs", s.URL, "", s.PrivatePEM(), "WEBHOOK_SECRET="+secret, "WEBHOOK_DELIVERIES="+string(text))
}
