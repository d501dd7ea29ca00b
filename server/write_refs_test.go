package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// refusal is a call that must change nothing.
type refusal struct {
	name   string
	method string // "" is POST
	suffix string
	body   map[string]any
	status int
	text   string
}

// requireRefused makes the calls and checks that no ref moves.
func (w *writes) requireRefused(t *testing.T, cases []refusal) {
	t.Helper()
	refs := w.Refs(t, w.repo)
	for _, tc := range cases {
		if tc.method == "" {
			tc.method = http.MethodPost
		}
		a := w.API(t, tc.method, w.repo, tc.suffix, tc.body)
		require.Equal(t, tc.status, a.Status, "%s: %s", tc.name, a.Raw)
		require.Contains(t, a.At("detail"), tc.text, tc.name)
		if tc.suffix == "/notes" {
			// The published Python client reads no result beside an "error".
			require.Nil(t, a.At("error"), tc.name)
			require.Equal(t, false, a.At("result.success"), tc.name)
		}
		require.Equal(t, refs, w.Refs(t, w.repo), tc.name)
	}
}

func TestBranches_createAndDelete(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		first := w.commit(t, commitMeta{}, file{path: "a", data: "1"})
		second := w.commit(t, commitMeta{}, file{path: "a", data: "2"})
		type m = map[string]any
		create := func(body m) servertest.Answer { return w.post(t, "/branches/create", body) }

		a := create(m{"target_branch": "from-branch", "base_branch": "main"})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, m{"message": "branch created", "target_branch": "from-branch", "target_is_ephemeral": false, "commit_sha": second}, a.Body)
		for base, want := range map[string]string{"refs/heads/main": second, first: first, first[:10]: first, "main~1": first, "HEAD": second, "": second} {
			a := create(m{"target_branch": "x", "base_ref": base, "force": true, "base_branch": "nope"})
			require.Less(t, a.Status, 300, a.Raw)
			require.Equal(t, want, w.at(t, "x"), base)
		}
		require.Equal(t, http.StatusOK, create(m{"target_branch": "x", "base_ref": w.at(t, "x")}).Status)

		// Ephemeral, and promoted.
		require.Equal(t, http.StatusOK, create(m{"target_branch": "eph", "base_ref": "main", "target_is_ephemeral": true}).Status)
		made := w.commit(t, commitMeta{TargetBranch: "eph", Ephemeral: new(true)}, file{path: "e", data: "1"})
		require.Equal(t, http.StatusOK, create(m{"target_branch": "promoted", "base_branch": "eph", "base_is_ephemeral": true}).Status)
		require.Equal(t, made, w.at(t, "promoted"))

		w.requireRefused(t, []refusal{
			{"exists", "", "/branches/create", m{"target_branch": "from-branch", "base_ref": first}, 409, "exists"},
			{"missing base", "", "/branches/create", m{"target_branch": "y", "base_ref": "nope"}, 404, "nope"},
			{"ephemeral base by its name", "", "/branches/create", m{"target_branch": "y", "base_ref": "eph"}, 404, "eph"},
			{"hidden base", "", "/branches/create", m{"target_branch": "y", "base_ref": "refs/internal/upstream/heads/main"}, 404, ""},
			{"hidden namespace", "", "/branches/create", m{"target_branch": "y", "base_ref": "refs/namespaces/ephemeral/refs/heads/eph"}, 404, ""},
			{"revision that git would search", "", "/branches/create", m{"target_branch": "y", "base_ref": "main^{/x}"}, 400, "revision"},
			{"revision with a date", "", "/branches/create", m{"target_branch": "y", "base_ref": "main@{1}"}, 400, "revision"},
			{"no name", "", "/branches/create", m{"base_ref": "main"}, 400, "required"},
			{"bad name", "", "/branches/create", m{"target_branch": "a b", "base_ref": "main"}, 400, "name"},
			{"name below a branch", "", "/branches/create", m{"target_branch": "main/x", "base_ref": "main"}, 409, "folder"},
			{"delete default", "DELETE", "/branches", m{"name": "main"}, 409, "default branch"},
			{"delete missing", "DELETE", "/branches", m{"name": "nope"}, 404, "nope"},
			{"delete ephemeral missing", "DELETE", "/branches", m{"name": "promoted", "ephemeral": true}, 404, ""},
			{"delete bad name", "DELETE", "/branches", m{"name": "a..b"}, 400, "name"},
			{"delete full name", "DELETE", "/branches", m{"name": "refs/heads/x"}, 400, "refs/heads/"},
		})
		a = w.API(t, http.MethodDelete, w.repo, "/branches", m{"name": "x"})
		require.Equal(t, m{"name": "x", "target_branch": "x", "message": "branch deleted", "ephemeral": false}, a.Body)
		a = w.API(t, http.MethodDelete, w.repo, "/branches", m{"target_branch": "eph", "ephemeral": true})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Empty(t, w.at(t, "x"))
		require.NotContains(t, w.Refs(t, w.repo), "refs/namespaces/ephemeral/refs/heads/eph")
	})
}

