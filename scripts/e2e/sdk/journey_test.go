//go:build npm

package sdk

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/longtest"
)

// TestPlain_journey takes the calls of the SDK in the words that it does not
// know yet: by the preferred routes and in the newer vocabulary, and in mixtures
// with the older ones, on local repositories and on synced ones: every two of kind,
// routes and vocabulary meet, and all three where there is time.
func TestPlain_journey(t *testing.T) {
	t.Parallel()
	host := newFake(t)
	b := newBench(t, host)
	journeys(t, b, host)
}

func journeys(t *testing.T, b *bench, host upstream) {
	t.Run("all", func(t *testing.T) {
		for _, kind := range kinds() {
			for _, legacy := range []bool{false, true} {
				for _, older := range []bool{false, true} {
					if !longtest.Long() && (kind == synced) != (legacy == older) {
						continue
					}
					name := fmt.Sprintf("%s legacy=%t older=%t", kind, legacy, older)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						p := newPlain(t, b, "plain/"+strings.NewReplacer(" ", "-", "=", "-").Replace(name))
						p.legacy, p.older = legacy, older
						p.journey(kind, host)
					})
				}
			}
		}
	})
}

// family is the prefix of the routes about no single repository.
func (p *plain) family() string {
	if p.legacy {
		return p.b.url + "/api/v1/repos"
	}
	return p.b.url + "/api/repos"
}

func (p *plain) journey(k kind, host upstream) {
	p.create(k, host)
	first := p.begin()
	p.read(first)
	p.refs(first)
	p.write(first)
	p.merges()
	p.notes(first)
	p.copies()
	p.leave(k)
}

// create makes the repository.
func (p *plain) create(k kind, host upstream) {
	if k == local {
		a := p.do(http.MethodPost, p.family(), object{"default_branch": "trunk"}, nil, http.StatusCreated, "created repo")
		require.Equal(p.t, p.repo, a.text("repo_name"))
		require.Equal(p.t, p.b.url+"/"+p.repo+".git", a.text("http_url"))
		p.do(http.MethodPost, p.family(), object{}, nil, http.StatusConflict, "error")
		return
	}
	path, err := host.create(p.t.Context(), strings.ReplaceAll(p.repo, "/", "-"))
	require.NoError(p.t, err)
	owner, name, _ := strings.Cut(path, "/")
	p.do(http.MethodPost, p.family(), object{"base_repo": object{"provider": "gitea", "owner": owner, "name": name, "upstream_host": host.host()}},
		nil, http.StatusCreated, "created repo")
	user, secret := host.credential()
	credential := object{"username": user, "password": secret}
	if p.legacy {
		credential["repo_id"] = p.get("", nil, http.StatusOK, "repo").text("repo_id") // the internal one
	}
	id := p.send(http.MethodPost, "/git-credentials", credential, http.StatusCreated, "credential").text("id")
	if p.legacy {
		p.send(http.MethodPut, "/git-credentials", object{"id": id, "password": secret}, http.StatusOK, "credential")
	} else {
		p.send(http.MethodPut, "/git-credentials/"+id, object{"password": secret}, http.StatusOK, "credential")
	}
	p.send(http.MethodPost, "/pull-upstream", nil, http.StatusAccepted, "message")
	require.Eventually(p.t, func() bool {
		return p.get("", nil, http.StatusOK, "repo").text("sync.state") == "ready"
	}, time.Minute, 50*time.Millisecond)
	p.path = path
}

// signed fills in what every commit needs.
func signed(fields object) object {
	all := object{"target_branch": "main", "commit_message": "Change", "author": object{"name": "Ada", "email": "ada@example.test"}}
	for name, value := range fields {
		all[name] = value
	}
	return all
}

