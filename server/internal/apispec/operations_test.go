package apispec_test

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
)

// The parts of the conformance test, in the order in which they run.

func (c *client) repositories() {
	c.send("createRepository", 201, m{"default_branch": "main"})
	c.send("createRepository", 409, m{})
	c.get("getRepository", 200)
	list := c.do(request{op: "listRepositories", want: 200, query: values("q", c.repo, "limit", "1"), token: c.orgToken()})
	require.Len(c.t, list.at("repos"), 1)
	c.do(request{op: "listProviders", want: 200, token: c.orgToken()})
	for _, op := range []string{"getHealth", "getReadiness", "getOpenAPI"} {
		c.do(request{op: op, want: 200, token: "-"})
	}
}

func (c *client) files() {
	c.get("listFiles", 404)
	c.commit(nil, map[string]string{"README.md": "hello\nworld\n", "src/a.go": "package a\n\nfunc A() {}\n", "src/deep/b.go": "package b\n", "empty": ""})
	c.get("listFiles", 200)
	first := c.get("listFiles", 200, "ref", "main", "path", "src", "recursive", "false", "limit", "1", "ephemeral", "false")
	require.Equal(c.t, true, first.at("has_more"))
	c.get("listFiles", 200, "path", "src", "recursive", "false", "limit", "1", "cursor", first.at("next_cursor").(string))
	c.get("listFiles", 400, "cursor", "%")
	c.get("listFilesMetadata", 200)
	c.get("listFilesMetadata", 200, "ref", "main", "path", "src", "limit", "1", "ephemeral", "false")

	file := c.get("getFile", 200, "path", "README.md", "ref", "main", "ephemeral", "false", "ephemeral_base", "false")
	require.Equal(c.t, "hello\nworld\n", string(file.raw))
	for _, op := range []string{"getFile", "headFile"} {
		for _, step := range []struct {
			want        int
			name, value string
		}{
			{206, "Range", "bytes=0-4"},
			{206, "Range", "bytes=0-1,3-4"},
			{206, "Range", "bytes=-3"},
			{416, "Range", "bytes=100-"},
			{304, "If-None-Match", file.header.Get("ETag")},
			{304, "If-Modified-Since", file.header.Get("Last-Modified")},
			{412, "If-Match", `"other"`},
			{412, "If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"},
			{200, "If-Match", file.header.Get("ETag")},
		} {
			c.do(request{op: op, want: step.want, query: values("path", "README.md"), header: []string{step.name, step.value}})
		}
		c.get(op, 404, "path", "nope")
	}
	c.do(request{op: "getFile", want: 400, anyBody: true})

	c.do(request{op: "getArchive", want: 200})
	c.send("getArchive", 200, m{c.say("ref", "rev"): "main", "ephemeral": false, "include_globs": []string{"**/*.go"}, "exclude_globs": []string{"x"},
		"max_blob_size": 1000, "archive": m{"prefix": "app/"}})
	c.send("getArchive", 404, m{"ref": "nope"})
	found := c.send("grep", 200, m{"query": m{"pattern": "package", "case_sensitive": false}, c.say("ref", "rev"): "main", "ephemeral": false, "paths": []string{"src"},
		"file_filters": m{"include_globs": []string{"**/*.go"}, "exclude_globs": []string{"x"}, "extension_filters": []string{"go"}},
		"context":      m{"before": 1, "after": 1}, "limits": m{"max_lines": 100, "max_matches_per_file": 3}, "pagination": m{"limit": 1}})
	require.Equal(c.t, true, found.at("has_more"))
	c.send("grep", 200, m{"query": m{"pattern": "package"}, "pagination": m{"cursor": found.at("next_cursor"), "limit": 1}})
	c.send("grep", 400, m{"query": m{"pattern": "("}})
	c.get("getBlame", 200, "path", "README.md", "ref", "main", "range", "1,1", "range", "2,+1", "detect_moves", "true", "ephemeral", "false")
	c.get("getBlame", 404, "path", "nope")
}