func TestTags_createAndDelete(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		first := w.commit(t, commitMeta{}, file{path: "a", data: "1"})
		second := w.commit(t, commitMeta{}, file{path: "a", data: "2"})
		type m = map[string]any
		a := w.post(t, "/tags", m{"name": "v1", "target": first})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, m{"name": "v1", "sha": first, "message": "tag created"}, a.Body)
		require.Equal(t, first, w.Refs(t, w.repo)["refs/tags/v1"])
		require.Equal(t, http.StatusOK, w.post(t, "/tags", m{"name": "rel/2", "ref": "main"}).Status)
		require.Equal(t, second, w.Refs(t, w.repo)["refs/tags/rel/2"])
		client := w.WorkOf(t, w.repo)
		client.Git("tag", "-a", "-m", "annotated", "big", "HEAD")
		client.Git("push", "--quiet", "origin", "big")
		require.Equal(t, http.StatusOK, w.post(t, "/tags", m{"name": "of-tag", "ref": "big"}).Status)
		require.Equal(t, second, w.Refs(t, w.repo)["refs/tags/of-tag"], "a tag of a tag names the commit")
		w.requireRefused(t, []refusal{
			{"exists", "", "/tags", m{"name": "v1", "target": first}, 409, "exists"},
			{"short target", "", "/tags", m{"name": "v2", "target": first[:10]}, 400, "full id"},
			{"upper-case target", "", "/tags", m{"name": "v2", "target": strings.ToUpper(first)}, 400, "full id"},
			{"missing target", "", "/tags", m{"name": "v2", "target": strings.Repeat("1", 40)}, 404, ""},
			{"tree as target", "", "/tags", m{"name": "v2", "target": w.bare(t, "rev-parse", "main^{tree}")}, 400, "names a tree, not a commit"},
			{"no ref", "", "/tags", m{"name": "v2"}, 400, "ref is required"},
			{"no name", "", "/tags", m{"ref": "main"}, 400, "name is required"},
			{"full name", "", "/tags", m{"name": "refs/tags/v2", "ref": "main"}, 400, "refs/tags/"},
			{"bad name", "", "/tags", m{"name": "v~2", "ref": "main"}, 400, "tag name"},
			{"option", "", "/tags", m{"name": "-v", "ref": "main"}, 400, "tag name"},
			{"delete missing", "DELETE", "/tags/nope", nil, 404, "nope"},
			{"delete nothing", "DELETE", "/tags", nil, 400, "name"},
		})
		a = w.API(t, http.MethodDelete, w.repo, "/tags/rel%2F2", nil)
		require.Equal(t, m{"name": "rel/2", "message": "tag deleted"}, a.Body)
		require.Equal(t, http.StatusOK, w.API(t, http.MethodDelete, w.repo, "/tags?name=big", nil).Status)
		a = w.Call(t, http.MethodDelete, "/api/v1/repos/tags", w.Token(t, w.repo), m{"name": "v1"})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.NotContains(t, w.Refs(t, w.repo), "refs/tags/v1")
		require.NotContains(t, w.Refs(t, w.repo), "refs/tags/big")
	})
}

