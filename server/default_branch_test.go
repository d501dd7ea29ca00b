package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestPush_firstBranches pushes the first branches to repositories that expect
// another one, and clones them as a person does.
func TestPush_firstBranches(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	for name, tt := range map[string]struct {
		configured string
		push       []string
		want       string
	}{
		"kept":           {"trunk", []string{"a", "main", "trunk"}, "trunk"},
		"only-one":       {"main", []string{"dev"}, "dev"},
		"main":           {"trunk", []string{"a", "main", "master"}, "main"},
		"master":         {"trunk", []string{"a", "master"}, "master"},
		"first-by-bytes": {"trunk", []string{"b", "a", "B"}, "B"},
		"tags-alone":     {"trunk", []string{"refs/tags/v1"}, "trunk"},
	} {
		_, err := s.REST(t, name).CreateRepository(t.Context(), nil, client.CreateRepositoryRequest{DefaultBranch: &tt.configured})
		require.NoError(t, err)
		c := s.Client(t, name).Clone("")
		c.Commit("one")
		c.Git("push", "--quiet", s.Remote(name+"+ephemeral"), "HEAD:refs/heads/draft")
		args := []string{"push", "--quiet", s.Remote(name)}
		for _, branch := range tt.push {
			if branch != "refs/tags/v1" {
				branch = "refs/heads/" + branch
			}
			args = append(args, "HEAD:"+branch)
		}
		c.Git(args...)
		require.Equal(t, tt.want, s.Repository(t, name).DefaultBranch, name)
		if tt.push[0] == "refs/tags/v1" {
			continue
		}
		// Clients see the same; what comes later changes nothing.
		c.Git("push", "--quiet", s.Remote(name), "HEAD:refs/heads/0", "HEAD:refs/heads/main")
		fresh := s.Client(t, name).Clone(s.Remote(name))
		require.Equal(t, tt.want, fresh.Git("symbolic-ref", "--short", "HEAD"), name)
		require.Equal(t, tt.want, s.Repository(t, name).DefaultBranch, name)

		out, err := c.Try("push", s.Remote(name), "HEAD:refs/heads/-x", "HEAD:refs/heads/HEAD", "HEAD:refs/heads/sub/-x")
		require.Error(t, err)
		require.Contains(t, out, "HEAD -> -x (invalid branch name: it must not start with '-')")
		require.Contains(t, out, `HEAD -> HEAD (invalid branch name: "HEAD" names the current commit)`)
		require.Contains(t, out, "HEAD -> sub/-x\n")
		out, err = c.Try("push", s.Remote(name), ":refs/heads/"+tt.want, ":refs/heads/0")
		require.Error(t, err)
		require.Contains(t, out, "this is the default branch")
		require.NotContains(t, c.LsRemote(s.Remote(name)), "refs/heads/0")
		_, err = s.REST(t, name).UpdateRepository(t.Context(), name, client.UpdateRepositoryRequest{DefaultBranch: new("main")})
		require.NoError(t, err)
		out, err = c.Try("push", s.Remote(name), ":refs/heads/"+tt.want)
		require.Equal(t, tt.want == "main", err != nil, out)
	}
	// A commit of the API can be the first, too.
	s.Create(t, "made-here")
	w := &writes{Server: s, repo: "made-here"}
	w.commit(t, commitMeta{TargetBranch: "made"}, file{path: "a", data: "1"})
	require.Equal(t, "made", s.Repository(t, "made-here").DefaultBranch)
	require.Equal(t, http.StatusOK, s.API(t, http.MethodGet, "made-here", "/files", nil).Status)
}

// TestPush_deletesTheDefaultBranchOfAMirror lets the host decide.
func TestPush_deletesTheDefaultBranchOfAMirror(t *testing.T) {
	t.Parallel()
	w := newWrites(t, true)
	w.commit(t, commitMeta{}, file{path: "a", data: "1"})
	w.commit(t, commitMeta{TargetBranch: "other", BaseBranch: new("main")}, file{path: "b", data: "1"})
	c := w.WorkOf(t, w.repo)
	out, err := c.Try("push", w.Remote(w.repo), ":refs/heads/main")
	require.NotContains(t, out, "this is the default branch")
	_, there := w.forge.Refs(origin)["refs/heads/main"]
	require.Equal(t, there, err != nil, out)
}