// commit commits files and returns the commit; nil deletes one.
func (p *plain) commit(metadata object, files map[string]any, want int, shaped string) answer {
	p.t.Helper()
	entries, chunks := []object{}, []any{}
	for path, content := range files {
		if content == nil {
			entries = append(entries, object{"path": path, "operation": "delete"})
			continue
		}
		entries = append(entries, object{"path": path, "content_id": "id of " + path})
		chunks = append(chunks, object{"blob_chunk": object{"content_id": "id of " + path, "data": []byte(content.(string)), "eof": true}})
	}
	metadata = signed(metadata)
	metadata["files"] = entries
	return p.do(http.MethodPost, p.route("/commit-pack"), nil, append([]any{object{"metadata": metadata}}, chunks...), want, shaped)
}

// begin makes the first two commits and returns the first.
func (p *plain) begin() string {
	a := p.commit(nil, map[string]any{"README.md": "hello\nworld\n", "src/a.go": "package a\n", "gone": "x"}, http.StatusCreated, "made")
	require.Equal(p.t, strings.Repeat("0", 40), a.text("result.old_sha"))
	first := a.text("commit.commit_sha")
	guard := p.say("expected_target_sha", "expected_head_sha")
	p.commit(object{guard: first}, map[string]any{"src/a.go": "package a\n\nfunc A() {}\n", "gone": nil}, http.StatusCreated, "made")
	failed := p.commit(object{guard: first}, map[string]any{"x": "x"}, http.StatusConflict, "failed commit")
	require.Equal(p.t, "precondition_failed", failed.text("result.status"))
	if p.path == "" { // the branch that was the default one has never been there
		p.send(http.MethodPatch, "", object{"default_branch": "main"}, http.StatusOK, "repo")
	}
	require.Equal(p.t, "main", p.get("", nil, http.StatusOK, "repo").text("default_branch"))
	return first
}

func (p *plain) read(first string) {
	files := p.get("/files", object{"path": "src", "recursive": false, "limit": 1}, http.StatusOK, "files")
	require.Equal(p.t, []any{"src/a.go"}, files.at("paths"))
	p.get("/files/metadata", object{"limit": 1}, http.StatusOK, "metadata")
	p.get("/files", object{"ref": "nope"}, http.StatusNotFound, "error")
	file := p.get("/file", object{"path": "README.md"}, http.StatusOK, "")
	require.Equal(p.t, "hello\nworld\n", file.raw)
	require.Equal(p.t, `"`+file.header.Get("X-Blob-Sha")+`"`, file.header.Get("ETag"))
	require.Equal(p.t, first, file.header.Get("X-Last-Commit-Sha"))
	head := p.do(http.MethodHead, p.route("/file"), object{"path": "README.md"}, nil, http.StatusOK, "")
	require.Empty(p.t, head.raw)
	require.Equal(p.t, "12", head.header.Get("Content-Length"))
	ref := p.say("ref", "sha")
	require.Equal(p.t, first, p.get("/commit", object{ref: "main~1"}, http.StatusOK, "commit").text("commit.sha"))
	commits := p.get("/commits", object{p.say("ref", "branch"): "main", "limit": 1}, http.StatusOK, "commits")
	require.Equal(p.t, true, commits.at("has_more"))
	p.get("/commits", object{"cursor": commits.text("next_cursor")}, http.StatusOK, "commits")
	diff := p.get("/diff", object{ref: "main", p.say("base_ref", "baseSha"): first, p.say("git_apply_compatible", "gitApplyCompatible"): true, "path": []string{"src", "gone"}},
		http.StatusOK, "commit diff")
	require.Equal(p.t, first, diff.text("base_sha"))
	require.Len(p.t, diff.at("files"), 2)
	p.get("/blame", object{"path": "README.md", "range": []string{"1,1", "2,2"}, "detect_moves": true}, http.StatusOK, "blame")
	found := p.send(http.MethodPost, "/grep", object{"query": object{"pattern": "FUNC", "case_sensitive": false}, p.say("ref", "rev"): "main", "context": object{"before": 1}},
		http.StatusOK, "grep")
	require.Len(p.t, found.at("matches"), 1)
	archive := p.send(http.MethodPost, "/archive", object{p.say("ref", "rev"): "main"}, http.StatusOK, "")
	require.Equal(p.t, "application/gzip", archive.header.Get("Content-Type"))
	require.Equal(p.t, "\x1f\x8b", archive.raw[:2])
	list := p.do(http.MethodGet, p.family(), object{"q": p.repo, "limit": 1}, nil, http.StatusOK, "repos")
	require.NotEmpty(p.t, list.at("repos"))
}