func TestRefPolicies_applyToEveryWrite(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	tip := w.commit(t, commitMeta{}, file{path: "a", data: "1"})
	w.commit(t, commitMeta{TargetBranch: "side", BaseBranch: new("main")}, file{path: "b", data: "1"})
	_, err := w.REST(t, w.repo).CreateTag(t.Context(), w.repo, client.CreateTagRequest{Name: "v1", Ref: new("main")})
	require.NoError(t, err)
	refs := w.Refs(t, w.repo)
	type m = map[string]any
	author := m{"name": "A", "email": "a@example.test"}
	token := w.policyToken(t, "*", access.NoPush)
	for _, call := range []struct {
		method, path string
		body         m
	}{
		{"POST", "/api/v1/repos/branches/create", m{"target_branch": "x", "base_ref": "main"}},
		{"POST", "/api/v1/repos/branches/create", m{"target_branch": "main", "base_ref": "main"}},
		{"DELETE", "/api/v1/repos/branches", m{"name": "side"}},
		{"POST", "/api/v1/repos/tags", m{"name": "x", "ref": "main"}},
		{"DELETE", "/api/v1/repos/tags", m{"name": "v1"}},
		{"POST", "/api/v1/repos/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "ff_prefer"}},
		{"POST", "/api/v1/repos/notes", m{"sha": tip, "action": "add", "note": "x"}},
		{"POST", "/api/v1/repos/restore-commit", m{"metadata": m{"target_branch": "side", "target_commit_sha": tip, "author": author}}},
		{"POST", "/api/v1/repos/reset-commits", m{"metadata": m{"target_branch": "side", "target_commit_sha": tip, "author": author}}},
	} {
		a := w.Call(t, call.method, call.path, token, call.body)
		require.Equal(t, http.StatusForbidden, a.Status, "%s: %s", call.path, a.Raw)
		require.Contains(t, a.At("detail"), "denied by policy", call.path)
	}
	noForce := w.policyToken(t, "*", access.NoForcePush)
	a := w.Call(t, "POST", "/api/v1/repos/branches/create", noForce, m{"target_branch": "side", "base_ref": tip, "force": true})
	require.Equal(t, http.StatusForbidden, a.Status, a.Raw)
	require.Equal(t, http.StatusForbidden, w.Call(t, "DELETE", "/api/v1/repos/branches", noForce, m{"name": "side"}).Status)
	require.Equal(t, refs, w.Refs(t, w.repo))
}

func TestMerge(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		type m = map[string]any
		author := m{"name": "Ada", "email": "ada@example.test"}
		base := w.commit(t, commitMeta{}, file{path: "a", data: "1\n2\n3\n4\n5\n"}, file{path: "d/x", data: "x\n"})
		branch := func(name, from string) {
			require.Equal(t, http.StatusOK, w.post(t, "/branches/create", m{"target_branch": name, "base_ref": from, "force": true}).Status)
		}
		branch("side", base)
		w.commit(t, commitMeta{TargetBranch: "side"}, file{path: "a", data: "1\n2\n3\n4\nside\n"})
		side := w.commit(t, commitMeta{TargetBranch: "side"}, file{path: "b", data: "b\n"})

		// Fast-forward needs neither message nor author.
		branch("ff", base)
		a := w.post(t, "/merge", m{"source_branch": "side", "target_branch": "ff", "strategy": "ff_only"})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, m{
			"result": "fast_forward", "commit_sha": side, "tree_sha": w.bare(t, "rev-parse", side+"^{tree}"), "promoted_commits": 2.0, "merge_base_sha": base,
			"source": m{"branch": "side", "ref": "side", "ephemeral": false, "sha": side},
			"target": m{"branch": "ff", "ephemeral": false, "old_sha": base, "new_sha": side},
		}, a.Body)
		a = w.post(t, "/merge", m{"source_ref": side, "target_branch": "ff", "strategy": "merge"})
		require.Equal(t, []any{"no_op", side, 0.0}, []any{a.At("result"), a.At("commit_sha"), a.At("promoted_commits")}, a.Raw)

		// A merge commit, although a fast-forward would do.
		branch("noff", base)
		require.Equal(t, http.StatusBadRequest, w.post(t, "/merge", m{"source_branch": "side", "target_branch": "noff", "strategy": "merge"}).Status)
		a = w.post(t, "/merge", m{"source_branch": "side", "target_branch": "noff", "strategy": "merge", "commit_message": "M", "author": author})
		require.Equal(t, "merge_commit", a.At("result"), a.Raw)
		require.Equal(t, base+" "+side, w.bare(t, "log", "-1", "--format=%P", "noff"))

		// Both sides moved.
		main := w.commit(t, commitMeta{}, file{path: "a", data: "main\n2\n3\n4\n5\n"}, file{path: "d/y", data: "y\n"})
		a = w.post(t, "/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "ff_only"})
		require.Equal(t, []any{409, "merge_conflict", []any{}}, []any{a.Status, a.At("conflict_type"), a.At("conflict_paths")}, a.Raw)
		a = w.post(t, "/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "ff_prefer", "expected_target_sha": base, "commit_message": "M", "author": author})
		require.Equal(t, []any{409, "target_moved"}, []any{a.Status, a.At("conflict_type")}, a.Raw)
		branch("squash", "main")
		a = w.post(t, "/merge", m{"source_branch": "side", "target_branch": "squash", "strategy": "merge", "squash": true, "commit_message": "S", "author": author, "expected_target_sha": main})
		require.Equal(t, "squash", a.At("result"), a.Raw)
		require.Equal(t, main, w.bare(t, "log", "-1", "--format=%P", "squash"))
		a = w.post(t, "/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "ff_prefer", "commit_message": "M", "author": author,
			"committer": m{"name": "Bob", "email": "bob@example.test"}})
		require.Equal(t, "merge_commit", a.At("result"), a.Raw)
		require.Equal(t, main+" "+side+" Ada Bob M", w.bare(t, "log", "-1", "--format=%P %an %cn %s", "main"))
		require.Equal(t, map[string]string{"a": "100644 main\n2\n3\n4\nside", "b": "100644 b", "d/x": "100644 x", "d/y": "100644 y"}, w.tree(t, "main"))
		require.Equal(t, w.tree(t, "main"), w.tree(t, "squash"))

		// Conflicts.
		branch("theirs", base)
		w.commit(t, commitMeta{TargetBranch: "theirs"}, file{path: "a", data: "theirs\n2\n3\n4\n5\n"}, file{path: "d", del: true}, file{path: "sp ace\u00fc", data: "1"})
		a = w.post(t, "/merge", m{"source_branch": "theirs", "target_branch": "main", "strategy": "merge", "commit_message": "M", "author": author})
		require.Equal(t, []any{409, "merge_conflict", []any{"a"}, base, "merge conflict in 1 path"},
			[]any{a.Status, a.At("conflict_type"), a.At("conflict_paths"), a.At("merge_base_sha"), a.At("error")}, a.Raw)

		// Histories that share nothing.
		client := w.Client(t, w.repo).Clone("")
		client.Commit("lonely")
		client.Git("push", "--quiet", w.Remote(w.repo), "HEAD:refs/heads/lonely")
		a = w.post(t, "/merge", m{"source_branch": "lonely", "target_branch": "main", "strategy": "merge", "commit_message": "M", "author": author})
		require.Equal(t, 409, a.Status, a.Raw)
		require.Contains(t, a.At("error"), "allow_unrelated_histories")
		a = w.post(t, "/merge", m{"source_branch": "lonely", "target_branch": "main", "strategy": "merge", "commit_message": "M", "author": author, "allow_unrelated_histories": true})
		require.Equal(t, "merge_commit", a.At("result"), a.Raw)
		require.Nil(t, a.At("merge_base_sha"))

		// Ephemeral on both sides.
		eph := w.commit(t, commitMeta{TargetBranch: "e", Ephemeral: new(true), BaseBranch: new("main")}, file{path: "e", data: "1"})
		a = w.post(t, "/merge", m{"source_branch": "e", "source_is_ephemeral": true, "target_branch": "main", "strategy": "ff_only"})
		require.Equal(t, []any{"fast_forward", true, false, eph}, []any{a.At("result"), a.At("source.ephemeral"), a.At("target.ephemeral"), w.at(t, "main")}, a.Raw)

		w.requireRefused(t, []refusal{
			{"no strategy", "", "/merge", m{"source_branch": "side", "target_branch": "main"}, 400, "strategy"},
			{"unknown strategy", "", "/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "octopus"}, 400, "octopus"},
			{"squash with ff_only", "", "/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "ff_only", "squash": true}, 400, "squash"},
			{"no source", "", "/merge", m{"target_branch": "main", "strategy": "merge"}, 400, "source_branch"},
			{"no target", "", "/merge", m{"source_branch": "side", "strategy": "merge"}, 400, "target_branch"},
			{"source missing", "", "/merge", m{"source_branch": "nope", "target_branch": "main", "strategy": "merge"}, 404, "nope"},
			{"target missing", "", "/merge", m{"source_branch": "side", "target_branch": "nope", "strategy": "merge"}, 404, "nope"},
			{"bad guard", "", "/merge", m{"source_branch": "side", "target_branch": "main", "strategy": "merge", "expected_target_sha": "x"}, 400, "expected"},
		})
	})
}

func TestMerge_concurrentOnesAllSucceed(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	w.commit(t, commitMeta{}, file{path: "a", data: "1"})
	const n = 6
	for i := range n {
		w.commit(t, commitMeta{TargetBranch: fmt.Sprint("side-", i), BaseBranch: new("main")}, file{path: fmt.Sprint("f", i), data: "x"})
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, errs[i] = w.REST(t, w.repo).Merge(t.Context(), w.repo, client.MergeRequest{
				SourceBranch: new(fmt.Sprint("side-", i)), TargetBranch: "main", Strategy: client.Merge, CommitMessage: new("M"), Author: &author,
			})
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Len(t, w.tree(t, "main"), n+1)
	w.requireSound(t)
}

func TestNotes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		type m = map[string]any
		tip := w.commit(t, commitMeta{}, file{path: "a", data: "1"})
		a := w.post(t, "/notes", m{"sha": tip, "action": "add", "note": "first"})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		one := w.Refs(t, w.repo)["refs/notes/commits"]
		require.Equal(t, m{"sha": tip, "target_ref": "refs/notes/commits", "notes_ref": "refs/notes/commits", "new_ref_sha": one,
			"result": m{"success": true, "status": "ok"}}, a.Body)
		require.Equal(t, "first", w.bare(t, "notes", "show", tip))
		a = w.post(t, "/notes", m{"sha": tip, "action": "add", "note": "again"})
		require.Equal(t, []any{409, "conflict", false, one}, []any{a.Status, a.At("result.status"), a.At("result.success"), a.At("base_commit")}, a.Raw)
		a = w.post(t, "/notes", m{"object_ref": "main", "action": "append", "note": "second", "expected_notes_ref_sha": one,
			"author": m{"name": "Ada", "email": "ada@example.test"}})
		require.Equal(t, []any{200, one, tip}, []any{a.Status, a.At("base_commit"), a.At("sha")}, a.Raw)
		require.Equal(t, "first\n\nsecond", w.bare(t, "notes", "show", tip))
		require.Equal(t, "Ada", w.bare(t, "log", "-1", "--format=%an", "refs/notes/commits"))
		a = w.post(t, "/notes", m{"sha": tip, "action": "append", "note": "x", "expected_ref_sha": one})
		require.Equal(t, []any{412, "precondition_failed"}, []any{a.Status, a.At("result.status")}, a.Raw)
		for _, ref := range []string{"reviews", "notes/reviews", "refs/notes/reviews"} {
			a = w.post(t, "/notes", m{"sha": tip, "action": "append", "note": "r", "ref": ref})
			require.Equal(t, "refs/notes/reviews", a.At("target_ref"), a.Raw)
		}
		require.Equal(t, "r\n\nr\n\nr", w.bare(t, "notes", "--ref=reviews", "show", tip))
		w.requireRefused(t, []refusal{
			{"no object", "", "/notes", m{"action": "add", "note": "x"}, 400, "object_ref"},
			{"missing object", "", "/notes", m{"sha": strings.Repeat("1", 40), "action": "add", "note": "x"}, 404, ""},
			{"empty", "", "/notes", m{"sha": tip, "action": "append", "note": " "}, 400, "note is required"},
			{"action", "", "/notes", m{"sha": tip, "action": "replace", "note": "x"}, 400, "action"},
			{"elsewhere", "", "/notes", m{"sha": tip, "note": "x", "ref": "refs/heads/main"}, 400, "notes ref"},
			{"bad ref", "", "/notes", m{"sha": tip, "note": "x", "ref": "a..b"}, 400, "notes ref"},
			{"author", "", "/notes", m{"sha": tip, "action": "append", "note": "x", "author": m{"name": "<"}}, 400, "author"},
			{"delete missing", "DELETE", "/notes", m{"sha": tip, "ref": "other"}, 404, "no note"},
			{"delete with a guard", "DELETE", "/notes", m{"sha": tip, "expected_ref_sha": one}, 412, ""},
		})
		a = w.API(t, http.MethodDelete, w.repo, "/notes", m{"sha": tip})
		require.Equal(t, []any{200, "ok"}, []any{a.Status, a.At("result.status")}, a.Raw)
		require.Empty(t, w.bare(t, "notes", "list"))
		if w.forge != nil {
			require.NotContains(t, fmt.Sprint(w.forge.Refs(origin)), "refs/notes")
		}
	})
}