func (c *client) commits() {
	tip := c.commit(m{c.say("target_is_ephemeral", "ephemeral"): true, "base_branch": "main", c.say("base_is_ephemeral", "ephemeral_base"): false},
		map[string]string{"e": "1"})
	c.get("listFiles", 200, "ephemeral", "true", "ref", "main")
	c.commit(m{c.say("target_is_ephemeral", "ephemeral"): true, c.say("expected_target_sha", "expected_head_sha"): tip}, map[string]string{"e": "2"})
	c.do(request{op: "createCommit", want: 409, lines: packLines(m{c.say("expected_target_sha", "expected_head_sha"): tip}, map[string]string{"x": "1"})})
	c.do(request{op: "createCommit", want: 400, lines: packLines(m{"target_branch": "main"}, map[string]string{"../x": "1"})})
	c.do(request{op: "createCommit", want: 404, lines: packLines(m{"target_branch": "nope"}, map[string]string{"x": "1"})})

	patch := "--- a/README.md\n+++ b/README.md\n@@ -1,2 +1,2 @@\n-hello\n+HELLO\n world\n"
	lines := []any{m{"metadata": filled(m{"target_branch": "feature", "base_branch": "main"})}, m{"diff_chunk": m{"data": []byte(patch), "eof": true}}}
	made := c.do(request{op: "createCommitFromDiff", want: 201, lines: lines})
	c.do(request{op: "createCommitFromDiff", want: 409, lines: lines})

	page := c.get("listCommits", 200, c.say("ref", "branch"), "feature", "limit", "1", "ephemeral", "false")
	c.get("listCommits", 200, c.say("ref", "branch"), "feature", "limit", "1", "cursor", page.at("next_cursor").(string))
	c.get("listCommits", 200, "path", "README.md")
	c.get("getCommit", 200, c.say("ref", "sha"), "feature", "ephemeral", "false")
	c.get("getCommit", 404, c.say("ref", "sha"), "nope")
	head := made.at("commit.commit_sha").(string)
	c.get("getCommitDiff", 200, c.say("ref", "sha"), head)
	c.get("getCommitDiff", 200, c.say("ref", "sha"), head, c.say("base_ref", "baseSha"), "main", c.say("git_apply_compatible", "gitApplyCompatible"), "true",
		"path", "README.md", "path", "src", c.say("ref_is_ephemeral", "ephemeral"), "false", c.say("base_is_ephemeral", "ephemeral_base"), "false")
	c.get("getCommitDiff", 200, c.say("ref", "sha"), "main") // of a first commit
	c.get("getBranchDiff", 200, "branch", "feature", "base", "main", "ephemeral", "false", "ephemeral_base", "false", "path", "README.md")

	c.commit(m{"target_branch": "restored", "base_branch": "main"}, map[string]string{"bin": "\x00\x01", "README.md": "new\n"})
	c.get("getCommitDiff", 200, c.say("ref", "sha"), "restored") // with a binary file
	c.send("restoreCommit", 201, m{"metadata": filled(m{"target_branch": "restored", c.say("base_ref", "target_commit_sha"): "restored~1"})})
	c.send("resetCommits", 201, m{"metadata": filled(m{"target_branch": "restored", c.say("base_ref", "target_commit_sha"): "feature"})})
	c.send("restoreCommit", 412, m{"metadata": filled(m{"target_branch": "restored", c.say("base_ref", "target_commit_sha"): "main", c.say("expected_target_sha", "expected_head_sha"): head})})
	c.send("restoreCommit", 404, m{"metadata": filled(m{"target_branch": "nope", c.say("base_ref", "target_commit_sha"): "main"})})
}

