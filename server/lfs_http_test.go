package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestLFS_whoMay goes through tokens: scopes, ref policies, remotes, and errors as
// git-lfs wants them.
func TestLFS_whoMay(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	content := someBytes(81, 1000)
	lfsAt(t, s.Caller, local).upload(t, content)
	media := http.Header{"Accept": {"application/vnd.git-lfs+json"}, "Content-Type": {"application/vnd.git-lfs+json; charset=utf-8"}}
	read, write := access.Claims{Repo: local, Scopes: []access.Scope{access.GitRead}}, access.Claims{Repo: local, Scopes: []access.Scope{access.GitWrite}}
	with := func(c access.Claims, refs ...access.RefOps) access.Claims { c.Refs = refs; return c }
	mainOnly := with(write, access.RefOps{Pattern: "main", Ops: []access.Op{}}, access.RefOps{Pattern: "*", Ops: []access.Op{access.NoPush}})
	nothing := with(write, access.RefOps{Pattern: "*", Ops: []access.Op{access.NoPush}})
	batch := func(operation, ref string) string {
		body := map[string]any{"operation": operation, "objects": []any{map[string]any{"oid": oidOf(content), "size": len(content)}}}
		if ref != "" {
			body["ref"] = map[string]string{"name": ref}
		}
		text, err := json.Marshal(body)
		require.NoError(t, err)
		return string(text)
	}
	object := "/objects/" + oidOf(content)
	for name, tt := range map[string]struct {
		claims             access.Claims
		remote             string
		method, path, body string
		want               int
		says               string
	}{
		"read downloads":             {read, local, "POST", "/objects/batch", batch("download", ""), 200, ""},
		"read gets":                  {read, local, "GET", object, "", 200, ""},
		"read does not upload":       {read, local, "POST", "/objects/batch", batch("upload", ""), 403, "git:write"},
		"read does not put":          {read, local, "PUT", object, "x", 403, "git:write"},
		"read lists locks":           {read, local, "GET", "/locks", "", 200, ""},
		"read does not lock":         {read, local, "POST", "/locks", `{"path":"a"}`, 403, "git:write"},
		"write uploads":              {write, local, "POST", "/objects/batch", batch("upload", "refs/heads/x"), 200, ""},
		"a ref that may be pushed":   {mainOnly, local, "POST", "/objects/batch", batch("upload", "refs/heads/main"), 200, ""},
		"a ref that may not":         {mainOnly, local, "POST", "/objects/batch", batch("upload", "refs/heads/x"), 403, "refs/heads/x"},
		"no ref, and some may":       {mainOnly, local, "POST", "/objects/batch", batch("upload", ""), 200, ""},
		"no ref, and none may":       {nothing, local, "POST", "/objects/batch", batch("upload", ""), 403, "no ref"},
		"put where none may":         {nothing, local, "PUT", object, "x", 403, "no ref"},
		"lock where none may":        {nothing, local, "POST", "/locks", `{"path":"a"}`, 403, "no ref"},
		"none may, and reads":        {nothing, local, "POST", "/objects/batch", batch("download", ""), 200, ""},
		"import uploads":             {write, local + "+import", "POST", "/objects/batch", batch("upload", ""), 200, ""},
		"import does not download":   {write, local + "+import", "POST", "/objects/batch", batch("download", ""), 403, "uploads only"},
		"import does not get":        {write, local + "+import", "GET", object, "", 403, "uploads only"},
		"ephemeral":                  {read, local + "+ephemeral", "GET", object, "", 200, ""},
		"another repository":         {access.Claims{Repo: "team/other", Scopes: access.Scopes()}, local, "GET", object, "", 403, "another repository"},
		"a repository that is gone":  {access.Claims{Repo: "team/gone", Scopes: access.Scopes()}, "team/gone", "GET", object, "", 404, "not found"},
		"an object that is not here": {read, local, "GET", "/objects/" + strings.Repeat("0", 64), "", 404, "git lfs push --all"},
		"no object":                  {read, local, "GET", "/objects/" + strings.Repeat("A", 64), "", 422, "SHA-256"},
		"another hash":               {read, local, "POST", "/objects/batch", `{"operation":"download","hash_algo":"sha512","objects":[]}`, 409, "sha256"},
		"another transfer":           {read, local, "POST", "/objects/batch", `{"operation":"download","transfers":["tus"],"objects":[]}`, 422, "basic"},
		"another operation":          {read, local, "POST", "/objects/batch", `{"operation":"delete","objects":[]}`, 422, "operation"},
		"no JSON":                    {read, local, "POST", "/objects/batch", `{`, 422, "JSON"},
		"another path":               {read, local, "GET", "/nothing", "", 404, "no such path"},
		"another method":             {read, local, "DELETE", object, "", 405, "another method"},
		"another size":               {write, local, "PUT", object + "?size=5", "x", 422, "5 bytes"},
		"other bytes":                {write, local, "PUT", "/objects/" + strings.Repeat("0", 64), "x", 422, "are those of"},
	} {
		at := lfsRemote{s.Remote(tt.remote) + "/info/lfs", "anybody", s.TokenWith(t, tt.claims)}
		status, text, err := at.do(t.Context(), tt.method, at.url+tt.path, media, []byte(tt.body))
		require.NoError(t, err, name)
		require.Equal(t, tt.want, status, "%s: %s", name, text)
		if tt.want < 300 {
			continue
		}
		var failure struct {
			Message   string `json:"message"`
			RequestID string `json:"request_id"`
		}
		require.NoError(t, json.Unmarshal(text, &failure), "%s: %s", name, text)
		require.Contains(t, failure.Message, tt.says, name)
		require.NotEmpty(t, failure.RequestID, name)
	}

	// Locks that a token did not open are in the audit.
	var refused []string
	for _, e := range s.API(t, http.MethodGet, local, "/audit?action=lfs.lock", nil).At("entries").([]any) {
		e := e.(map[string]any)
		refused = append(refused, fmt.Sprint(e["outcome"], ": ", e["message"]))
	}
	require.ElementsMatch(t, []string{
		"refused: the token lacks the scope git:write",
		"refused: the token's policy lets no ref be pushed, so there is nothing to upload or lock for",
	}, refused)

	// Without a token, in the form that git-lfs reads.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Remote(local)+"/info/lfs/locks", nil)
	require.NoError(t, err)
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	require.Contains(t, answer.Header.Get("LFS-Authenticate"), "Basic")
	require.Equal(t, "application/vnd.git-lfs+json", answer.Header.Get("Content-Type"))

	// Switched off, nothing of it is there.
	s.SetSettings(t, local, client.SettingsRequest{LFS: new(client.LFSModeOff)})
	at := lfsAt(t, s.Caller, local)
	status, text, err := at.do(t.Context(), http.MethodPost, at.url+"/objects/batch", media, []byte(batch("download", "")))
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, string(text), "switched off")
}