// TestNotes_keepWithGit changes notes by turns with git itself, which
// rearranges the folders of notes as it likes.
func TestNotes_keepWithGit(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	w.commit(t, commitMeta{}, file{path: "a", data: "1"})
	client := w.WorkOf(t, w.repo)
	const noted, plain = 300, 200
	var in strings.Builder
	for i := range noted + plain {
		fmt.Fprintf(&in, "commit refs/heads/many\nmark :%d\ncommitter A <a@example.test> %d +0000\ndata 1\nx\n", i+1, 1700000000+i)
	}
	in.WriteString("commit refs/notes/commits\ncommitter A <a@example.test> 1700000000 +0000\ndata 1\nx\n")
	for i := range noted {
		fmt.Fprintf(&in, "N inline :%d\ndata 5\nnote\n\n", i+1)
	}
	load := client.Command(t.Context(), "fast-import", "--quiet")
	load.Stdin = strings.NewReader(in.String())
	out, err := load.CombinedOutput()
	require.NoError(t, err, "%s", out)
	commits := strings.Fields(client.Git("rev-list", "--reverse", "many"))
	client.Git("push", "--quiet", "origin", "many", "refs/notes/commits")
	for _, id := range append(commits[295:310:310], commits[400]) {
		a := w.post(t, "/notes", map[string]any{"sha": id, "action": "append", "note": "api " + id})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
	}
	client.Git("fetch", "--quiet", "origin", "+refs/notes/*:refs/notes/*")
	require.Equal(t, "note\n\napi "+commits[296], client.Git("notes", "show", commits[296]))
	require.Equal(t, "api "+commits[400], client.Git("notes", "show", commits[400]))
	client.Git("notes", "add", "-m", "git", commits[450])
	client.Git("push", "--quiet", "origin", "refs/notes/commits")
	a := w.API(t, http.MethodDelete, w.repo, "/notes", map[string]any{"sha": commits[450]})
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Len(t, strings.Split(w.bare(t, "notes", "list"), "\n"), noted+10+1)
	w.requireSound(t)
}