func (c *client) merges() {
	source := c.say("source_ref", "source_branch")
	branch := m{"target_branch": "other", c.say("base_ref", "base_branch"): "main", "base_is_ephemeral": false, "target_is_ephemeral": false, "force": false}
	c.send("createBranch", 200, branch)
	c.send("createBranch", 200, branch)
	c.send("createBranch", 409, m{"target_branch": "other", c.say("base_ref", "base_branch"): "feature"})
	page := c.get("listBranches", 200, "limit", "1", "ephemeral", "false")
	c.get("listBranches", 200, "cursor", page.at("next_cursor").(string))
	c.get("getBranch", 200, "name", "other", "ephemeral", "false")
	c.get("getBranch", 404, "name", "nope")

	c.commit(m{"target_branch": "other"}, map[string]string{"README.md": "Hello\nworld\n"})
	c.get("previewMerge", 200, source, "feature", "target_branch", "main", "allow_unrelated_histories", "false",
		"source_is_ephemeral", "false", "target_is_ephemeral", "false")
	preview := c.get("previewMerge", 200, source, "feature", "target_branch", "other", "include_content", "true")
	require.Equal(c.t, "conflicted", preview.at("status"))
	how := m{source: "feature", "target_branch": "main", "strategy": "merge", "commit_message": "merge", "author": ada(), "committer": ada(), "squash": false,
		"allow_unrelated_histories": false, "source_is_ephemeral": false, "target_is_ephemeral": false,
		"expected_target_sha": preview.at("merge_base_sha")}
	c.send("merge", 200, how)
	c.send("merge", 409, how) // the target has moved
	c.send("merge", 409, m{source: "other", "target_branch": "main", "strategy": "ff_prefer", "commit_message": "merge", "author": ada()})
	c.send("merge", 200, m{source: "feature", "target_branch": "main", "strategy": "ff_only"})
	c.send("merge", 400, m{source: "feature", "target_branch": "main", "strategy": "ff_only", "squash": true})

	c.send("deleteBranch", 200, m{c.say("target_branch", "name"): "other", c.say("target_is_ephemeral", "ephemeral"): false})
	c.send("deleteBranch", 404, m{c.say("target_branch", "name"): "other"})
	c.send("deleteBranch", 409, m{c.say("target_branch", "name"): "main"})
	c.send("updateRepository", 200, m{"default_branch": "feature"})
	c.send("updateRepository", 404, m{"default_branch": "nope"})
}

func (c *client) tags() {
	tip := c.get("getCommit", 200, c.say("ref", "sha"), "main").at("commit.sha").(string)
	for _, name := range []string{"v1/rc", "v2", "v3"} {
		c.send("createTag", 200, m{"name": name, c.say("ref", "target"): tip})
	}
	c.send("createTag", 409, m{"name": "v2", c.say("ref", "target"): tip})
	page := c.get("listTags", 200, "limit", "1")
	c.get("listTags", 200, "cursor", page.at("next_cursor").(string))
	c.get("getTag", 200, "name", "v1/rc")
	c.get("getTag", 404, "name", "nope")
	c.do(request{op: "deleteTag", want: 200, variables: []string{"tag", "v1/rc"}})
	c.do(request{op: "deleteTag", want: 404, variables: []string{"tag", "v1/rc"}})
	c.send("deleteTagByBody", 200, m{"name": "v2"})
	c.get("deleteTagByBody", 200, "name", "v3")
}

func (c *client) notes() {
	object, ref, guard := c.say("object_ref", "sha"), c.say("notes_ref", "ref"), c.say("expected_notes_ref_sha", "expected_ref_sha")
	c.get("getNote", 404, object, "main")
	made := c.send("writeNote", 200, m{object: "main", "action": "add", "note": "fine", ref: "reviews", guard: strings.Repeat("0", 40), "author": ada()})
	c.send("writeNote", 409, m{object: "main", "note": "again", ref: "reviews"})
	c.send("writeNote", 412, m{object: "main", "action": "append", "note": "more", ref: "reviews", guard: strings.Repeat("1", 40)})
	c.send("writeNote", 200, m{object: "main", "action": "append", "note": "more", ref: "reviews", guard: made.at("new_ref_sha")})
	c.get("getNote", 200, object, "main", ref, "reviews")
	c.get("listNotesRefs", 200, "prefix", "re", "limit", "1")
	c.send("deleteNote", 200, m{object: "main", ref: "reviews", "author": ada()})
	c.send("deleteNote", 404, m{object: "main", ref: "reviews"})
}

