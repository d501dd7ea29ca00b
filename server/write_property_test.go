package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// model is what a repository should be, kept by git's own commands in a
// working copy.
type model struct{ *servertest.Client }

// try runs git and reports whether it succeeded.
func (m *model) try(args ...string) bool {
	_, err := m.Try(args...)
	return err == nil
}

// edit makes the edits in the working copy, as a person would. It returns false
// if one of them deletes what is not there.
func (m *model) edit(t *rapid.T, edits []file) bool {
	for _, e := range edits {
		path := filepath.Join(m.Dir, e.path)
		if e.del {
			if _, err := os.Lstat(path); err != nil {
				return false
			}
			require.NoError(t, os.RemoveAll(path))
			// Git knows no empty folders.
			for dir := filepath.Dir(path); dir != m.Dir && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
			}
			continue
		}
		for dir := filepath.Dir(path); dir != m.Dir; dir = filepath.Dir(dir) {
			if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
				require.NoError(t, os.Remove(dir))
			}
		}
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		mode := os.FileMode(0o600)
		if e.mode == "100755" {
			mode = 0o700
		}
		require.NoError(t, os.WriteFile(path, []byte(e.data), mode))
	}
	return true
}

// refs gives for each branch and tag the tree and the number of commits.
func refs(t testing.TB, git func(args ...string) string) map[string]string {
	t.Helper()
	state := map[string]string{}
	for line := range strings.Lines(git("for-each-ref", "--format=%(refname) %(objectname) %(tree)", "refs/heads/", "refs/tags/")) {
		f := strings.Fields(line)
		state[f[0]] = f[2] + " " + git("rev-list", "--count", f[1])
	}
	return state
}

// walk is one run of the property: a repository and its model, in step.
type walk struct {
	*writes
	t     testing.TB
	model *model
	r     *rapid.T
}

var author = map[string]any{"name": "A", "email": "a@example.test"}

func (k *walk) branch(label string) string {
	return rapid.SampledFrom([]string{"main", "main", "one", "two"}).Draw(k.r, label)
}

