package api

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
)

// readBench is a bench with one filled repository, an empty one, and one whose
// first sync runs.
type readBench struct {
	*contentBench
	dir string
}

func newReadBench(t *testing.T) readBench {
	t.Helper()
	b := readBench{contentBench: newContentBench(t)}
	b.dir = b.make("team/app")
	b.fill(b.dir)
	b.make("empty")
	b.make("syncing")
	return b
}

func (b readBench) id(rev string) string { return b.git(b.dir, "", "rev-parse", rev) }

// read asks for the same by both routes and checks both answers; they must be
// equal. With a body it is a POST.
func (b readBench) read(t *testing.T, what, query, body string) answer {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	if query != "" {
		query = "?" + query
	}
	token := b.token(t, "team/app", access.GitRead)
	legacy := b.do(t, method, "/api/v1/repos/"+what+query, token, body)
	preferred := b.do(t, method, "/api/repos/team%2Fapp/"+what+query, token, body)
	require.Equal(t, legacy.status, preferred.status)
	require.Equal(t, legacy.body, preferred.body)
	schema := sdkSchemas()[what]
	if legacy.status != http.StatusOK {
		schema = sdkSchemas()["error"]
	}
	conform(t, schema, any(legacy.body), what)
	return legacy
}

// pick returns one field of each item of a list.
func pick(a answer, list, field string) []any {
	var out []any
	for _, item := range a.body[list].([]any) {
		out = append(out, item.(map[string]any)[field])
	}
	return out
}

func TestContent_files(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	all := []any{"README.md", "big.txt", "conflict.txt", "src/app.ts", "src/lib/util.go", "with space & \u00fc.txt"}
	a := b.read(t, "files", "", "")
	require.Equal(t, all, a.body["paths"])
	require.Equal(t, all, pick(a, "entries", "path"))
	require.Equal(t, "main", a.body["ref"])
	require.Equal(t, false, a.body["has_more"])
	a = b.read(t, "files", "recursive=false&ref=v2.0.0", "")
	require.Equal(t, []any{"README.md", "big.txt", "conflict.txt", "with space & \u00fc.txt"}, a.body["paths"])
	require.Equal(t, []any{"blob", "blob", "blob", "tree", "blob"}, pick(a, "entries", "type"))
	require.Equal(t, []any{"100644", "100644", "100644", "040000", "100644"}, pick(a, "entries", "mode"))
	a = b.read(t, "files", "ref=scratch&ephemeral=true", "")
	require.Contains(t, a.body["paths"], "scratch.txt")
	var got []any
	for cursor := ""; ; {
		a := b.read(t, "files", "limit=2&cursor="+cursor, "")
		got = append(got, a.body["paths"].([]any)...)
		if a.body["has_more"] == false {
			require.NotContains(t, a.body, "next_cursor")
			break
		}
		cursor = a.body["next_cursor"].(string)
	}
	require.Equal(t, all, got)

	a = b.read(t, "files/metadata", "", "")
	require.Equal(t, all, pick(a, "files", "path"))
	require.Equal(t, []any{b.id("main"), b.id("main"), b.id("main"), b.id("main^"), b.id("main^"), b.id("main")}, pick(a, "files", "last_commit_sha"))
	require.Equal(t, map[string]any{"author": "Ann", "date": "2023-11-15T00:13:20+02:00", "message": "first\n\nwith a body"}, a.body["commits"].(map[string]any)[b.id("main^")])
	a = b.read(t, "files/metadata", "path=src&limit=1", "")
	require.Equal(t, []any{"src/app.ts"}, pick(a, "files", "path"))
	require.Equal(t, true, a.body["has_more"])
}

