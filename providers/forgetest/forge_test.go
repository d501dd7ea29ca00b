package forgetest

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const testRepo = "acme/widget"

// repoFor returns a repository path in the manner of a host.
func repoFor(d HostKind) string {
	if d == HostSourceHut {
		return "~" + testRepo
	}
	return testRepo
}

func TestForge_fetchAndPush(t *testing.T) {
	t.Parallel()
	for _, d := range HostKinds() {
		for _, tls := range []bool{false, true} {
			t.Run(string(d)+map[bool]string{true: " https"}[tls], func(t *testing.T) {
				t.Parallel()
				f := StartForge(t, ForgeOptions{HostKind: d, TLS: tls})
				repo := repoFor(d)
				f.CreateRepo(repo, false)
				f.Seed(repo, SeedOptions{Commits: 20, Branches: 2, Tags: 2, PullRefs: 2})
				c := NewGitClient(t, f)
				c.Clone(f.CloneURL(repo))
				c.Commit()
				require.Equal(t, 2, strings.Count(c.Run("for-each-ref", "refs/remotes/origin/feature-*"), "\n"))
				require.Empty(t, f.Listed("refs/pull/"))

				if d == HostSourceHut {
					out, err := c.Try("push", f.CloneURLAs(repo), "main")
					require.Error(t, err)
					require.Contains(t, out, "403")
					return
				}
				c.Run("push", "--quiet", f.CloneURLAs(repo), "HEAD:refs/heads/new", "HEAD:refs/heads/main")
				require.Equal(t, strings.TrimSpace(c.Run("rev-parse", "HEAD")), f.Ref(repo, "refs/heads/new"))
				require.Equal(t, 1, f.Count(KindPush))

				_, err := c.Try("push", "--quiet", f.CloneURL(repo), "HEAD:refs/heads/anonymous")
				require.Error(t, err)
				require.Empty(t, f.Ref(repo, "refs/heads/anonymous"))
			})
		}
	}
}

func TestForge_protect_hostsOwnWords(t *testing.T) {
	t.Parallel()
	tests := map[HostKind][]string{
		HostGitHub: {"remote: error: GH006: Protected branch update failed for refs/heads/main.",
			"! [remote rejected] main -> main (protected branch hook declined)", "* [new branch]      main -> other"},
		HostGitLab: {"remote: GitLab: You are not allowed to push code to protected branches on this project.",
			"! [remote rejected] main -> main (pre-receive hook declined)", "! [remote rejected] main -> other (pre-receive hook declined)"},
		HostBitbucket: {"remote: Permission denied to update branch main.", "(pre-receive hook declined)"},
		HostGitea:     {"remote: error: Not allowed to push to protected branch main", "(pre-receive hook declined)"},
		HostForgejo:   {"remote: Forgejo: Not allowed to push to protected branch main", "(pre-receive hook declined)"},
	}
	for d, wants := range tests {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, true)
			f.Seed(testRepo, SeedOptions{Commits: 3})
			c := NewGitClient(t, f)
			c.Clone(f.CloneURLAs(testRepo))
			before := f.Ref(testRepo, "refs/heads/main")
			f.Protect(testRepo, "refs/heads/main")
			c.Commit()
			out, err := c.Try("push", "origin", "main", "main:other")
			require.Error(t, err)
			for _, want := range wants {
				require.Contains(t, out, want)
			}
			require.Equal(t, before, f.Ref(testRepo, "refs/heads/main"))

			out, err = c.Try("push", "origin", ":main")
			require.Error(t, err, out)
			f.Unprotect(testRepo)
			c.Run("push", "--quiet", "origin", "main")
		})
	}
}

