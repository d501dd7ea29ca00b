package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/lfs/lfstest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// lfsClient returns a client whose git has the filters of git-lfs, and nothing else that
// says where objects are.
func lfsClient(t *testing.T, c *servertest.Client) *servertest.Client {
	t.Helper()
	c.Configure(map[string]string{
		"filter.lfs.clean": "git-lfs clean -- %f", "filter.lfs.smudge": "git-lfs smudge -- %f",
		"filter.lfs.process": "git-lfs filter-process", "filter.lfs.required": "true",
	})
	return c
}

// lfsClone clones with git-lfs and its hooks.
func lfsClone(t *testing.T, c *servertest.Client, url string) *servertest.Client {
	t.Helper()
	lfsClient(t, c)
	if url == "" {
		c.Clone("")
	} else {
		c.Git("clone", "--quiet", url, "work")
		c.Dir = filepath.Join(c.Dir, "work")
	}
	c.Git("lfs", "install", "--local")
	return c
}

// someBytes are random, and always the same for a seed.
func someBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(b)
	return b
}

func oidOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// addLFS commits a file that git-lfs tracks.
func addLFS(t *testing.T, c *servertest.Client, name string, content []byte) {
	t.Helper()
	c.Git("lfs", "track", "*.bin")
	require.NoError(t, os.WriteFile(filepath.Join(c.Dir, name), content, 0o600))
	c.Git("add", ".gitattributes", name)
	c.Git("commit", "--quiet", "-m", "add "+name)
}

func requireFile(t *testing.T, c *servertest.Client, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(c.Dir, name))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s has %d bytes that begin %.60q", name, len(got), got)
}

// TestLFS_client has the client of a user track, push, clone, fetch, pull, lock and
// unlock on a local repository, without any configuration but that git-lfs is installed.
func TestLFS_client(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	c := lfsClone(t, s.Client(t, local), "")
	c.Git("remote", "add", "origin", s.Remote(local))
	large, small := someBytes(1, 3<<20), someBytes(2, 100)
	addLFS(t, c, "large.bin", large)
	addLFS(t, c, "small.bin", small)
	addLFS(t, c, "empty.bin", nil)
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	require.FileExists(t, filepath.Join(s.Dir, "lfs", "objects", oidOf(large)[:2], oidOf(large)[2:4], oidOf(large)))
	usage, err := s.Engine().Services().LFS.Usage(t.Context(), s.Repo(t, local).ID)
	require.NoError(t, err)
	require.Equal(t, int64(len(large)+len(small)), usage.Bytes)
	require.Equal(t, int64(2), usage.Objects, "git keeps an empty file as it is")

	other := lfsClone(t, s.Client(t, local), s.Remote(local))
	requireFile(t, other, "large.bin", large)
	requireFile(t, other, "small.bin", small)

	// What a ref needs is not pruned, nor what was sent a moment ago. A dry run leaves no
	// trace in the audit.
	for _, dry := range []bool{true, false} {
		pruned, err := s.REST(t, local).PruneLFS(t.Context(), local, &client.PruneLFSParams{DryRun: &dry})
		require.NoError(t, err)
		require.Zero(t, pruned.Count)
	}
	require.Len(t, s.API(t, http.MethodGet, local, "/audit?action=lfs.prune", nil).At("entries"), 1)

	// Pointers alone, then a part of the objects.
	lazy := lfsClient(t, s.Client(t, local))
	lazy.Env = append(lazy.Env, "GIT_LFS_SKIP_SMUDGE=1")
	lazy.Clone(s.Remote(local))
	pointer, err := os.ReadFile(filepath.Join(lazy.Dir, "large.bin"))
	require.NoError(t, err)
	require.Contains(t, string(pointer), "oid sha256:"+oidOf(large))
	lazy.Git("lfs", "pull", "--include", "small.bin")
	requireFile(t, lazy, "small.bin", small)
	requireFile(t, lazy, "large.bin", pointer)
	lazy.Git("lfs", "fetch", "--all")
	lazy.Git("lfs", "checkout")
	requireFile(t, lazy, "large.bin", large)

	// The ephemeral remote has the same objects.
	c.Git("push", "--quiet", s.Remote(local+"+ephemeral"), "HEAD:refs/heads/draft")
	draft := lfsClient(t, s.Client(t, local))
	draft.Git("clone", "--quiet", "--branch", "draft", s.Remote(local+"+ephemeral"), "work")
	draft.Dir = filepath.Join(draft.Dir, "work")
	requireFile(t, draft, "large.bin", large)

	// A commit by the API is one that this client could have made, and "git status" agrees.
	w := &writes{Server: s, repo: local}
	byAPI := someBytes(3, 2<<20)
	meta := map[string]any{"lfs": "auto"}
	answer := w.stream(t, s.Token(t, local), "/commit-pack", packBody(t, meta, file{path: "art/by-api.bin", data: string(byAPI)}, file{path: "by-api.txt", data: "small"}))
	require.Equal(t, http.StatusCreated, answer.Status, answer.Raw)
	other.Git("pull", "--quiet", "--ff-only")
	requireFile(t, other, "art/by-api.bin", byAPI)
	require.Contains(t, other.Git("lfs", "ls-files", "--long"), oidOf(byAPI)+" * art/by-api.bin")
	require.Empty(t, other.Git("status", "--porcelain"))
	require.Contains(t, other.Git("lfs", "fsck"), "Git LFS fsck OK")
	answer = w.stream(t, s.Token(t, local), "/commit-pack", packBody(t, map[string]any{"lfs": "always"}, file{path: "x", data: "x"}))
	require.Equal(t, http.StatusBadRequest, answer.Status)
	require.Contains(t, answer.Raw, `use \"auto\"`)

	// All of it again, to a server that has nothing yet.
	s.Create(t, "team/second")
	second := s.Client(t, "team/second")
	c.Env = second.Env
	lfsClient(t, c)
	c.Git("lfs", "push", "--all", s.Remote("team/second"))
	requireLFSObjects(t, s, "team/second", 2)
}