// synced tries what only a repository with an upstream has.
func (c *client) synced() {
	local := c.repo
	defer func() { c.repo = local }()
	c.repo += "-synced"
	user, secret := c.forge.Credential()
	owner, name, _ := strings.Cut(upstreamRepo, "/")
	c.send("createRepository", 201, m{"base_repo": m{"provider": "gitea", "owner": owner, "name": name, "upstream_host": c.forge.Host(), "operation": "sync"}})
	credential := m{"username": user, "password": secret}
	if c.legacy {
		credential["repo_id"] = c.repo
	}
	id := c.send("createCredential", 201, credential).at("id").(string)
	c.send("createCredential", 409, credential)
	update := request{op: "updateCredential", want: 200, variables: []string{"id", id}, body: m{"username": user, "password": secret}}
	if c.legacy {
		update.body, update.token = m{"id": id, "password": secret}, c.orgToken()
	}
	c.do(update)
	c.send("pullUpstream", 202, m{"ref": ""})
	require.NoError(c.t, c.server.Sync(c.t, c.repo))
	require.Equal(c.t, "ready", c.get("getRepository", 200).at("sync.state"))
	c.followed()
	require.Nil(c.t, c.get("rebuildRepository", 200).at("damage"))
	require.Equal(c.t, "paused", c.get("pauseRepository", 200).at("sync.state"))
	c.send("pullUpstream", 409, m{"ref": ""})
	require.Equal(c.t, "ready", c.get("resumeRepository", 200).at("sync.state"))
	remove := request{op: "deleteCredential", want: 204, variables: []string{"id", id}}
	if c.legacy {
		remove.body, remove.token = m{"id": id}, c.orgToken()
	}
	c.do(remove)
	remove.want = 404
	c.do(remove)
	c.get("detachUpstream", 200)
	c.get("pullUpstream", 400)
	c.relinked()
	c.get("deleteRepository", 200)
}

func (c *client) refusals() {
	weak := c.server.TokenWith(c.t, access.Claims{Repo: c.repo, Scopes: []access.Scope{access.OrgRead}})
	foreign := c.server.Token(c.t, "docs/missing")
	for _, step := range []struct {
		token string
		want  int
	}{{"-", http.StatusUnauthorized}, {weak, http.StatusForbidden}} {
		c.do(request{op: "listFiles", want: step.want, token: step.token})
		c.do(request{op: "createCommit", want: step.want, token: step.token, lines: packLines(nil, map[string]string{"x": "1"})})
		c.do(request{op: "restoreCommit", want: step.want, token: step.token, anyBody: true})
		c.do(request{op: "merge", want: step.want, token: step.token, anyBody: true})
		c.do(request{op: "writeNote", want: step.want, token: step.token, anyBody: true})
		c.do(request{op: "headFile", want: step.want, token: step.token, query: url.Values{"path": {"x"}}})
	}
	if c.legacy {
		c.do(request{op: "getRepository", want: http.StatusNotFound, token: foreign})
	} else {
		c.do(request{op: "getRepository", want: http.StatusForbidden, token: foreign})
	}
}

// end copies the repository, and deletes everything.
func (c *client) end() {
	source := c.repo
	for operation, more := range map[string]m{"fork": {"ref": "main"}, "snapshot": {"ref": "main"}} {
		c.repo = source + "-" + operation
		base := m{"provider": "code", "name": source, "operation": operation, "auth": m{"token": c.server.Token(c.t, source)}}
		for key, value := range more {
			base[key] = value
		}
		c.send("createRepository", 201, m{"base_repo": base, "initial_commit": m{"message": "copy", "author": ada()}})
		c.get("deleteRepository", 200)
	}
	c.repo = source
	c.send("renameRepository", 200, m{"name": source + "-renamed"})
	c.send("renameRepository", 400, m{"name": ""})
	c.repo = source + "-renamed"
	c.get("deleteRepository", 200)
	c.get("getRepository", 404)
	c.send("undeleteRepository", 200, m{"name": ""})
	c.send("undeleteRepository", 404, m{})
	c.get("deleteRepository", 200)
	c.get("purgeDeletedRepository", 200)
	c.get("purgeDeletedRepository", 404)
}