func (k *walk) exists(branch string) bool {
	return k.model.try("rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
}

func (k *walk) checkout(branch string) {
	k.model.Git("checkout", "--quiet", "--force", branch)
	k.model.Git("clean", "-qfd")
}

// require compares the answer's status.
func (k *walk) require(a servertest.Answer, want int, what string) {
	require.Equal(k.r, want, a.Status, "%s: %s", what, a.Raw)
}

// contradict reports whether two of the edits cannot both be.
func contradict(edits []file) bool {
	for i, a := range edits {
		for _, b := range edits[i+1:] {
			nested := strings.HasPrefix(a.path, b.path+"/") || strings.HasPrefix(b.path, a.path+"/")
			if a.path == b.path || nested && !a.del {
				return true
			}
		}
	}
	return false
}

func (k *walk) commit() {
	branch := k.branch("branch")
	var edits []file
	for range rapid.IntRange(1, 4).Draw(k.r, "edits") {
		edits = append(edits, file{
			path: rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/f", "d.x", "d-x"}).Draw(k.r, "path"),
			del:  rapid.IntRange(0, 3).Draw(k.r, "delete") == 0,
			data: strings.Join([]string{rapid.SampledFrom([]string{"1", "2"}).Draw(k.r, "head"), "same", "same", "same", "same",
				rapid.SampledFrom([]string{"1", "2"}).Draw(k.r, "tail")}, "\n") + "\n",
			mode: rapid.SampledFrom([]string{"", "100755"}).Draw(k.r, "mode"),
		})
	}
	a := k.pack(k.t, map[string]any{"target_branch": branch}, edits...)
	if contradict(edits) {
		k.require(a, http.StatusBadRequest, "commit that says two things")
		return
	}
	if !k.exists(branch) {
		k.require(a, http.StatusNotFound, "commit on a missing branch")
		return
	}
	k.checkout(branch)
	fits := k.model.edit(k.r, edits)
	k.model.Git("add", "-A")
	if !fits || k.model.try("diff", "--cached", "--quiet") {
		k.require(a, http.StatusBadRequest, "commit that cannot be")
		return
	}
	k.require(a, http.StatusCreated, "commit")
	k.model.Git("commit", "--quiet", "-m", "x")
}

func (k *walk) merge() {
	source, target := k.branch("source"), k.branch("target")
	strategy := rapid.SampledFrom([]string{"merge", "ff_only", "ff_prefer"}).Draw(k.r, "strategy")
	squash := strategy != "ff_only" && rapid.Bool().Draw(k.r, "squash")
	a := k.post(k.t, "/merge", map[string]any{"source_branch": source, "target_branch": target, "strategy": strategy, "squash": squash, "commit_message": "m", "author": author})
	if !k.exists(source) || !k.exists(target) {
		k.require(a, http.StatusNotFound, "merge of a missing branch")
		return
	}
	k.checkout(target)
	if k.model.try("merge-base", "--is-ancestor", source, target) {
		k.require(a, http.StatusOK, "nothing to merge")
		require.Equal(k.r, "no_op", a.At("result"))
		return
	}
	args := map[string][]string{"merge": {"--no-ff", "-m", "m"}, "ff_only": {"--ff-only"}, "ff_prefer": {"--ff", "-m", "m"}}[strategy]
	if squash {
		args = []string{"--squash"}
	}
	ok := k.model.try(append(append([]string{"merge", "--quiet"}, args...), source)...)
	if ok && squash {
		k.model.Git("commit", "--quiet", "--allow-empty", "-m", "m")
	}
	if ok {
		k.require(a, http.StatusOK, "merge")
		return
	}
	k.model.Git("reset", "--quiet", "--hard")
	k.require(a, http.StatusConflict, "merge in conflict")
}

func (k *walk) restore() {
	branch, back := k.branch("branch"), rapid.IntRange(0, 3).Draw(k.r, "back")
	revision := fmt.Sprintf("%s~%d", branch, back)
	// The second is what the first published clients called it.
	a := k.post(k.t, rapid.SampledFrom([]string{"/restore-commit", "/reset-commits"}).Draw(k.r, "name"), map[string]any{"metadata": map[string]any{"target_branch": branch, "base_ref": revision, "author": author}})
	if !k.exists(branch) || !k.model.try("rev-parse", "--verify", "--quiet", revision) {
		k.require(a, http.StatusNotFound, "restore of what is not there")
		return
	}
	k.checkout(branch)
	k.model.Git("read-tree", "--reset", "-u", revision)
	if k.model.try("diff", "--cached", "--quiet") {
		k.require(a, http.StatusBadRequest, "restore of the same")
		return
	}
	k.require(a, http.StatusCreated, "restore")
	k.model.Git("commit", "--quiet", "-m", "r")
}

func (k *walk) diff() {
	from, to, branch := k.branch("from"), k.branch("to"), k.branch("branch")
	if !k.exists(from) || !k.exists(to) || !k.exists(branch) {
		return
	}
	patch := k.model.Git("diff", "--binary", "--full-index", from, to)
	if patch == "" {
		return
	}
	a := k.writes.diff(k.t, map[string]any{"target_branch": branch}, patch+"\n")
	k.checkout(branch)
	name := filepath.Join(filepath.Dir(k.model.Dir), "patch")
	require.NoError(k.r, os.WriteFile(name, []byte(patch+"\n"), 0o600))
	switch {
	case !k.model.try("apply", "--cached", "--binary", name):
		k.require(a, http.StatusConflict, "diff that does not apply")
	case k.model.try("diff", "--cached", "--quiet"):
		k.require(a, http.StatusBadRequest, "diff without effect")
	default:
		k.require(a, http.StatusCreated, "diff")
		k.model.Git("commit", "--quiet", "-m", "d")
	}
	k.model.Git("reset", "--quiet", "--hard")
}

func (k *walk) createBranch() {
	branch, base, force := k.branch("branch"), k.branch("base"), rapid.Bool().Draw(k.r, "force")
	a := k.post(k.t, "/branches/create", map[string]any{"target_branch": branch, "base_ref": base, "force": force})
	switch {
	case !k.exists(base):
		k.require(a, http.StatusNotFound, "branch from nothing")
	case !k.exists(branch):
		k.require(a, http.StatusOK, "branch")
	case k.model.Git("rev-parse", branch) == k.model.Git("rev-parse", base):
		k.require(a, http.StatusOK, "branch that is there")
		return
	case !force:
		k.require(a, http.StatusConflict, "branch elsewhere")
		return
	default:
		k.require(a, http.StatusOK, "branch moved")
	}
	if k.exists(base) {
		k.model.Git("checkout", "--quiet", "--force", "--detach")
		k.model.Git("branch", "--force", branch, base)
	}
}

func (k *walk) deleteBranch() {
	branch := k.branch("branch")
	a := k.API(k.t, http.MethodDelete, k.repo, "/branches", map[string]any{"name": branch})
	switch {
	case branch == "main":
		k.require(a, http.StatusConflict, "delete the default branch")
	case !k.exists(branch):
		k.require(a, http.StatusNotFound, "delete a missing branch")
	default:
		k.require(a, http.StatusOK, "delete a branch")
		k.model.Git("checkout", "--quiet", "--force", "--detach")
		k.model.Git("branch", "--delete", "--force", branch)
	}
}

func (k *walk) tag() {
	name, branch := rapid.SampledFrom([]string{"v1", "v2"}).Draw(k.r, "tag"), k.branch("branch")
	there := k.model.try("rev-parse", "--verify", "--quiet", "refs/tags/"+name)
	if rapid.Bool().Draw(k.r, "delete") {
		a := k.API(k.t, http.MethodDelete, k.repo, "/tags/"+name, nil)
		if !there {
			k.require(a, http.StatusNotFound, "delete a missing tag")
			return
		}
		k.require(a, http.StatusOK, "delete a tag")
		k.model.Git("tag", "--delete", name)
		return
	}
	a := k.post(k.t, "/tags", map[string]any{"name": name, "ref": branch})
	switch {
	case !k.exists(branch):
		k.require(a, http.StatusNotFound, "tag of nothing")
	case there:
		k.require(a, http.StatusConflict, "tag that is there")
	default:
		k.require(a, http.StatusOK, "tag")
		k.model.Git("tag", name, "refs/heads/"+branch)
	}
}

// TestWrites_keepInStepWithGit makes random sequences of calls and does the
// same with git's own commands: every answer, tree and length of history agree.
func TestWrites_keepInStepWithGit(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, servertest.Options{})
	runs, most := 0, 4
	if longtest.Long() {
		most = 30
	}
	rapid.Check(t, func(r *rapid.T) {
		runs++
		k := &walk{writes: &writes{Server: server, repo: fmt.Sprint("walk-", runs)}, t: t, r: r}
		k.Create(t, k.repo)
		k.model = &model{k.ClientWith(t, "").Clone("")}
		begin := []file{{path: "a", data: "1\nsame\nsame\nsame\nsame\n1\n"}, {path: "d/b", data: "1\n"}}
		k.require(k.pack(t, nil, begin...), http.StatusCreated, "first commit")
		require.True(r, k.model.edit(r, begin))
		k.model.Git("add", "-A")
		k.model.Git("commit", "--quiet", "-m", "first")
		k.model.Git("branch", "one")
		k.require(k.post(t, "/branches/create", map[string]any{"target_branch": "one"}), http.StatusOK, "second branch")
		steps := []func(){k.commit, k.commit, k.commit, k.merge, k.merge, k.restore, k.diff, k.createBranch, k.deleteBranch, k.tag}
		for range rapid.IntRange(1, most).Draw(r, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(r, "step")]()
			require.Equal(r, refs(t, k.model.Git), refs(t, func(args ...string) string { return k.bare(t, args...) }))
		}
		require.Empty(r, k.Fsck(t, k.repo))
		clone := k.Client(t, k.repo).Clone(k.Remote(k.repo))
		require.Equal(r, k.model.Git("rev-parse", "main^{tree}"), clone.Git("rev-parse", "HEAD^{tree}"))
	})
}