// TestLFS_locks has two people lock, and one push over the other's lock.
func TestLFS_locks(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	c := lfsClone(t, s.ClientWith(t, lfsToken(t, s, "ada")), "")
	c.Git("remote", "add", "origin", s.Remote(local))
	addLFS(t, c, "a.bin", someBytes(3, 1000))
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	require.Contains(t, c.Git("lfs", "lock", "a.bin"), "Locked a.bin")
	out, err := c.Try("lfs", "lock", "a.bin")
	require.Error(t, err)
	require.Contains(t, out, "ada")
	require.Contains(t, c.Git("lfs", "locks", "--verify"), "O a.bin")

	other := lfsClone(t, s.ClientWith(t, lfsToken(t, s, "bob")), s.Remote(local))
	locks := other.Git("lfs", "locks")
	require.Contains(t, locks, "a.bin")
	require.Contains(t, locks, "ada")
	other.Git("config", "lfs."+s.Remote(local)+"/info/lfs.locksverify", "true")
	require.NoError(t, os.Chmod(filepath.Join(other.Dir, "a.bin"), 0o600))
	addLFS(t, other, "a.bin", someBytes(4, 1000))
	out, err = other.Try("push", "origin", "HEAD:refs/heads/main")
	require.Error(t, err)
	require.Contains(t, out, "a.bin - ada", out)
	// The server refuses it as well, from a client that does not ask for locks first.
	out, err = other.Try("-c", "lfs."+s.Remote(local)+"/info/lfs.locksverify=false", "push", "origin", "HEAD:refs/heads/main")
	require.Error(t, err)
	require.Contains(t, out, "a.bin is locked by ada; ask them to run git lfs unlock a.bin", out)
	out, err = other.Try("lfs", "unlock", "a.bin")
	require.Error(t, err)
	require.True(t, strings.Contains(out, "ada") || strings.Contains(out, "uncommitted"), out)
	other.Git("lfs", "unlock", "--force", "a.bin")
	other.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	require.Empty(t, c.Git("lfs", "locks"))

	// All of it is in the audit, also what was refused, with who and which path.
	var entries []string
	for _, action := range []string{"lfs.lock", "lfs.unlock"} {
		for _, e := range s.API(t, http.MethodGet, local, "/audit?action="+action, nil).At("entries").([]any) {
			e := e.(map[string]any)
			message, _ := e["message"].(string)
			target, _ := e["target"].(string)
			require.Equal(t, local, e["repo_name"])
			entries = append(entries, strings.Join([]string{action, e["actor"].(map[string]any)["subject"].(string), target, e["outcome"].(string), message}, "|"))
		}
	}
	require.Subset(t, entries, []string{
		"lfs.lock|ada|a.bin|ok|",
		"lfs.lock|ada|a.bin|refused|a.bin is locked already by ada",
		"lfs.unlock|bob|a.bin|ok|by force; it was held by ada",
	})
}

