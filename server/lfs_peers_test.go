//go:build peers

package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers/giteatest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// atGitea returns a git that is authorised at Gitea itself.
func atGitea(t *testing.T, s *servertest.Server, g *giteatest.Server) *servertest.Client {
	t.Helper()
	c := s.ClientWith(t, "")
	helper := filepath.Join(t.TempDir(), "helper")
	script := fmt.Sprintf("#!/bin/sh\necho username=%s\necho password=%s\n", giteatest.User, g.Token)
	require.NoError(t, os.WriteFile(helper, []byte(script), 0o700))
	c.Configure(map[string]string{"credential.helper": helper})
	return c
}

// followGitea makes a repository at Gitea and a mirror of it.
func followGitea(t *testing.T, s *servertest.Server, g *giteatest.Server, repo, name string) {
	t.Helper()
	status, said, err := g.Call(t.Context(), http.MethodPost, "/user/repos", fmt.Sprintf(`{"name":%q,"default_branch":"main","private":true}`, name))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status, string(said))
	s.LinkAs(t, repo, g.Host, giteatest.User+"/"+name)
	user := giteatest.User
	_, err = s.REST(t, repo).CreateCredential(t.Context(), repo, client.CreateCredentialRequest{Username: &user, Password: g.Token})
	require.NoError(t, err)
	s.PullAndWait(t, repo)
}

// TestGitea_lfsBothWays has the client of a user work with a mirror of a real Gitea:
// what is pushed here is there, and what is pushed there is here.
func TestGitea_lfsBothWays(t *testing.T) {
	t.Parallel()
	g := giteatest.Start(t)
	s := servertest.Start(t, servertest.Options{Hosts: []string{fmt.Sprintf("  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n", g.Host)}})
	followGitea(t, s, g, local, "large")

	c := lfsClone(t, s.Client(t, local), "")
	c.Git("remote", "add", "origin", s.Remote(local))
	large, small := someBytes(31, 3<<20), someBytes(32, 100)
	addLFS(t, c, "large.bin", large)
	addLFS(t, c, "small.bin", small)
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	there := lfsClone(t, atGitea(t, s, g), g.CloneURL("large"))
	requireFile(t, there, "large.bin", large)
	requireFile(t, there, "small.bin", small)
	here := lfsClone(t, s.Client(t, local), s.Remote(local))
	requireFile(t, here, "large.bin", large)

	// The other way: the objects come when they are asked for.
	more := someBytes(33, 2<<20)
	addLFS(t, there, "more.bin", more)
	there.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	s.PullAndWait(t, local)
	requireLFSObjects(t, s, local, 2)
	here.Git("pull", "--quiet", "origin", "main")
	requireFile(t, here, "more.bin", more)
	requireLFSObjects(t, s, local, 3)
	here.Git("lfs", "prune")
	here.Git("lfs", "fetch", "--all")

	// What a draft needs stays here until it is pushed to the upstream.
	draft := someBytes(34, 1000)
	addLFS(t, c, "draft.bin", draft)
	c.Git("push", "--quiet", s.Remote(local+"+ephemeral"), "HEAD:refs/heads/draft")
	p := []lfs.Pointer{{OID: lfs.OID(oidOf(draft)), Size: int64(len(draft))}}
	objects := s.Engine().Services().LFS
	require.NoError(t, objects.Verify(t.Context(), s.Repo(t, local), p[0]))
	answers, err := objects.Uploads(t.Context(), s.Repo(t, local), "", p)
	require.NoError(t, err)
	require.False(t, answers[0].Present, "it is not at Gitea")
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/drafted")
	answers, err = objects.Uploads(t.Context(), s.Repo(t, local), "", p)
	require.NoError(t, err)
	require.True(t, answers[0].Present)

	// Locks are Gitea's, and who asked for them is known here.
	ada, bob := lfsClone(t, s.ClientWith(t, lfsToken(t, s, "ada")), s.Remote(local)), lfsClone(t, s.ClientWith(t, lfsToken(t, s, "bob")), s.Remote(local))
	ada.Git("lfs", "lock", "large.bin")
	require.Contains(t, there.Git("lfs", "locks"), "large.bin")
	require.Contains(t, ada.Git("lfs", "locks", "--verify"), "O large.bin")
	require.NotContains(t, bob.Git("lfs", "locks", "--verify"), "O large.bin")
	out, err := bob.Try("lfs", "unlock", "large.bin")
	require.Error(t, err)
	require.Contains(t, out, "ada")
	ada.Git("lfs", "unlock", "large.bin")
	require.Empty(t, there.Git("lfs", "locks"))
}

// TestGitea_lfsCompliance runs git-lfs's own test of LFS servers on a mirror of a real
// Gitea.
func TestGitea_lfsCompliance(t *testing.T) {
	t.Parallel()
	g := giteatest.Start(t)
	s := servertest.Start(t, servertest.Options{Hosts: []string{fmt.Sprintf("  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n", g.Host)}})
	followGitea(t, s, g, local, "large")
	requireCompliance(t, s, local)
}