func (p *plain) refs(first string) {
	base, target := p.say("base_ref", "base_branch"), p.say("target_branch", "name")
	p.send(http.MethodPost, "/branches/create", object{"target_branch": "feature/x", base: "main"}, http.StatusOK, "new branch")
	require.Equal(p.t, "feature/x", p.get("/branch", object{"name": "feature/x"}, http.StatusOK, "branch").text("branch.name"))
	p.get("/branch", object{"name": "feature"}, http.StatusNotFound, "error")
	// Moving it back takes force.
	p.send(http.MethodPost, "/branches/create", object{"target_branch": "feature/x", "base_ref": first}, http.StatusConflict, "error")
	a := p.send(http.MethodPost, "/branches/create", object{"target_branch": "feature/x", "base_ref": "main~1", "force": true}, http.StatusOK, "new branch")
	require.Equal(p.t, first, a.text("commit_sha"))
	p.send(http.MethodDelete, "/branches", object{target: "main"}, http.StatusConflict, "error")
	p.send(http.MethodDelete, "/branches", object{target: "feature/x"}, http.StatusOK, "no branch")
	p.get("/branches", object{"limit": 1}, http.StatusOK, "branches")

	name := p.say("ref", "target")
	if p.older {
		p.send(http.MethodPost, "/tags", object{"name": "v1", name: "main"}, http.StatusBadRequest, "error")
		p.send(http.MethodPost, "/tags", object{"name": "release/1", name: first}, http.StatusOK, "new tag")
	} else {
		p.send(http.MethodPost, "/tags", object{"name": "release/1", name: "main~1"}, http.StatusOK, "new tag")
	}
	require.Equal(p.t, first, p.get("/tag", object{"name": "release/1"}, http.StatusOK, "tag").text("tag.sha"))
	if p.legacy {
		p.send(http.MethodDelete, "/tags", object{"name": "release/1"}, http.StatusOK, "no tag")
	} else {
		p.send(http.MethodDelete, "/tags/release%2F1", nil, http.StatusOK, "no tag")
	}
	p.get("/tag", object{"name": "release/1"}, http.StatusNotFound, "error")
}

func (p *plain) write(first string) {
	patch := "--- a/README.md\n+++ b/README.md\n@@ -1,2 +1,2 @@\n-hello\n+HELLO\n world\n"
	lines := []any{object{"metadata": signed(object{"target_branch": "topic", "base_branch": "main"})}, object{"diff_chunk": object{"data": []byte(patch), "eof": true}}}
	p.do(http.MethodPost, p.route("/diff-commit"), nil, lines, http.StatusCreated, "made")
	again := p.do(http.MethodPost, p.route("/diff-commit"), nil, lines, http.StatusConflict, "failed commit")
	require.Equal(p.t, "conflict", again.text("result.status"))
	require.Len(p.t, p.get("/branches/diff", object{"branch": "topic"}, http.StatusOK, "branch diff").at("files"), 1)

	base, guard := p.say("base_ref", "target_commit_sha"), p.say("expected_target_sha", "expected_head_sha")
	p.send(http.MethodPost, "/restore-commit", object{"metadata": signed(object{"target_branch": "topic", base: first})}, http.StatusCreated, "restored")
	stale := p.send(http.MethodPost, "/restore-commit", object{"metadata": signed(object{"target_branch": "topic", base: "main", guard: first})},
		http.StatusPreconditionFailed, "failed commit")
	require.Equal(p.t, "precondition_failed", stale.text("result.status"))

	ephemeral, from := p.say("target_is_ephemeral", "ephemeral"), p.say("base_is_ephemeral", "ephemeral_base")
	p.commit(object{"target_branch": "draft", "base_branch": "main", ephemeral: true}, map[string]any{"draft": "1"}, http.StatusCreated, "made")
	made := p.commit(object{"target_branch": "next", "base_branch": "draft", ephemeral: true, from: true}, map[string]any{"draft": "2"}, http.StatusCreated, "made")
	require.Len(p.t, p.get("/branches", object{"ephemeral": true}, http.StatusOK, "branches").at("branches"), 2)
	if !p.older {
		diff := p.get("/diff", object{"ref": "next", "ref_is_ephemeral": true, "base_ref": "draft", "base_is_ephemeral": true}, http.StatusOK, "commit diff")
		require.Equal(p.t, made.text("commit.commit_sha"), diff.text("sha"))
	}
	p.send(http.MethodPost, "/branches/create", object{"target_branch": "promoted", p.say("base_ref", "base_branch"): "next", "base_is_ephemeral": true},
		http.StatusOK, "new branch")
}