func TestContent_refusals(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	for _, tt := range []struct {
		what, query, body string
		want              int
	}{
		{"files", "ref=nope", "", 404}, {"files", "path=nope", "", 404}, {"files", "path=/etc", "", 400}, {"files", "path=a%2F..%2Fb", "", 400},
		{"files", "path=.git", "", 400}, {"files", "cursor=zzz", "", 400}, {"files", "limit=x", "", 400}, {"files", "ephemeral=maybe", "", 400},
		{"files", "recursive=maybe", "", 400}, {"files", "path=%zz", "", 400}, {"files", "ref=--help", "", 400}, {"files", "ref=refs/internal/upstream/heads/secret", "", 404},
		{"files", "ref=main..feature", "", 400}, {"files", "ref=scratch", "", 404}, {"files/metadata", "cursor=zzz", "", 400},
		{"file", "path=nope", "", 404}, {"file", "", "", 400}, {"file", "path=src", "", 404}, {"file", "path=a%00b", "", 400}, {"file", "path=README.md&ref=nope", "", 404},
		{"commits", "ref=nope", "", 404}, {"commits", "cursor=zzz", "", 400}, {"commit", "", "", 400}, {"commit", "sha=" + strings.Repeat("0", 40), "", 404},
		{"commit", "ref=main@{1}", "", 400}, {"diff", "", "", 400}, {"diff", "sha=nope", "", 404}, {"diff", "sha=main&gitApplyCompatible=perhaps", "", 400},
		{"branches/diff", "", "", 400}, {"branches/diff", "branch=nope", "", 404}, {"branches/diff", "branch=main&base=nope", "", 404}, {"branches/diff", "branch=main&path=../x", "", 400},
		{"blame", "", "", 400}, {"blame", "path=nope", "", 404}, {"blame", "path=README.md&range=99,100", "", 400}, {"blame", "path=README.md" + strings.Repeat("&range=1,1", 17), "", 400},
		{"branch", "name=nope", "", 404}, {"branch", "", "", 400}, {"tag", "name=nope", "", 404}, {"tag", "", "", 400}, {"branches", "cursor=zzz", "", 400}, {"tags", "cursor=zzz", "", 400},
		{"notes", "", "", 400}, {"notes", "sha=main&ref=none", "", 404}, {"notes/refs", "prefix=refs/heads/", "", 400}, {"notes/refs", "cursor=zzz", "", 400},
		{"merge/preview", "source_branch=main", "", 400}, {"merge/preview", "source_branch=nope&target_branch=main", "", 404},
		{"merge/preview", "source_branch=signed&target_branch=main", "", 409},
		{"grep", "", `{}`, 400}, {"grep", "", `{"query":{"pattern":"("}}`, 400}, {"grep", "", `{"query":{"pattern":"a"},"ref":"nope"}`, 404},
		{"grep", "", `{"query":{"pattern":"a"},"pagination":{"cursor":"zzz"}}`, 400}, {"grep", "", `{"query":1}`, 400}, {"grep", "", `[`, 400},
		{"archive", "", `{"ref":"nope"}`, 404}, {"archive", "", `{"archive":{"prefix":"../x"}}`, 400}, {"archive", "", `{"include_globs":["["]}`, 400},
	} {
		a := b.read(t, tt.what, tt.query, tt.body)
		require.Equal(t, tt.want, a.status, "%s?%s %s: %s", tt.what, tt.query, tt.body, a.raw)
	}
}

func TestContent_everyRoute(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	read := b.token(t, "empty", access.GitRead)
	for _, what := range []string{"files", "files/metadata", "file?path=x", "commits", "commit?sha=main", "diff?sha=main", "branches/diff?branch=main", "blame?path=x",
		"branch?name=main", "tag?name=x", "notes?sha=main", "merge/preview?source_branch=a&target_branch=b", "branches", "tags", "notes/refs", "grep", "archive"} {
		method, body := http.MethodGet, ""
		if what == "grep" || what == "archive" {
			method, body = http.MethodPost, `{"query":{"pattern":"x"}}`
		}
		want := 404 // nothing is in an empty repository
		if what == "branches" || what == "tags" || what == "notes/refs" {
			want = 200
		}
		a := b.do(t, method, "/api/v1/repos/"+what, read, body)
		require.Equal(t, want, a.status, "%s: %s", what, a.raw)
		a = b.do(t, method, "/api/repos/empty/"+what, read, body)
		require.Equal(t, want, a.status, "%s: %s", what, a.raw)
		a = b.do(t, method, "/api/repos/empty/"+what, b.token(t, "empty", access.RepoWrite), body)
		require.Equal(t, 403, a.status, what)
		a = b.do(t, method, "/api/repos/team%2Fapp/"+what, read, body)
		require.Equal(t, 403, a.status, what)
		a = b.do(t, method, "/api/v1/repos/"+what, b.token(t, "syncing", access.GitRead), body)
		require.Equal(t, 409, a.status, what)
		require.Equal(t, "repository sync in progress. please retry shortly", a.body["error"])
		require.NotEmpty(t, a.header.Get("Retry-After"))
	}
}

