package apispec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/apispec"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

const upstreamRepo = "team/app"

type m = map[string]any

// TestServer_speaksItsDocument takes a real server through a success of every
// operation on both families of routes and in both vocabularies, and through
// the failures that have a shape of their own, and holds every request and
// every answer against the document that the server itself serves, and against
// what the published clients in Python and Go read.
func TestServer_speaksItsDocument(t *testing.T) {
	t.Parallel()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo(upstreamRepo, true)
	server := servertest.Start(t, servertest.Options{
		KeepDeleted: time.Hour,
		Forges:      []*forgetest.TestForge{forge}, Webhooks: events.Policy{AllowHTTP: true, AllowPrivate: true},
	})
	spec := fetchSpec(t, server.URL)
	requireKnown(t, spec)
	seen := &seen{ids: map[string]bool{}, unchanged: map[string]bool{}}
	t.Run("all", func(t *testing.T) {
		for _, legacy := range []bool{false, true} {
			for _, older := range []bool{false, true} {
				name := fmt.Sprintf("legacy=%v,older=%v", legacy, older)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					c := &client{t: t, server: server, spec: spec, forge: forge, seen: seen, legacy: legacy, older: older}
					c.repo = fmt.Sprintf("docs/%v-%v", legacy, older)
					c.repositories()
					c.files()
					c.commits()
					c.merges()
					c.tags()
					c.notes()
					c.outbound()
					c.synced()
					c.refusals()
					c.end()
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	last := &client{t: t, server: server, spec: spec, forge: forge, seen: seen}
	last.do(request{op: "deleteOrganisation", want: http.StatusBadRequest, token: last.orgToken(), body: m{"name": "another"}})
	last.do(request{op: "deleteOrganisation", want: http.StatusAccepted, token: last.orgToken(), body: m{"name": servertest.Org}})
	for _, id := range spec.Operations() {
		if id == "replayDeliveries" {
			continue // needs a GitHub App; the test of the App has it
		}
		require.True(t, seen.ids[id], "no success of %s was tried", id)
		if conditional(spec, id) {
			require.True(t, seen.unchanged[id], "no answer of %s was the same when it was asked for again", id)
		}
	}
}

func fetchSpec(t *testing.T, server string) *apispec.Spec {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/api/openapi.json", nil)
	require.NoError(t, err)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	spec, err := apispec.Parse(text)
	require.NoError(t, err)
	return spec
}

// seen is the operations that have succeeded.
type seen struct {
	mu        sync.Mutex
	ids       map[string]bool
	unchanged map[string]bool // those of which an answer was held against itself
}

// client is a plain HTTP client that checks what it sends and what it gets.
type client struct {
	t      *testing.T
	server *servertest.Server
	spec   *apispec.Spec
	forge  *forgetest.TestForge
	seen   *seen
	repo   string
	legacy bool // routes
	older  bool // vocabulary
}

// say chooses between two names of a field or parameter.
func (c *client) say(newer, older string) string {
	if c.older {
		return older
	}
	return newer
}

// request is one request; what is not set is left out.
type request struct {
	op        string // as on the preferred route
	want      int
	query     url.Values
	body      any      // JSON
	lines     []any    // NDJSON
	header    []string // pairs
	variables []string // pairs, of the path
	token     string   // "-" sends none
	anyBody   bool     // do not hold the request against the document
}

// result is an answer.
type result struct {
	header http.Header
	raw    []byte
	body   m // nil if it is not JSON
}

// at returns a value of the body by a path of keys.
func (r result) at(path string) any { return servertest.Answer{Body: r.body}.At(path) }

// do sends a request and checks both it and the answer.
func (c *client) do(r request) result {
	c.t.Helper()
	id := r.op
	if _, path := c.spec.Route(id + "Legacy"); path != "" && c.legacy {
		id += "Legacy"
	}
	method, path := c.spec.Route(id)
	require.NotEmpty(c.t, path, r.op)
	for i, pairs := 0, append([]string{"name", c.repo}, r.variables...); i < len(pairs); i += 2 {
		path = strings.ReplaceAll(path, "{"+pairs[i]+"}", url.PathEscape(pairs[i+1]))
	}
	var body bytes.Buffer
	header := http.Header{"Content-Type": {"application/json"}}
	encoder := json.NewEncoder(&body)
	if r.body != nil {
		require.NoError(c.t, encoder.Encode(r.body))
	}
	for _, line := range r.lines {
		header.Set("Content-Type", "application/x-ndjson")
		require.NoError(c.t, encoder.Encode(line))
	}
	if !r.anyBody {
		require.NoError(c.t, c.spec.CheckRequest(id, r.query, header, body.Bytes()))
	}
	found, ok := c.spec.Find(method, path)
	require.True(c.t, ok, path)
	require.Equal(c.t, id, found)

	hr, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+path+"?"+r.query.Encode(), &body)
	require.NoError(c.t, err)
	hr.Header = header
	for i := 0; i < len(r.header); i += 2 {
		hr.Header.Set(r.header[i], r.header[i+1])
	}
	switch r.token {
	case "":
		hr.Header.Set("Authorization", "Bearer "+c.server.Token(c.t, c.repo))
	case "-":
	default:
		hr.Header.Set("Authorization", "Bearer "+r.token)
	}
	hr.Close = true
	resp, err := http.DefaultClient.Do(hr)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, r.want, resp.StatusCode, "%s: %s", id, raw)
	require.NoError(c.t, c.spec.CheckResponse(id, resp.StatusCode, resp.Header, raw), "%s", raw)
	require.NoError(c.t, sdkReads(r.op, resp.StatusCode, raw), "%s: %s", id, raw)
	if conditional(c.spec, id) && resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == "application/json; charset=utf-8" {
		c.askAgain(id, hr, resp.Header)
	}
	if resp.StatusCode < 300 {
		c.seen.mu.Lock()
		c.seen.ids[id] = true
		c.seen.mu.Unlock()
	}
	out := result{header: resp.Header, raw: raw}
	_ = json.Unmarshal(raw, &out.body) // files are not JSON
	return out
}

// conditional reports whether an operation answers 304 with the ETag of what it answered as JSON.
func conditional(spec *apispec.Spec, id string) bool {
	return spec.Answers(id, http.StatusNotModified) && !slices.Contains([]string{"getFile", "headFile", "getOpenAPI"}, strings.TrimSuffix(id, "Legacy"))
}

// askAgain repeats a read with the ETag of its answer. Where nothing has changed since,
// the answer is a 304 without a body. What changes is asked for until it rests, unless
// another read of its kind was the same already.
func (c *client) askAgain(id string, r *http.Request, header http.Header) {
	c.t.Helper()
	require.Equal(c.t, "private, no-cache", header.Get("Cache-Control"), id)
	require.Contains(c.t, header.Values("Vary"), "Authorization", id)
	require.NotEmpty(c.t, header.Get("ETag"), id)
	r = r.Clone(c.t.Context())
	for range 40 {
		r.Header.Set("If-None-Match", `"other", `+header.Get("ETag"))
		resp, err := http.DefaultClient.Do(r)
		require.NoError(c.t, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(c.t, errors.Join(err, resp.Body.Close()))
		require.NoError(c.t, c.spec.CheckResponse(id, resp.StatusCode, resp.Header, raw), "%s", raw)
		if resp.Header.Get("ETag") == header.Get("ETag") {
			require.Equal(c.t, http.StatusNotModified, resp.StatusCode, id)
			require.Empty(c.t, raw, id)
			c.seen.mu.Lock()
			c.seen.unchanged[id] = true
			c.seen.mu.Unlock()
			return
		}
		require.Equal(c.t, http.StatusOK, resp.StatusCode, id) // another answer by now
		c.seen.mu.Lock()
		known := c.seen.unchanged[id]
		c.seen.mu.Unlock()
		if known {
			return
		}
		// Deliveries that are tried meanwhile, say, come to rest.
		header = resp.Header
		time.Sleep(100 * time.Millisecond)
	}
}

// get is do for a call with nothing but a query, in pairs.
func (c *client) get(op string, want int, pairs ...string) result {
	c.t.Helper()
	return c.do(request{op: op, want: want, query: values(pairs...)})
}

// send is do for a call with a JSON body.
func (c *client) send(op string, want int, body m) result {
	c.t.Helper()
	return c.do(request{op: op, want: want, body: body})
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// commit makes a commit of files, by path, and returns its id.
func (c *client) commit(meta m, files map[string]string) string {
	c.t.Helper()
	return c.do(request{op: "createCommit", want: http.StatusCreated, lines: packLines(meta, files)}).at("commit.commit_sha").(string)
}

func ada() m { return m{"name": "Ada", "email": "ada@example.test"} }

// packLines is the body of commit-pack.
func packLines(meta m, files map[string]string) []any {
	list, chunks := []m{}, []any{}
	for path, data := range files {
		list = append(list, m{"path": path, "content_id": path, "operation": "upsert", "mode": "100644"})
		chunks = append(chunks, m{"blob_chunk": m{"content_id": path, "data": []byte(data), "eof": true}})
	}
	return append([]any{m{"metadata": filled(meta, m{"files": list})}}, chunks...)
}

// filled adds what every commit needs.
func filled(metas ...m) m {
	all := m{"target_branch": "main", "commit_message": "change", "author": ada(), "committer": ada()}
	for _, meta := range metas {
		for key, value := range meta {
			all[key] = value
		}
	}
	return all
}

// orgToken signs a token for the whole organisation.
func (c *client) orgToken() string {
	return c.server.TokenWith(c.t, access.Claims{Repo: "org", Scopes: access.Scopes()})
}