// TestLFS_ranges serves parts of an object, and its head.
func TestLFS_ranges(t *testing.T) {
	t.Parallel()
	host, blocks := startLFSHost(t)
	s := servertest.Start(t, servertest.Options{Hosts: blocks})
	s.Create(t, local)
	followLFS(t, s.Caller, "team/mirror", host, "acme/ranges")
	content, later := someBytes(82, 700<<10), someBytes(83, 700<<10)
	lfsAt(t, s.Caller, local).upload(t, content)
	lfsRemote{"http://" + host + "/acme/ranges.git/info/lfs", "user", "pass"}.upload(t, later)
	for repo, want := range map[string][]byte{local: content, "team/mirror": later} {
		at := lfsAt(t, s.Caller, repo)
		url := fmt.Sprintf("%s/objects/%s?size=%d", at.url, oidOf(want), len(want))
		status, got, err := at.do(t.Context(), http.MethodHead, url, http.Header{}, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, repo)
		require.Empty(t, got)
		// The first is answered while the object comes from the upstream.
		for _, part := range [][2]int{{600_000, len(want) - 1}, {0, 99}, {500, 500}, {700, len(want) - 1}} {
			status, got, err = at.do(t.Context(), http.MethodGet, url, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", part[0], part[1])}}, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusPartialContent, status, "%s %v", repo, part)
			require.Equal(t, want[part[0]:part[1]+1], got, "%s %v", repo, part)
		}
	}
}