// lfsToken returns a token for a person.
func lfsToken(t *testing.T, s *servertest.Server, subject string) string {
	t.Helper()
	return s.TokenWith(t, access.Claims{Subject: subject, Repo: local, Scopes: []access.Scope{access.GitRead, access.GitWrite}})
}

// TestLFS_compliance runs git-lfs's own test of LFS servers on a local repository.
func TestLFS_compliance(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	requireCompliance(t, s, local)
}

// requireCompliance runs git-lfs's own test of LFS servers, which
// scripts/peers/lfs-build builds, on a repository.
func requireCompliance(t *testing.T, s *servertest.Server, repo string) {
	t.Helper()
	program := lfstest.Tool(t, "git-lfs-test-server-api")
	remote, err := url.Parse(s.Remote(repo))
	require.NoError(t, err)
	remote.User = url.UserPassword("t", s.Token(t, repo))
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "--clone", remote.String())
	cmd.Dir = home
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, s.Log)
	require.Contains(t, string(out), "All tests passed")
	require.Equal(t, 7, strings.Count(string(out), " OK\n"), "%s", out)
}

// TestLFS_forks has a fork and a snapshot carry the objects, without their bytes once
// more.
func TestLFS_forks(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	c := lfsClone(t, s.Client(t, local), "")
	c.Git("remote", "add", "origin", s.Remote(local))
	content := someBytes(41, 5000)
	addLFS(t, c, "a.bin", content)
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	for name, operation := range map[string]string{"team/fork": "fork", "team/snapshot": "snapshot"} {
		from := map[string]any{"name": local, "provider": "code", "auth": map[string]string{"token": s.Token(t, local)}, "operation": operation, "ref": "main"}
		a := s.Call(t, http.MethodPost, "/api/repos", s.Token(t, name), map[string]any{"base_repo": from})
		require.Less(t, a.Status, 300, a.Raw)
		other := lfsClone(t, s.Client(t, name), s.Remote(name))
		requireFile(t, other, "a.bin", content)
	}
	// The source goes, and its forks keep what they have.
	_, err := s.REST(t, local).DeleteRepository(t.Context(), local, nil)
	require.NoError(t, err)
	other := lfsClone(t, s.Client(t, "team/fork"), s.Remote("team/fork"))
	requireFile(t, other, "a.bin", content)
	require.Eventually(t, func() bool { return s.Repository(t, "team/fork").DiskBytes > 5000 }, time.Minute, 20*time.Millisecond, "the disk counts them")
}

// requireLFSObjects waits until a repository has so many objects: who reads along while
// one is fetched has its bytes before the row is written.
func requireLFSObjects(t *testing.T, s *servertest.Server, name string, want int64) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		usage, err := s.Engine().Services().LFS.Usage(t.Context(), s.Repo(t, name).ID)
		assert.NoError(c, err)
		assert.Equal(c, want, usage.Objects)
	}, time.Minute, 20*time.Millisecond)
}