func TestContent_file(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	token := b.token(t, "team/app", access.GitRead)
	big := strings.Repeat("0123456789abcdef\n", 200_000)
	blob := b.id("main:README.md")
	for _, tt := range []struct {
		name, method, query string
		header              http.Header
		status              int
		body                string
		contentRange        string
	}{
		{"whole", "GET", "path=README.md", nil, 200, "hello\nbrave\nworld\n", ""},
		{"older", "GET", "path=README.md&ref=v1.0.0", nil, 200, "hello\nworld\n", ""},
		{"odd name", "GET", "path=" + url.QueryEscape("with space & \u00fc.txt"), nil, 200, "odd\n", ""},
		{"ephemeral", "GET", "path=scratch.txt&ref=scratch&ephemeral=true", nil, 200, "ephemeral\n", ""},
		{"head", "HEAD", "path=README.md", nil, 200, "", ""},
		{"range", "GET", "path=README.md", http.Header{"Range": {"bytes=6-10"}}, 206, "brave", "bytes 6-10/18"},
		{"last bytes", "GET", "path=README.md", http.Header{"Range": {"bytes=-6"}}, 206, "world\n", "bytes 12-17/18"},
		{"range of a large file", "GET", "path=big.txt", http.Header{"Range": {"bytes=1700000-1700016"}}, 206, "0123456789abcdef\n", "bytes 1700000-1700016/3400000"},
		{"whole large file", "GET", "path=big.txt", nil, 200, big, ""},
		{"too many ranges", "GET", "path=README.md", http.Header{"Range": {"bytes=" + strings.Repeat("0-0,", 20) + "0-0"}}, 200, "hello\nbrave\nworld\n", ""},
		{"no such range", "GET", "path=README.md", http.Header{"Range": {"bytes=100-"}}, 416, "", "bytes */18"},
		{"not modified", "GET", "path=README.md", http.Header{"If-None-Match": {`"` + blob + `"`}}, 304, "", ""},
		{"not modified since", "GET", "path=README.md", http.Header{"If-Modified-Since": {"Tue, 14 Nov 2023 22:18:20 GMT"}}, 304, "", ""},
		{"modified", "GET", "path=README.md", http.Header{"If-None-Match": {`"x"`}}, 200, "hello\nbrave\nworld\n", ""},
		{"condition fails", "GET", "path=README.md", http.Header{"If-Match": {`"x"`}}, 412, "", ""},
		{"range of another version", "GET", "path=README.md", http.Header{"Range": {"bytes=0-0"}, "If-Range": {`"x"`}}, 200, "hello\nbrave\nworld\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/api/v1/repos/file?", "/api/repos/team%2Fapp/file?"} {
				r := b.raw(t, tt.method, path+tt.query, token, "", tt.header)
				body := bodyOf(t, r)
				require.Equal(t, tt.status, r.StatusCode, body)
				require.Equal(t, tt.contentRange, r.Header.Get("Content-Range"))
				if tt.status >= 400 {
					require.Contains(t, r.Header.Get("Content-Type"), "application/json")
					var decoded map[string]any
					require.NoError(t, json.Unmarshal([]byte(body), &decoded))
					conform(t, sdkSchemas()["error"], any(decoded), tt.name)
					continue
				}
				require.Equal(t, tt.body, body)
				require.NotEmpty(t, r.Header.Get("ETag"))
				if tt.status == 304 {
					continue
				}
				require.Equal(t, "application/octet-stream", r.Header.Get("Content-Type"))
				require.Equal(t, "bytes", r.Header.Get("Accept-Ranges"))
				require.NotEmpty(t, r.Header.Get("Last-Modified"))
				require.Equal(t, `"`+r.Header.Get("X-Blob-Sha")+`"`, r.Header.Get("ETag"))
				require.Len(t, r.Header.Get("X-Last-Commit-Sha"), 40)
			}
		})
	}
}