func (p *plain) merges() {
	source := p.say("source_ref", "source_branch")
	merge := func(more object) object {
		fields := signed(object{"strategy": "merge"})
		for name, value := range more {
			fields[name] = value
		}
		return fields
	}
	p.get("/merge/preview", object{"source_branch": "promoted", "target_branch": "main"}, http.StatusOK, "preview")
	from := "promoted"
	if !p.older {
		from = "promoted~0" // any revision
	}
	done := p.send(http.MethodPost, "/merge", merge(object{source: from}), http.StatusOK, "merge")
	require.Equal(p.t, "merge_commit", done.text("result"))
	require.Equal(p.t, "no_op", p.send(http.MethodPost, "/merge", merge(object{source: from}), http.StatusOK, "merge").text("result"))
	for branch, text := range map[string]string{"ours": "1", "theirs": "2"} {
		p.commit(object{"target_branch": branch, "base_branch": "main"}, map[string]any{"README.md": text}, http.StatusCreated, "made")
	}
	preview := p.get("/merge/preview", object{"source_branch": "theirs", "target_branch": "ours", "include_content": true}, http.StatusOK, "preview")
	require.Len(p.t, preview.at("conflicts"), 1)
	clash := p.send(http.MethodPost, "/merge", merge(object{source: "theirs", "target_branch": "ours"}), http.StatusConflict, "failed merge")
	require.Equal(p.t, "merge_conflict", clash.text("conflict_type"))
	moved := p.send(http.MethodPost, "/merge", merge(object{source: "theirs", "target_branch": "main", "expected_target_sha": strings.Repeat("1", 40)}),
		http.StatusConflict, "failed merge")
	require.Equal(p.t, "target_moved", moved.text("conflict_type"))
	p.send(http.MethodPost, "/merge", merge(object{source: "theirs", "strategy": "ff_only"}), http.StatusOK, "merge")
	p.send(http.MethodPost, "/merge", merge(object{source: "draft", "source_is_ephemeral": true, "target_branch": "next", "target_is_ephemeral": true}), http.StatusOK, "merge")
}

