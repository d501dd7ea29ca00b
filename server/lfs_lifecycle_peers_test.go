//go:build peers

package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers/giteatest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestGitea_lfsLifeOfAnUpstream pushes large files while their upstream is renamed,
// archived, and deleted and made anew under the same name at a real Gitea.
func TestGitea_lfsLifeOfAnUpstream(t *testing.T) {
	t.Parallel()
	g := giteatest.Start(t)
	clock := servertest.NewClock()
	s := servertest.Start(t, servertest.Options{Clock: clock, Hosts: []string{"  host \"" + g.Host + "\" {\n    scheme = \"http\"\n    allow_private = true\n  }\n"}})
	followGitea(t, s, g, local, "large")
	call := func(method, path, body string, want int) {
		t.Helper()
		status, said, err := g.Call(t.Context(), method, path, body)
		require.NoError(t, err)
		require.Equal(t, want, status, string(said))
	}
	there := func(p lfs.Pointer) bool {
		t.Helper()
		answers, err := s.Engine().Services().LFS.Uploads(t.Context(), s.Repo(t, local), "", []lfs.Pointer{p})
		require.NoError(t, err)
		return answers[0].Err == nil && answers[0].Present
	}
	c := lfsClone(t, s.Client(t, local), "")
	c.Git("remote", "add", "origin", s.Remote(local))
	push := func(seed uint64) (lfs.Pointer, string, error) {
		content := someBytes(seed, 100_000)
		addLFS(t, c, "large.bin", content)
		out, err := c.Try("push", "origin", "HEAD:refs/heads/main")
		return lfs.Pointer{OID: lfs.OID(oidOf(content)), Size: int64(len(content))}, out, err
	}
	_, out, err := push(51)
	require.NoError(t, err, out)

	// Renamed within the minute: the LFS of the old name is gone, and the new one gets it.
	call(http.MethodPatch, "/repos/"+giteatest.User+"/large", `{"name":"larger"}`, http.StatusOK)
	p, out, err := push(52)
	require.NoError(t, err, out)
	require.Equal(t, "larger", s.Repo(t, local).Upstream.Name)
	require.True(t, there(p))
	c.Git("lfs", "lock", "large.bin")
	c.Git("lfs", "unlock", "large.bin")

	call(http.MethodPatch, "/repos/"+giteatest.User+"/larger", `{"archived":true}`, http.StatusOK)
	clock.Advance(2 * time.Minute)
	_, out, err = push(53)
	require.Error(t, err)
	require.Contains(t, out, "archived")
	out, err = c.Try("lfs", "lock", "large.bin")
	require.Error(t, err)
	require.Contains(t, out, "archived")
	call(http.MethodPatch, "/repos/"+giteatest.User+"/larger", `{"archived":false}`, http.StatusOK)
	clock.Advance(2 * time.Minute)
	out, err = c.Try("push", "origin", "HEAD:refs/heads/main")
	require.NoError(t, err, out)

	call(http.MethodDelete, "/repos/"+giteatest.User+"/larger", "", http.StatusNoContent)
	call(http.MethodPost, "/user/repos", `{"name":"larger","default_branch":"main","private":true}`, http.StatusCreated)
	clock.Advance(2 * time.Minute)
	p, out, err = push(54)
	require.Error(t, err)
	require.Contains(t, out, "another repository")
	out, err = c.Try("lfs", "lock", "large.bin")
	require.Error(t, err)
	require.Contains(t, out, "another repository")
	status, said, err := g.Call(t.Context(), http.MethodGet, "/repos/"+giteatest.User+"/larger", "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(said), `"empty":true`)
	_, err = s.Engine().Services().LFS.Uploads(t.Context(), s.Repo(t, local), "", []lfs.Pointer{p})
	require.ErrorContains(t, err, "another repository")
}