func TestContent_commits(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	for _, name := range []string{"ref", "branch"} {
		a := b.read(t, "commits", name+"=feature", "")
		require.Equal(t, []any{b.id("feature"), b.id("main^")}, pick(a, "commits", "sha"))
	}
	a := b.read(t, "commits", "ref=main&branch=feature&path=src", "")
	require.Equal(t, []any{b.id("main^")}, pick(a, "commits", "sha"), "the newer name wins")
	a = b.read(t, "commits", "limit=1", "")
	require.Equal(t, true, a.body["has_more"])
	a = b.read(t, "commits", "limit=1&cursor="+a.body["next_cursor"].(string), "")
	require.Equal(t, []any{b.id("main^")}, pick(a, "commits", "sha"))
	require.Equal(t, false, a.body["has_more"])
	require.Equal(t, []any{"first\n\nwith a body"}, pick(a, "commits", "message"))
	require.Equal(t, []any{[]any{}}, pick(a, "commits", "parent_shas"))

	for _, query := range []string{"sha=" + b.id("signed"), "ref=signed", "ref=" + b.id("signed")[:9], "sha=main&ref=signed"} {
		a := b.read(t, "commit", query, "")
		require.Equal(t, b.id("signed"), a.at("commit.sha"))
		require.Equal(t, "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n", a.at("commit.signature"))
		require.NotContains(t, a.at("commit.payload"), "gpgsig")
	}
	require.NotContains(t, b.read(t, "commit", "ref=main", "").body["commit"], "signature")
}

func TestContent_diffs(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	for _, query := range []string{"sha=feature", "ref=feature", "ref=feature&base_ref=v1.0.0", "sha=feature&baseSha=" + b.id("v1.0.0")} {
		a := b.read(t, "diff", query, "")
		require.Equal(t, b.id("feature"), a.body["sha"])
		require.Equal(t, b.id("v1.0.0"), a.body["base_sha"])
		require.Equal(t, []any{"feature.txt", "src/app.ts"}, pick(a, "files", "path"))
		require.Equal(t, []any{"A", "M"}, pick(a, "files", "state"))
		require.Equal(t, []any{"bin.dat"}, pick(a, "filtered_files", "path"))
		require.Equal(t, map[string]any{"files": 3., "additions": 2., "deletions": 1., "changes": 3.}, a.body["stats"])
	}
	for _, name := range []string{"gitApplyCompatible", "git_apply_compatible"} {
		a := b.read(t, "diff", "ref=feature&"+name+"=true", "")
		require.Equal(t, 5., a.at("stats.changes"), "two more lines differ in white space")
	}
	a := b.read(t, "diff", "sha=v1.0.0", "")
	require.Empty(t, a.body["base_sha"])
	require.Len(t, a.body["files"], 4)
	a = b.read(t, "diff", "ref=scratch&ref_is_ephemeral=true&base_ref=main", "")
	require.Equal(t, []any{"scratch.txt"}, pick(a, "files", "path"))
	a = b.read(t, "diff", "ref=main&base_ref=scratch&base_is_ephemeral=true&path=scratch.txt&path=src", "")
	require.Equal(t, []any{"D"}, pick(a, "files", "state"))

	a = b.read(t, "branches/diff", "branch=feature", "")
	require.Equal(t, "main", a.body["base"])
	require.Equal(t, "feature", a.body["branch"])
	require.Equal(t, b.id("v1.0.0"), a.body["merge_base_sha"])
	require.Equal(t, []any{"feature.txt", "src/app.ts"}, pick(a, "files", "path"))
	a = b.read(t, "branches/diff", "branch=scratch&ephemeral=true&base=feature&path=scratch.txt", "")
	require.Equal(t, []any{"scratch.txt"}, pick(a, "files", "path"))
	a = b.read(t, "branches/diff", "branch=main&base=main", "")
	require.Empty(t, a.body["files"])
}