func TestCreate_forksAndSnapshots(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		type m = map[string]any
		first := w.commit(t, commitMeta{}, file{path: "a", data: "1"}, file{path: "d/b", data: "2"})
		tip := w.commit(t, commitMeta{}, file{path: "a", data: "2"})
		side := w.commit(t, commitMeta{TargetBranch: "side", BaseBranch: new("main")}, file{path: "s", data: "1"})
		w.commit(t, commitMeta{TargetBranch: "e", Ephemeral: new(true), BaseBranch: new("main")}, file{path: "e", data: "1"})
		require.Equal(t, http.StatusOK, w.post(t, "/notes", m{"sha": tip, "note": "n"}).Status)
		client := w.WorkOf(t, w.repo)
		client.Git("tag", "-a", "-m", "annotated", "v1", "HEAD")
		client.Git("push", "--quiet", "origin", "v1")
		read := w.TokenWith(t, access.Claims{Repo: w.repo, Scopes: []access.Scope{access.GitRead}})
		create := func(name string, base, body m) servertest.Answer {
			base = with(with(base, "provider", "code"), "name", w.repo)
			if base["auth"] == nil {
				base["auth"] = m{"token": read}
			}
			return w.Call(t, http.MethodPost, "/api/repos", w.Token(t, name), with(body, "base_repo", base))
		}
		for name, tc := range map[string]struct {
			base, body m
			branch     string
			want       string
		}{
			"plain":     {m{}, m{}, "main", tip},
			"by-ref":    {m{"ref": "side"}, m{}, "main", side},
			"by-sha":    {m{"ref": "side", "sha": first}, m{}, "main", first},
			"own-trunk": {m{}, m{"default_branch": "trunk"}, "trunk", tip},
			"base-name": {m{"default_branch": "other"}, m{}, "other", tip},
		} {
			a := create(name, with(tc.base, "operation", "fork"), tc.body)
			require.Equal(t, http.StatusCreated, a.Status, "%s: %s", name, a.Raw)
			require.Equal(t, tc.branch, a.At("default_branch"))
			require.Nil(t, a.At("base_repo"))
			refs := w.Refs(t, name)
			require.Equal(t, tc.want, refs["refs/heads/"+tc.branch], name)
			require.Equal(t, side, refs["refs/heads/side"])
			require.Equal(t, w.Refs(t, w.repo)["refs/tags/v1"], refs["refs/tags/v1"])
			require.Equal(t, "refs/heads/"+tc.branch, refs["HEAD"])
			for ref := range refs {
				require.False(t, strings.HasPrefix(ref, "refs/notes/") || strings.HasPrefix(ref, "refs/namespaces/") || strings.HasPrefix(ref, "refs/internal/"), ref)
			}
			require.Empty(t, w.Fsck(t, name))
			require.Equal(t, refs["refs/heads/side"], w.Client(t, name).Clone(w.Remote(name)).Git("rev-parse", "origin/side"))
		}
		// A fork is its own: what happens there happens there alone.
		fork := &writes{Server: w.Server, repo: "plain"}
		fork.commit(t, commitMeta{}, file{path: "fork", data: "1"})
		require.Equal(t, tip, w.at(t, "main"))

		a := create("snap", m{"operation": "snapshot", "ref": "main~1"}, m{"initial_commit": m{"message": "Begin", "author": m{"name": "Ada", "email": "ada@example.test"}}})
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		snap := &writes{Server: w.Server, repo: "snap"}
		require.Equal(t, " Ada Begin", snap.bare(t, "log", "--format=%P %an %s", "main"))
		require.Equal(t, w.tree(t, first), snap.tree(t, "main"))
		require.Equal(t, "1", snap.bare(t, "rev-list", "--count", "--all"))
		snap.requireSound(t)
		require.NotContains(t, snap.bare(t, "cat-file", "--batch-check", "--batch-all-objects"), tip)

		other := w.TokenWith(t, access.Claims{Repo: "plain", Scopes: []access.Scope{access.GitRead}})
		scopeless := w.TokenWith(t, access.Claims{Repo: w.repo, Scopes: []access.Scope{access.OrgRead}})
		for name, tc := range map[string]struct {
			base, body m
			status     int
			text       string
		}{
			"wrong token":         {m{"operation": "fork", "auth": m{"token": other}}, nil, 403, "another repository"},
			"token without scope": {m{"operation": "fork", "auth": m{"token": scopeless}}, nil, 403, "git:read"},
			"missing ref":         {m{"operation": "fork", "ref": "nope"}, nil, 404, "nope"},
			"missing sha":         {m{"operation": "fork", "sha": strings.Repeat("1", 40)}, nil, 404, ""},
			"short sha":           {m{"operation": "fork", "sha": first[:9]}, nil, 400, "sha"},
			"ephemeral ref":       {m{"operation": "fork", "ref": "e"}, nil, 404, ""},
			"snapshot of nothing": {m{"operation": "snapshot"}, nil, 400, "ref"},
			"snapshot by a liar":  {m{"operation": "snapshot", "ref": "main"}, m{"initial_commit": m{"message": "x", "author": m{"name": "<x>", "email": "e"}}}, 400, "author"},
			"folder in the way":   {m{"operation": "fork"}, m{"default_branch": "side/x"}, 409, "side"},
		} {
			a := create("refused", tc.base, tc.body)
			require.Equal(t, tc.status, a.Status, "%s: %s", name, a.Raw)
			require.Contains(t, a.At("error"), tc.text, name)
			require.Equal(t, http.StatusNotFound, w.API(t, http.MethodGet, "refused", "", nil).Status)
		}
	})
}