func (p *plain) notes(first string) {
	of, ref, guard := p.say("object_ref", "sha"), p.say("notes_ref", "ref"), p.say("expected_notes_ref_sha", "expected_ref_sha")
	made := p.send(http.MethodPost, "/notes", object{of: first, "action": "add", "note": "fine", ref: "reviews"}, http.StatusOK, "new note")
	require.Equal(p.t, "refs/notes/reviews", made.text("notes_ref"))
	stale := p.send(http.MethodPost, "/notes", object{of: first, "action": "append", "note": "x", ref: "reviews", guard: strings.Repeat("1", 40)},
		http.StatusPreconditionFailed, "failed note")
	require.Equal(p.t, "precondition_failed", stale.text("result.status"))
	p.send(http.MethodPost, "/notes", object{of: first, "action": "add", "note": "x", ref: "reviews"}, http.StatusConflict, "failed note")
	p.send(http.MethodPost, "/notes", object{of: first, "action": "append", "note": "x", ref: "reviews", guard: made.text("new_ref_sha")}, http.StatusOK, "new note")
	require.Equal(p.t, "fine\n\nx\n", p.get("/notes", object{of: first, ref: "refs/notes/reviews"}, http.StatusOK, "note").text("note"))
	p.get("/notes/refs", object{"prefix": "rev"}, http.StatusOK, "notes refs")
	p.send(http.MethodDelete, "/notes", object{of: first, ref: "reviews"}, http.StatusOK, "new note")
	p.get("/notes", object{of: first, ref: "reviews"}, http.StatusNotFound, "error")
}

// copies makes a fork and a snapshot of the repository.
func (p *plain) copies() {
	main := p.get("/commit", object{p.say("ref", "sha"): "main"}, http.StatusOK, "commit").text("commit.sha")
	of := func(name, operation string, more object) (*plain, object) {
		c := *p
		c.repo, c.path = p.repo+"-"+name, ""
		base := object{"provider": "code.storage", "name": p.repo, "operation": operation, "auth": object{"token": p.token(p.repo, access.GitRead)}}
		for field, value := range more {
			base[field] = value
		}
		return &c, object{"base_repo": base, "initial_commit": object{"message": "Begin anew", "author": object{"name": "Ada", "email": "ada@example.test"}}}
	}
	fork, body := of("fork", "fork", object{"ref": "main"})
	fork.do(http.MethodPost, fork.family(), body, nil, http.StatusCreated, "created repo")
	require.Equal(p.t, main, fork.get("/commit", object{p.say("ref", "sha"): "main"}, http.StatusOK, "commit").text("commit.sha"))

	snapshot, body := of("snapshot", "snapshot", object{"ref": "main~1"})
	snapshot.do(http.MethodPost, snapshot.family(), body, nil, http.StatusCreated, "created repo")
	commits := snapshot.get("/commits", nil, http.StatusOK, "commits").at("commits").([]any)
	require.Len(p.t, commits, 1, "a snapshot has no history")
	require.Equal(p.t, "Begin anew", strings.TrimSpace(commits[0].(object)["message"].(string)))
	require.Equal(p.t, p.get("/files", object{"ref": "main~1"}, http.StatusOK, "files").at("entries"), snapshot.get("/files", nil, http.StatusOK, "files").at("entries"))

	missing, body := of("missing", "snapshot", nil)
	missing.do(http.MethodPost, missing.family(), body, nil, http.StatusBadRequest, "error") // ref is required
	foreign, body := of("foreign", "fork", object{"auth": object{"token": p.token("plain/other", access.GitRead)}})
	foreign.do(http.MethodPost, foreign.family(), body, nil, http.StatusForbidden, "error")
}

// leave takes the link away and deletes everything.
func (p *plain) leave(k kind) {
	if k == synced {
		path := p.path
		p.path = ""
		p.send(http.MethodDelete, "/base", nil, http.StatusOK, "message")
		p.send(http.MethodDelete, "/base", nil, http.StatusOK, "message")
		p.send(http.MethodPost, "/pull-upstream", nil, http.StatusBadRequest, "error")
		// Now it is a local one, and the upstream is left alone.
		before, err := p.b.refs(p.t.Context(), path)
		require.NoError(p.t, err)
		p.commit(nil, map[string]any{"local": "x"}, http.StatusCreated, "made")
		after, err := p.b.refs(p.t.Context(), path)
		require.NoError(p.t, err)
		require.Equal(p.t, before, after)
	}
	if k == synced || p.legacy {
		return // what is left is for git to check
	}
	p.send(http.MethodDelete, "", nil, http.StatusOK, "message")
	p.get("", nil, http.StatusNotFound, "error")
}
