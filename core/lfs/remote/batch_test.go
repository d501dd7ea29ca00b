package remote_test

import (
	"fmt"
	"io"
	"net/http"

	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/remote"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// What a whole batch may be answered with, but for objects.
func TestBatch_refusals(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	var answer http.HandlerFunc
	h.mux = http.NewServeMux()
	h.mux.HandleFunc("POST /o/a.git/info/lfs/objects/batch", func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	said := func(status int, media, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", media)
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.ReplaceAll(body, "{credential}", r.Header.Get("Authorization")))
		}
	}
	const json = "application/vnd.git-lfs+json; charset=utf-8"
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		class  core.ErrorClass
		words  string
		wait   time.Duration
		absent bool // there is no LFS
	}{
		"a page":                    {said(200, "text/html", "<html>sign in</html>"), core.ClassProtocol, "a page of HTML answers at", 0, false},
		"something else":            {said(200, "text/plain", "hello"), core.ClassProtocol, "is not an LFS server", 0, false},
		"no LFS":                    {said(404, "text/html", "<html>not found</html>"), core.ClassNotFound, "has no LFS server at", 0, true},
		"no LFS, said plainly":      {said(404, "text/plain", "404 page not found"), core.ClassNotFound, "has no LFS server at", 0, true},
		"LFS is off":                {said(501, json, `{"message":"Git LFS is not enabled on this server"}`), core.ClassRefused, "it says: Git LFS is not enabled", 0, true},
		"no such repository":        {said(404, json, `{"message":"Repository does not exist"}`), core.ClassNotFound, "Repository does not exist", 0, false},
		"limited":                   {said(429, json, `{"message":"slow down"}`, "Retry-After", "17"), core.ClassRateLimited, "slow down", 17 * time.Second, false},
		"maintenance with a time":   {said(503, "text/html", "<html>", "Retry-After", "30"), core.ClassRateLimited, "503 Service Unavailable", 30 * time.Second, false},
		"out of order":              {said(502, "text/html", "<html>"), core.ClassUnavailable, "502 Bad Gateway", 0, false},
		"no room":                   {said(507, json, `{"message":"disk is full"}`), core.ClassTooLarge, "disk is full", 0, false},
		"no bandwidth":              {said(509, json, `{"message":"Bandwidth limit exceeded"}`), core.ClassTooLarge, "Bandwidth limit", 0, false},
		"a quota":                   {said(403, json, `{"message":"This repository is over its data quota. Purchase more data packs to restore access."}`), core.ClassTooLarge, "over its data quota", 0, false},
		"a policy":                  {said(403, json, `{"message":"You must have push access"}`), core.ClassAuth, "You must have push access", 0, false},
		"a validation":              {said(422, json, `{"message":"invalid oid"}`), core.ClassRefused, "invalid oid", 0, false},
		"an echo of the credential": {said(403, json, `{"message":"bad {credential} https://x.example/y?sig=`+querySecret+`"}`), core.ClassAuth, "bad", 0, false},
		"more than can be":          {said(200, json, strings.Repeat(" ", 17<<20)), core.ClassProtocol, "more than", 0, false},
		"another transfer":          {said(200, json, `{"transfer":"tus","objects":[]}`), core.ClassProtocol, "tus", 0, false},
		"a redirect in a circle":    {said(307, json, "", "Location", "/o/a.git/info/lfs/objects/batch"), core.ClassMoved, "more than 3 times", 0, false},
	} {
		answer = test.answer
		_, err := c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
		require.Contains(t, requireClass(t, test.class, err), test.words, name)
		require.Equal(t, test.wait, upstream.RetryAfter(err), name)
		require.Equal(t, test.absent, isUnsupported(err), name)
		requireSecret(t, err)
	}
	h.Close()
	_, err := c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
	require.Contains(t, requireClass(t, core.ClassNetwork, err), "refused the connection")
}