func TestForge_refuse_oneOfThree(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{HostKind: HostGitea})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{Commits: 3})
	f.Refuse(testRepo, Refusal{Pattern: "refs/heads/b", Reason: "no such luck", Message: []string{"as announced"}})
	c := NewGitClient(t, f)
	c.Clone(f.CloneURLAs(testRepo))
	out, err := c.Try("push", "origin", "main:a", "main:b", "main:c")
	require.Error(t, err)
	require.Contains(t, out, "! [remote rejected] main -> b (no such luck)")
	require.Contains(t, out, "remote: as announced")
	require.NotEmpty(t, f.Ref(testRepo, "refs/heads/a"))
	require.Empty(t, f.Ref(testRepo, "refs/heads/b"))
	require.NotEmpty(t, f.Ref(testRepo, "refs/heads/c"))

	out, err = c.Try("push", "--atomic", "-o", "ci.skip", "origin", "main:d", "main:b")
	require.Error(t, err, out)
	require.Empty(t, f.Ref(testRepo, "refs/heads/d"))
	last := f.Requests()[f.Count()-1]
	require.True(t, last.Atomic)
	require.Equal(t, []string{"ci.skip"}, last.PushOptions)
	require.Len(t, last.Updates, 2)
}

func TestForge_authorize_hostsAnswers(t *testing.T) {
	t.Parallel()
	type want struct{ anonymous, wrong, missing string }
	tests := map[HostKind]want{
		HostGitHub:    {"could not read Username", "Invalid username or token", "Repository not found."},
		HostGitLab:    {"could not read Username", "HTTP Basic: Access denied", "The project you were looking for could not be found"},
		HostBitbucket: {"could not read Username", "You may not have access to this repository", "The requested repository either does not exist"},
		HostGitea:     {"could not read Username", "Failed to authenticate user", "Repository not found"},
		HostSourceHut: {"not found", "not found", "not found"},
	}
	for d, want := range tests {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, true)
			f.Seed(testRepo, SeedOptions{})
			c := NewGitClient(t, f)
			out, err := c.Try("ls-remote", f.CloneURL(testRepo))
			require.Error(t, err)
			require.Contains(t, out, want.anonymous)
			user, secret := f.Credential()
			good := f.CloneURLAs(testRepo)
			if d != HostSourceHut {
				c.Run("ls-remote", good)
			}
			out, err = c.Try("ls-remote", f.Scheme()+"://"+user+":wrong@"+strings.TrimPrefix(f.CloneURL("acme/nothing"), f.Scheme()+"://"))
			require.Error(t, err)
			require.Contains(t, out, want.wrong)
			out, err = c.Try("ls-remote", f.Scheme()+"://"+user+":"+secret+"@"+strings.TrimPrefix(f.CloneURL("acme/nothing"), f.Scheme()+"://"))
			require.Error(t, err)
			require.Contains(t, out, want.missing)
			for _, r := range f.Requests() {
				require.NotContains(t, r.User, secret)
			}
		})
	}
}

func TestForge_inject(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{HostKind: HostGitea})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{Commits: 3, Branches: 2})
	c := NewGitClient(t, f)
	c.Clone(f.CloneURLAs(testRepo))

	t.Run("status", func(t *testing.T) {
		f.Inject(Fault{Times: 1, Status: http.StatusTooManyRequests, RetryAfter: 5e9})
		response, err := http.Get(f.CloneURL(testRepo) + "/info/refs?service=git-upload-pack")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
		require.Equal(t, "5", response.Header.Get("Retry-After"))
		c.Run("ls-remote", "origin")
	})
	t.Run("empty listing", func(t *testing.T) {
		remove := f.Inject(Fault{EmptyListing: true})
		require.Empty(t, c.Run("ls-remote", "origin"))
		require.Empty(t, c.Run("-c", "protocol.version=0", "ls-remote", "origin"))
		remove()
		require.NotEmpty(t, c.Run("-c", "protocol.version=0", "ls-remote", "origin"))
	})
	t.Run("push applied, reply dropped", func(t *testing.T) {
		f.Inject(Fault{Kinds: []Kind{KindPush}, Times: 1, DropReply: true})
		c.Commit()
		_, err := c.Try("push", "origin", "main:lost")
		require.Error(t, err)
		require.Equal(t, strings.TrimSpace(c.Run("rev-parse", "main")), f.Ref(testRepo, "refs/heads/lost"))
		last := f.Requests()[f.Count()-1]
		require.Equal(t, KindPush, last.Kind)
		require.Zero(t, last.Status)
	})
	t.Run("drop", func(t *testing.T) {
		f.Inject(Fault{Times: 1, Drop: true})
		_, err := c.Try("-c", "http.lowSpeedTime=5", "ls-remote", "origin")
		require.Error(t, err)
	})
	t.Run("stall until close", func(t *testing.T) {
		arrived := make(chan struct{})
		f.Inject(Fault{Kinds: []Kind{KindDiscover}, Times: 1, Stall: true, Before: func() { close(arrived) }})
		failed := make(chan error)
		go func() {
			_, err := c.Try("ls-remote", "origin")
			failed <- err
		}()
		<-arrived
		require.NoError(t, f.Close())
		require.Error(t, <-failed)
	})
}

