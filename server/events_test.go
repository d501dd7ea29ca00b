package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// sse is one server-sent event.
type sse struct{ id, event, data string }

// at returns a value of the data by a path of keys.
func (e sse) at(t *testing.T, path string) any {
	t.Helper()
	a := servertest.Answer{}
	require.NoError(t, json.Unmarshal([]byte(e.data), &a.Body))
	return a.At(path)
}

// feed is an open stream.
type feed struct {
	header http.Header
	events chan sse // closed at the end
	close  func()
}

// openFeed opens a stream of events.
func openFeed(t *testing.T, s *servertest.Server, query, last string, claims access.Claims) *feed {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/events"+query, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+s.TokenWith(t, claims))
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	f := &feed{header: resp.Header, events: make(chan sse, 1000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(f.events)
		defer resp.Body.Close()
		var e sse
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			switch key, value, _ := strings.Cut(lines.Text(), ": "); key {
			case "id":
				e.id = value
			case "event":
				e.event = value
			case "data":
				e.data = value
			case "":
				f.events <- e
				e = sse{}
			}
		}
	}()
	f.close = func() { cancel(); <-ended }
	t.Cleanup(f.close)
	begin := f.next(t)
	require.Empty(t, begin.event, "first the position")
	require.NotEmpty(t, begin.id)
	return f
}

// next returns the next event that is no progress.
func (f *feed) next(t *testing.T) sse {
	t.Helper()
	for {
		select {
		case e, open := <-f.events:
			require.True(t, open, "the stream ended")
			if e.event != "sync.progress" {
				return e
			}
		case <-time.After(time.Minute):
			require.FailNow(t, "no event came")
		}
	}
}

// ended waits until the server has ended the stream.
func (f *feed) ended(t *testing.T) {
	t.Helper()
	for {
		select {
		case _, open := <-f.events:
			if !open {
				return
			}
		case <-time.After(time.Minute):
			require.FailNow(t, "the stream goes on")
		}
	}
}

var orgRead = access.Claims{Repo: "org", Scopes: []access.Scope{access.OrgRead}}

// TestServer_streamsEvents follows pushes over breaks of the connection: by
// the last id, nothing comes twice and nothing is left out.
func TestServer_streamsEvents(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	for _, name := range []string{"team/a", "team/b"} {
		s.Create(t, name)
	}
	client := map[string]*servertest.Client{}
	push := func(repo string) string {
		if client[repo] == nil {
			client[repo] = s.Client(t, repo).Clone("")
		}
		head := client[repo].Commit(time.Now().String())
		client[repo].Git("push", "--quiet", s.Remote(repo), "HEAD:refs/heads/main")
		return head
	}
	before := push("team/a")
	all := openFeed(t, s, "", "", orgRead)
	one := openFeed(t, s, "", "", access.Claims{Repo: "team/b", Scopes: []access.Scope{access.GitRead}})
	other := openFeed(t, s, "?type=ref.rewritten&repo=team/a", "", orgRead)

	a := push("team/a")
	e := all.next(t)
	require.Equal(t, "push", e.event)
	require.Equal(t, a, e.at(t, "body.after"))
	require.Equal(t, "team/a", e.at(t, "repository.url"))
	require.Equal(t, "push", e.at(t, "type"))
	require.NotEmpty(t, e.at(t, "id"))
	require.NotEmpty(t, e.at(t, "created_at"))
	b := push("team/b")
	require.Equal(t, b, all.next(t).at(t, "body.after"))
	require.Equal(t, b, one.next(t).at(t, "body.after"), "of its own repository, and nothing before")
	require.Empty(t, other.events)

	// Away for two pushes.
	last := e.id
	all.close()
	want := []string{b, push("team/a"), push("team/b")}
	all = openFeed(t, s, "", last, orgRead)
	for _, head := range want {
		e = all.next(t)
		require.Equal(t, head, e.at(t, "body.after"))
	}
	require.Empty(t, all.events)
	// From the beginning, and the same as pages.
	whole := openFeed(t, s, "?after=0", "", orgRead)
	require.Equal(t, before, whole.next(t).at(t, "body.after"))
	page := s.Call(t, http.MethodGet, "/api/events?after=0&limit=2", s.TokenWith(t, orgRead), nil)
	require.Equal(t, http.StatusOK, page.Status, page.Raw)
	require.Len(t, page.At("events"), 2)
	require.Equal(t, true, page.At("has_more"))
	page = s.Call(t, http.MethodGet, "/api/events?cursor="+page.At("next_cursor").(string), s.TokenWith(t, orgRead), nil)
	require.Len(t, page.At("events"), 3)
	require.Equal(t, false, page.At("has_more"))
	require.Equal(t, e.id, page.At("next_cursor"))

	// Streams do not hold up the end of the server.
	began := time.Now()
	s.Stop(t)
	require.Less(t, time.Since(began), 20*time.Second)
	for _, f := range []*feed{all, one, other, whole} {
		f.ended(t)
	}
}

// TestServer_eventsNeedTheirTokens is who may read what.
func TestServer_eventsNeedTheirTokens(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	for _, name := range []string{"team/a", "team/b"} {
		s.Create(t, name)
	}
	for name, test := range map[string]struct {
		claims access.Claims
		query  string
		want   int
	}{
		"organisation":            {orgRead, "", 200},
		"one of it":               {orgRead, "?repo=team/a", 200},
		"none of it":              {orgRead, "?repo=team/none", 404},
		"repository":              {access.Claims{Repo: "team/a", Scopes: []access.Scope{access.GitRead}}, "", 200},
		"that one":                {access.Claims{Repo: "team/a", Scopes: []access.Scope{access.GitWrite}}, "?repo=team/a", 200},
		"another one":             {access.Claims{Repo: "team/a", Scopes: []access.Scope{access.GitRead}}, "?repo=team/b", 403},
		"repository with no read": {access.Claims{Repo: "team/a", Scopes: []access.Scope{access.OrgRead}}, "", 403},
		"organisation, git:read":  {access.Claims{Repo: "org", Scopes: []access.Scope{access.GitRead}}, "", 403},
		"unknown type":            {orgRead, "?type=pushed", 400},
		"bad position":            {orgRead, "?after=x", 400},
	} {
		a := s.Call(t, http.MethodGet, "/api/events"+test.query, s.TokenWith(t, test.claims), nil)
		require.Equal(t, test.want, a.Status, name+": "+a.Raw)
	}
	// A stream ends with its token.
	f := openFeed(t, s, "", "", access.Claims{Repo: "org", Scopes: []access.Scope{access.OrgRead}, ExpiresAt: time.Now().Add(2 * time.Second)})
	f.ended(t)
}

// TestServer_streamsProgress tells of a running sync, without an id.
func TestServer_streamsProgress(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 2})
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}})
	s.Link(t, mirror, forge, origin)
	hold := make(chan struct{})
	forge.Inject(forgetest.Fault{Before: func() { <-hold }})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	f := openFeed(t, s, "", "", orgRead)
	s.Pull(t, mirror)
	for {
		select {
		case e, open := <-f.events:
			require.True(t, open)
			if e.event != "sync.progress" {
				continue
			}
			require.Empty(t, e.id)
			require.Equal(t, mirror, e.at(t, "repository.url"))
			return
		case <-time.After(time.Minute):
			require.FailNow(t, "no progress came")
		}
	}
}