func TestContent_blameAndGrep(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	a := b.read(t, "blame", "path=README.md&detect_moves=true", "")
	require.Equal(t, []any{b.id("main^"), b.id("main"), b.id("main^")}, pick(a, "lines", "commit_sha"))
	require.Equal(t, []any{"first", "second", "first"}, pick(a, "lines", "summary"))
	a = b.read(t, "blame", "path=README.md&range=2,2&range=3,%2B1", "")
	require.Equal(t, []any{2., 3.}, pick(a, "lines", "line_number"))
	require.Equal(t, b.id("main^"), a.body["lines"].([]any)[0].(map[string]any)["previous_commit_sha"])

	a = b.read(t, "grep", "", `{"query":{"pattern":"HELLO|const [ab]","case_sensitive":false},"context":{"after":1}}`)
	require.Equal(t, []any{"README.md", "src/app.ts"}, pick(a, "matches", "path"))
	require.Equal(t, map[string]any{"pattern": "HELLO|const [ab]", "case_sensitive": false}, a.body["query"])
	require.Equal(t, map[string]any{"ref": "main", "commit": b.id("main")}, a.body["repo"])
	first := a.body["matches"].([]any)[0].(map[string]any)["lines"]
	require.Equal(t, []any{map[string]any{"line_number": 1., "text": "hello", "type": "match"}, map[string]any{"line_number": 2., "text": "brave", "type": "context"}}, first)
	for _, name := range []string{"ref", "rev"} {
		a = b.read(t, "grep", "", fmt.Sprintf(`{"query":{"pattern":"."},%q:"scratch","ephemeral":true,"paths":["scratch.txt"],"file_filters":{"extension_filters":["txt"],"include_globs":["*"],"exclude_globs":["x"]}}`, name))
		require.Equal(t, []any{"scratch.txt"}, pick(a, "matches", "path"))
	}
	a = b.read(t, "grep", "", `{"query":{"pattern":"0123"},"limits":{"max_lines":10}}`)
	require.Equal(t, true, a.body["has_more"])
	a = b.read(t, "grep", "", `{"query":{"pattern":"0123"},"limits":{"max_matches_per_file":3},"pagination":{"limit":5,"cursor":"`+a.body["next_cursor"].(string)+`"}}`)
	require.Equal(t, false, a.body["has_more"])
}

func TestContent_refs(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	a := b.read(t, "branches", "", "")
	require.Equal(t, []any{"feature", "main", "signed", "theirs"}, pick(a, "branches", "name"))
	require.Equal(t, "2023-11-15T00:15:00+02:00", pick(a, "branches", "created_at")[0])
	a = b.read(t, "branches", "limit=3", "")
	require.Equal(t, []any{"theirs"}, pick(b.read(t, "branches", "limit=3&cursor="+a.body["next_cursor"].(string), ""), "branches", "name"))
	require.Equal(t, []any{"scratch"}, pick(b.read(t, "branches", "ephemeral=true", ""), "branches", "name"))
	require.Equal(t, b.id("main"), b.read(t, "branch", "name=main", "").at("branch.head_sha"))
	require.Equal(t, "scratch", b.read(t, "branch", "name=scratch&ephemeral=true", "").at("branch.name"))
	require.Equal(t, "ref not found", b.read(t, "branch", "name=scratch", "").body["error"])
	require.Equal(t, []any{b.id("main^"), b.id("main")}, pick(b.read(t, "tags", "limit=9999", ""), "tags", "sha"))
	require.Equal(t, b.id("main"), b.read(t, "tag", "name=v2.0.0", "").at("tag.sha"))

	for _, query := range []string{"sha=" + b.id("main") + "&ref=reviews", "object_ref=main&notes_ref=refs/notes/reviews"} {
		a = b.read(t, "notes", query, "")
		require.Equal(t, map[string]any{"sha": b.id("main"), "note": "looks good\n", "ref_sha": b.id("refs/notes/reviews")}, a.body)
	}
	a = b.read(t, "notes/refs", "prefix=rev", "")
	require.Equal(t, "refs/notes/rev", a.body["prefix"])
	require.Equal(t, []any{"refs/notes/reviews"}, pick(a, "refs", "ref"))
}