func TestForge_moves(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{HostKind: HostGitHub})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{})
	id := f.RepoID(testRepo)
	f.RenameRepo(testRepo, "acme/gadget")
	require.Equal(t, id, f.RepoID("acme/gadget"))
	c := NewGitClient(t, f)
	c.Run("ls-remote", f.CloneURL(testRepo)) // git follows the first redirect
	_, err := c.Try("-c", "http.followRedirects=false", "ls-remote", f.CloneURL(testRepo))
	require.Error(t, err)

	other := StartForge(t, ForgeOptions{HostKind: HostGitHub})
	f.RedirectRepo("acme/gadget", other.CloneURL("x/y"))
	_, err = c.Try("ls-remote", f.CloneURL("acme/gadget"))
	require.Error(t, err)
	require.Equal(t, "x/y", other.Requests()[0].Repo)
}

func TestForge_push_shapes(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{HostKind: HostGitHub})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{Commits: 3, PullRefs: 1})
	c := NewGitClient(t, f)
	c.Clone(f.CloneURLAs(testRepo))
	out, err := c.Try("push", "origin", "main:refs/pull/1/head")
	require.Error(t, err)
	require.Contains(t, out, "deny updating a hidden ref")
	c.Commit()
	// Small post buffers make git probe with a flush packet and then send the
	// pack in chunks.
	c.Run("-c", "http.postBuffer=1", "push", "--quiet", "origin", "main")
	require.Equal(t, strings.TrimSpace(c.Run("rev-parse", "main")), f.Ref(testRepo, "refs/heads/main"))
	c.Run("push", "--quiet", "origin", "main:refs/heads/gone")
	c.Run("push", "--quiet", "origin", ":refs/heads/gone")
	require.Empty(t, f.Ref(testRepo, "refs/heads/gone"))
}

func TestForge_Seed_deterministic(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{})
	o := SeedOptions{Commits: 3000, Branches: 5, Tags: 4, PullRefs: 3}
	for _, repo := range []string{"acme/a", "acme/b"} {
		f.CreateRepo(repo, false)
		f.Seed(repo, o)
	}
	refs := f.Refs("acme/a")
	require.Equal(t, refs, f.Refs("acme/b"))
	require.Len(t, refs, 1+5+4+3)
	require.Equal(t, "3000", f.Git("acme/a", "rev-list", "--count", "main"))
	f.Seed("acme/a", o)
	require.Equal(t, refs, f.Refs("acme/a"), "seeding again must not build on the first")
	f.Git("acme/a", "fsck", "--strict", "--no-dangling")
}

func TestForge_Inject_endless(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{})
	f.Inject(Fault{Kinds: []Kind{KindFetch}, Endless: true})
	response, err := http.Post(f.CloneURL(testRepo)+"/git-upload-pack", "application/x-git-upload-pack-request", strings.NewReader("0000"))
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, response.Body, 10<<20)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func TestForge_userRecord(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{HostKind: HostGitea})
	f.CreateRepo(testRepo, true)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.CloneURL(testRepo)+"/info/refs?service=git-upload-pack", nil)
	require.NoError(t, err)
	request.SetBasicAuth(f.Token(), "") // Gitea takes it there, too
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "[token]", f.Requests()[0].User)
}

func TestNewForge_folderInUse(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{})
	_, err := NewForge(f.Dir(), ForgeOptions{})
	require.ErrorIs(t, err, errNotEmpty)
	require.NoError(t, f.Close())
	require.NoError(t, f.Close(), "Close may be called twice")
}
