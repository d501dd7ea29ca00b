package server_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// sendKeyed sends a POST with an Idempotency-Key; status 0 is no answer at all.
func sendKeyed(t *testing.T, c servertest.Caller, path, repo, key, body string) (status int, header http.Header, raw string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+c.Token(t, repo))
	r.Header.Set("Idempotency-Key", key)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(text)
}

// TestIdempotencyKey_onceOverHTTP repeats a commit, whose body is a stream, and the creation of
// a webhook, whose answer alone has the secret, which the database must not show.
func TestIdempotencyKey_onceOverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Webhooks: events.Policy{AllowHTTP: true, AllowPrivate: true}})
	s.Create(t, "team/app")
	lines := `{"metadata":{"target_branch":"main","commit_message":"once","author":{"name":"Ada","email":"ada@example.test"},"files":[{"path":"a","content_id":"1"}]}}` + "\n" +
		`{"blob_chunk":{"content_id":"1","data":"` + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("line\n"), 20000)) + `","eof":true}}` + "\n"
	const path = "/api/repos/team%2Fapp/commit-pack"
	status, _, first := sendKeyed(t, s.Caller, path, "team/app", "one", lines)
	require.Equal(t, http.StatusCreated, status, first)
	status, header, again := sendKeyed(t, s.Caller, path, "team/app", "one", lines)
	require.Equal(t, http.StatusCreated, status, again)
	require.Equal(t, "true", header.Get("Idempotent-Replayed"))
	require.Equal(t, first, again)
	a := s.Call(t, http.MethodGet, "/api/repos/team%2Fapp/commits", s.Token(t, "team/app"), nil)
	require.Len(t, a.Body["commits"], 1)
	status, _, raw := sendKeyed(t, s.Caller, path, "team/app", "one", strings.Replace(lines, "once", "twice", 1))
	require.Equal(t, http.StatusUnprocessableEntity, status, raw)

	hook := `{"url":"http://127.0.0.1:9/","events":["push"],"secret":"` + strings.Repeat("correct-horse-", 3) + `"}`
	status, _, first = sendKeyed(t, s.Caller, "/api/webhooks", "org", `"hook"`, hook)
	require.Equal(t, http.StatusCreated, status, first)
	status, _, again = sendKeyed(t, s.Caller, "/api/webhooks", "org", `"hook"`, hook)
	require.Equal(t, http.StatusCreated, status, again)
	require.Equal(t, first, again)
	require.Contains(t, again, "correct-horse-")
	a = s.Call(t, http.MethodGet, "/api/webhooks", s.Token(t, "org"), nil)
	require.Len(t, a.Body["webhooks"], 1)
	s.Stop(t)
	files, err := filepath.Glob(filepath.Join(s.Dir, "headwater.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(text), "correct-horse-", file)
	}
}

// TestIdempotencyKey_killedBeforeItsRecord kills the server between what a call has made and the
// record of its answer: who sends it again is not deceived, neither with a success nor
// with a second work.
func TestIdempotencyKey_killedBeforeItsRecord(t *testing.T) {
	t.Parallel()
	o := servertest.Options{Dir: t.TempDir()}
	p := servertest.StartProcess(t, o)
	p.Create(t, "other")
	p.Arm(t, "create-made")
	answered := make(chan int, 1)
	go func() {
		status, _, _ := sendKeyed(t, p.Caller, "/api/repos", "repo", "key", "{}")
		answered <- status
	}()
	p.AwaitHits(t, 1)
	status, header, raw := sendKeyed(t, p.Caller, "/api/repos", "repo", "key", "{}")
	require.Equal(t, http.StatusConflict, status, raw)
	require.Contains(t, raw, "under way")
	require.NotEmpty(t, header.Get("Retry-After"))
	p.Kill()
	require.Zero(t, <-answered)

	s := servertest.Start(t, o)
	status, _, raw = sendKeyed(t, s.Caller, "/api/repos", "repo", "key", "{}")
	require.Equal(t, http.StatusConflict, status, raw)
	require.Contains(t, raw, "is not known")
}