// A host that takes fewer objects at once gets fewer, and a failure in the middle leaves
// what was answered before.
func TestBatch_inParts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	h.actions(map[string]action{"download": {"href": h.URL + "/x"}})
	all := h.answer
	limit, failFrom := 30, 1<<30
	var sizes []int
	seen := 0
	h.answer = func(batch map[string]any) (int, string) {
		n := len(batch["objects"].([]any))
		sizes = append(sizes, n)
		switch {
		case n > limit:
			return http.StatusRequestEntityTooLarge, `{"message":"too many objects"}`
		case seen >= failFrom:
			return http.StatusBadGateway, "{}"
		}
		seen += n
		return all(batch)
	}
	var objects []lfs.Pointer
	for i := range 120 {
		objects = append(objects, pointer(fmt.Sprint(i)))
	}
	transfers, err := c.Batch(t.Context(), lfs.Download, "", objects)
	require.NoError(t, err)
	require.Equal(t, []int{100, 50, 25, 25, 25, 25, 20}, sizes)
	for i, tr := range transfers {
		require.Equal(t, objects[i], tr.Pointer)
		require.NoError(t, tr.Err)
		require.NotNil(t, tr.Action)
	}
	sizes, seen, failFrom = nil, 0, 50
	transfers, err = c.Batch(t.Context(), lfs.Download, "", objects)
	require.NoError(t, err)
	for i, tr := range transfers {
		require.Equal(t, i < 50, tr.Err == nil, i)
	}
	requireClass(t, core.ClassUnavailable, transfers[119].Err)
	require.Len(t, sizes, 5, "no more is asked after a failure")
	limit = 0
	_, err = c.Batch(t.Context(), lfs.Download, "", objects[:1])
	require.ErrorContains(t, err, "too many objects")
	transfers, err = c.Batch(t.Context(), lfs.Download, "", nil)
	require.NoError(t, err)
	require.Empty(t, transfers)
}

// hosts is what remembers how hosts answer, and says.
type hosts struct {
	limited time.Time
	seen    []string
}

func (h *hosts) RateLimitedUntil(string) time.Time { return h.limited }

func (h *hosts) RecordContact(_, _ string, class core.ErrorClass, asked time.Duration) {
	h.seen = append(h.seen, fmt.Sprintf("%s %s", class, asked))
}

// A host that asks for a pause is asked nothing until it is over, and what a storage
// service answers says nothing of the host.
func TestClient_rests(t *testing.T) {
	t.Parallel()
	h, storage := newHost(t), newHost(t)
	known := &hosts{}
	c, b := h.client(t, func(o *remote.Options) { o.Hosts = known })
	b.plugin.AddHost(providers.HostPolicy{Host: storage.addr(), Scheme: "http", AllowPrivate: true})
	limit := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	h.mux.HandleFunc("GET /x", limit)
	storage.mux.HandleFunc("GET /x", limit)
	ask := func(href string) error {
		h.actions(map[string]action{"download": {"href": href}})
		_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
		requireClass(t, core.ClassRateLimited, err)
		return err
	}
	_ = ask(storage.URL + "/x")
	require.Equal(t, []string{" 0s"}, known.seen, "the batch")
	_ = ask(h.URL + "/x")
	require.Equal(t, []string{" 0s", " 0s", "rate_limited 1m30s"}, known.seen)
	h.seen()
	known.limited = time.Now().Add(time.Hour)
	err := ask(h.URL + "/x")
	require.Greater(t, upstream.RetryAfter(err), 59*time.Minute)
	_, err = c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
	requireClass(t, core.ClassRateLimited, err)
	requireClass(t, core.ClassRateLimited, c.Put(t.Context(), lfs.Transfer{Pointer: pointer("good")}, strings.NewReader("good")))
	_, _, err = c.Locks(t.Context(), lfs.LockQuery{})
	requireClass(t, core.ClassRateLimited, err)
	require.Empty(t, h.seen())
}