func TestContent_mergePreview(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	a := b.read(t, "merge/preview", "source_branch=feature&target_branch=main", "")
	require.Equal(t, []any{"clean", "merge_commit"}, []any{a.body["status"], a.body["result"]})
	a = b.read(t, "merge/preview", "source_branch=theirs&target_branch=main&include_content=true", "")
	require.Equal(t, "conflicted", a.body["status"])
	require.Equal(t, []any{"conflict.txt"}, a.body["conflict_paths"])
	require.Equal(t, map[string]any{"oid": b.id("theirs:conflict.txt"), "content": "theirs\n", "truncated": false, "binary": false}, a.body["conflicts"].([]any)[0].(map[string]any)["theirs"])
	a = b.read(t, "merge/preview", "source_ref=scratch&source_is_ephemeral=true&target_branch=main", "")
	require.Equal(t, "fast_forward", a.body["result"])
	require.Equal(t, "scratch", a.body["source_branch"])
}

func TestContent_archive(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	token := b.token(t, "team/app", access.GitRead)
	for body, want := range map[string][]string{
		"": {"README.md", "big.txt", "conflict.txt", "src/", "src/app.ts", "src/lib/", "src/lib/util.go", "with space & \u00fc.txt"},
		`{"ref":"feature","include_globs":["src/**"],"exclude_globs":["*.go"],"archive":{"prefix":"app"}}`: {"app/src/", "app/src/app.ts"},
		`{"max_blob_size":12}`: {"conflict.txt", "src/", "src/lib/", "src/lib/util.go", "with space & \u00fc.txt"},
	} {
		r := b.raw(t, "POST", "/api/repos/team%2Fapp/archive", token, body, nil)
		require.Equal(t, 200, r.StatusCode)
		require.Equal(t, "application/gzip", r.Header.Get("Content-Type"))
		plain, err := gzip.NewReader(r.Body)
		require.NoError(t, err)
		var names []string
		for files := tar.NewReader(plain); ; {
			h, err := files.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if h.Typeflag != tar.TypeXGlobalHeader {
				names = append(names, h.Name)
			}
		}
		require.Equal(t, want, names, body)
	}
}

func FuzzContent_ranges(f *testing.F) {
	b := newContentBench(f)
	dir := b.make("app")
	b.fill(dir)
	claims, err := access.Sign(b.signers["acme"], access.Claims{Issuer: "acme", Repo: "app", Scopes: []access.Scope{access.GitRead}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(1 << 40)})
	require.NoError(f, err)
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=0-0,2-3", "bytes=9-1", "bytes=a-b", "items=0-1", "bytes=99999999999999999999-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := b.raw(t, "GET", "/api/v1/repos/file?path=README.md", claims, "", http.Header{"Range": {value}})
		body := bodyOf(t, r)
		require.Contains(t, []int{200, 206, 416}, r.StatusCode)
		if r.StatusCode == 206 && r.Header.Get("Content-Range") != "" {
			require.Contains(t, "hello\nbrave\nworld\n", body)
		}
	})
}

func BenchmarkContent_file(b *testing.B) {
	c := newContentBench(b)
	c.fill(c.make("app"))
	token, err := access.Sign(c.signers["acme"], access.Claims{Issuer: "acme", Repo: "app", Scopes: []access.Scope{access.GitRead}, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(1 << 40)})
	require.NoError(b, err)
	for b.Loop() {
		r := c.raw(b, "GET", "/api/v1/repos/file?path=src/app.ts", token, "", nil)
		require.Equal(b, 200, r.StatusCode)
	}
}
