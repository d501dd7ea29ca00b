package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommitPack_guardOfANewBranch follows the vendor's own workflow: a branch
// that begins at another one is guarded by where that one is.
func TestCommitPack_guardOfANewBranch(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	onBoth(t, func(t *testing.T, w *writes) {
		first := w.commit(t, commitMeta{}, file{path: "a", data: "1"})
		tip := w.commit(t, commitMeta{}, file{path: "a", data: "2"})
		refs := w.Refs(t, w.repo)
		a := w.pack(t, m{"target_branch": "new", "base_branch": "main", "expected_head_sha": first}, file{path: "b", data: "1"})
		require.Equal(t, []any{http.StatusConflict, "precondition_failed"}, []any{a.Status, a.At("result.status")}, a.Raw)
		require.Equal(t, refs, w.Refs(t, w.repo))
		made := w.commit(t, commitMeta{TargetBranch: "new", BaseBranch: new("main"), ExpectedHeadSHA: new(tip)}, file{path: "b", data: "1"})
		require.Equal(t, tip, w.bare(t, "rev-parse", made+"^"))
		// Once the branch is there, the guard is about itself.
		a = w.pack(t, m{"target_branch": "new", "base_branch": "main", "expected_head_sha": tip}, file{path: "b", data: "2"})
		require.Equal(t, http.StatusConflict, a.Status, a.Raw)
		// Zeros are about the branch, whatever it begins at.
		w.commit(t, commitMeta{TargetBranch: "newer", BaseBranch: new("main"), ExpectedHeadSHA: new(strings.Repeat("0", 40))}, file{path: "b", data: "1"})
		w.commit(t, commitMeta{TargetBranch: "draft", Ephemeral: new(true), BaseBranch: new("main"), ExpectedTargetSHA: new(tip)}, file{path: "b", data: "1"})
	})
}

// TestCommit_guardsInEveryForm guards each kind of write with each form of an id.
func TestCommit_guardsInEveryForm(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	onBoth(t, func(t *testing.T, w *writes) {
		author := m{"name": "Ada", "email": "ada@example.test"}
		w.commit(t, commitMeta{}, file{path: "a", data: "1"})
		w.commit(t, commitMeta{}, file{path: "a", data: "2"}) // the commit before it can be restored
		side := w.commit(t, commitMeta{TargetBranch: "side", BaseBranch: new("main")}, file{path: "b", data: "1"})
		elsewhere := "f" + side[1:]
		if side[0] == 'f' {
			elsewhere = "0" + side[1:]
		}
		n := 0
		writes := map[string]func(guard any) (status int, word any, raw string){
			"commit-pack": func(guard any) (int, any, string) {
				n++
				a := w.pack(t, m{"expected_head_sha": guard}, file{path: "a", data: strings.Repeat("x", n)})
				return a.Status, a.At("result.status"), a.Raw
			},
			"restore-commit": func(guard any) (int, any, string) {
				a := w.post(t, "/restore-commit", m{"metadata": m{"target_branch": "main", "target_commit_sha": w.at(t, "main") + "^", "author": author, "expected_head_sha": guard}})
				return a.Status, a.At("result.status"), a.Raw
			},
			"merge": func(guard any) (int, any, string) {
				a := w.post(t, "/merge", m{"source_branch": w.commit(t, commitMeta{TargetBranch: "side"}, file{path: "b", data: w.at(t, "side")}), "target_branch": "main",
					"strategy": "merge", "commit_message": "M", "author": author, "expected_target_sha": guard})
				if a.Status == http.StatusBadRequest {
					return a.Status, "invalid", a.Raw
				}
				word := map[any]any{nil: "ok", "target_moved": "precondition_failed"}[a.At("conflict_type")]
				return a.Status, word, a.Raw
			},
		}
		for name, write := range writes {
			w.commit(t, commitMeta{TargetBranch: "mark-" + name, BaseBranch: new("main")}, file{path: name, data: "1"})
			for _, guard := range []func(tip string) string{
				func(tip string) string { return strings.ToUpper(tip) },
				func(tip string) string { return tip[:12] },
				func(tip string) string { return strings.ToUpper(tip[:12]) },
				func(string) string {
					// A branch that is where the target is: who names it read that one.
					a := w.post(t, "/branches/create", m{"target_branch": "mark-" + name, "base_ref": "main", "force": true})
					require.Less(t, a.Status, 300, a.Raw)
					return "mark-" + name
				},
			} {
				text := guard(w.at(t, "main"))
				_, word, raw := write(text)
				require.Equal(t, "ok", word, "%s guarded by %s: %s", name, text, raw)
			}
			before := w.at(t, "main")
			for _, text := range []string{elsewhere, elsewhere[:12], side[:12], "mark-" + name} {
				_, word, raw := write(text)
				require.Equal(t, "precondition_failed", word, "%s guarded by %s: %s", name, text, raw)
			}
			for _, text := range []string{"main", "refs/heads/main", "HEAD", "nope", "a b", "0000"} {
				status, word, raw := write(text)
				require.Equal(t, []any{http.StatusBadRequest, "invalid"}, []any{status, word}, "%s guarded by %s: %s", name, text, raw)
			}
			require.Equal(t, before, w.at(t, "main"))
		}
		w.requireSound(t)

		// Notes: the guard is where the notes ref is.
		tip := w.at(t, "main")
		a := w.post(t, "/notes", m{"object_ref": tip, "action": "add", "note": "one"})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		at := a.At("new_ref_sha").(string)
		a = w.post(t, "/notes", m{"object_ref": tip, "action": "append", "note": "two", "expected_notes_ref_sha": strings.ToUpper(at[:10])})
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		a = w.post(t, "/notes", m{"object_ref": tip, "action": "append", "note": "three", "expected_notes_ref_sha": at[:10]})
		require.Equal(t, http.StatusPreconditionFailed, a.Status, a.Raw)
		a = w.post(t, "/notes", m{"object_ref": tip, "action": "append", "note": "three", "expected_notes_ref_sha": "refs/notes/commits"})
		require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
	})
}
