package doctor_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/server/doctor"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/postgrestest"
	"github.com/headwater-git/headwater/store/seal"
)

// postgres is the server of this package's tests.
var postgres postgrestest.Server

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// newData makes a data directory with repositories in the database, and their folders.
func newData(t *testing.T, g *git.Git, names ...string) (dir string, made []core.Repository) {
	t.Helper()
	dir = t.TempDir()
	now := time.Now().UTC()
	sealer, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "seal.json"))
	require.NoError(t, err)
	s, err := database.Place{DataDir: dir}.Open(t.Context(), store.Options{Sealer: sealer})
	require.NoError(t, err)
	require.NoError(t, s.Tx(t.Context(), func(q core.Queries) error {
		return q.CreateOrg(t.Context(), core.Org{Name: "local", CreatedAt: now})
	}))
	for _, name := range names {
		r := core.Repository{ID: core.NewID("repo", now), Org: "local", Name: name, DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now}
		require.NoError(t, s.Tx(t.Context(), func(q core.Queries) error { return q.CreateRepository(t.Context(), r) }))
		folder := repo.PathIn(dir, r.ID)
		require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o700))
		require.NoError(t, g.Init(t.Context(), folder, "main", "sha1"))
		require.NoError(t, repo.WriteDescription(folder, r))
		made = append(made, r)
	}
	require.NoError(t, s.Close())
	return dir, made
}

// What is missing at once because its disk is not mounted is one problem, whose command is
// to mount it: the command for a single one would have it fetched again, or given up.
func TestLook_unmounted(t *testing.T) {
	t.Parallel()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	dir, made := newData(t, g, "one", "two", "three", "four", "five")
	look := func(running bool) doctor.Report {
		t.Helper()
		found, err := doctor.Look(t.Context(), doctor.Options{DataDir: dir, Git: g, Running: running})
		require.NoError(t, err)
		return found
	}
	require.Zero(t, look(false).Problems(), "%v", look(false).Findings)
	for _, r := range made[:3] {
		require.NoError(t, os.RemoveAll(repo.PathIn(dir, r.ID)))
	}
	found := look(true)
	require.Equal(t, 3, found.Problems(), "%v", found.Findings)
	for i, f := range found.Findings {
		require.Contains(t, f.Subject, made[i].Name)
		require.Contains(t, f.What, "its folder is missing")
		require.Contains(t, f.Next, "headwater repo rebuild --data "+core.ShellWord(dir)+" "+made[i].Name)
	}
	require.NoError(t, os.Remove(filepath.Join(repo.PathIn(dir, made[3].ID), "HEAD")))
	for running, start := range map[bool]string{true: "the server serves them again", false: "then start the server"} {
		found = look(running)
		require.Equal(t, 1, found.Problems(), "%v", found.Findings)
		require.Contains(t, found.Findings[0].What, "4 of 5 repositories are missing at once, as if a disk were not mounted")
		require.Contains(t, found.Findings[0].Next, "mount it: "+start)
		require.NotContains(t, found.Findings[0].Next, "rebuild one")
	}
}

// A data directory whose database is a PostgreSQL is looked at as one of SQLite: each of
// its repositories, and what the database cannot be asked is a problem, not an all-clear.
func TestLook_postgres(t *testing.T) {
	t.Parallel()
	dir, dsn, now := t.TempDir(), providers.Secret(postgres.Schema(t)), time.Now().UTC()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	sealer, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "seal.json"))
	require.NoError(t, err)
	s, err := database.Place{DataDir: dir, DSN: dsn}.Open(t.Context(), store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	r := core.Repository{ID: core.NewID("repo", now), Org: "local", Name: "team/one", DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now}
	require.NoError(t, s.Tx(t.Context(), func(q core.Queries) error {
		if err := q.CreateOrg(t.Context(), core.Org{Name: "local", CreatedAt: now}); err != nil && core.KindOf(err) != core.KindConflict {
			return err
		}
		return q.CreateRepository(t.Context(), r)
	}))
	look := func(dsn providers.Secret) doctor.Report {
		t.Helper()
		found, err := doctor.Look(t.Context(), doctor.Options{DataDir: dir, Git: g, Database: dsn})
		require.NoError(t, err)
		return found
	}

	found := look(dsn)
	require.Equal(t, 1, found.Repositories)
	require.Equal(t, 1, found.Problems(), "%v", found.Findings)
	require.Contains(t, found.Findings[0].Subject, "team/one")
	require.Contains(t, found.Findings[0].What, "is missing")
	folder := repo.PathIn(dir, r.ID)
	require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o700))
	require.NoError(t, g.Init(t.Context(), folder, "main", "sha1"))
	require.NoError(t, repo.WriteDescription(folder, r))
	require.Zero(t, look(dsn).Problems(), "%v", look(dsn).Findings)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "refs", "heads", "main"), []byte("0123456789012345678901234567890123456789\n"), 0o600))
	require.Equal(t, 1, look(dsn).Problems())

	for text, want := range map[providers.Secret]string{
		"": "connection string is not given",
		"host=127.0.0.1 port=1 user=u password=planted-word dbname=x connect_timeout=2": "PostgreSQL cannot be connected to",
		providers.Secret(postgres.Schema(t)):                                            "schema version 0",
	} {
		found := look(text)
		require.Equal(t, 1, found.Problems(), want)
		require.Contains(t, found.Findings[0].What, want)
		require.Contains(t, found.Findings[0].Next, database.Variable)
		require.NotContains(t, found.Findings[0].What, "planted-word")
	}
}

// An LFS object that the disk has changed is named, and so is one that was found so before.
// When the database is lost, a local repository has again the objects that its refs point
// to and whose bytes are here: what no repository has is removed after a week.
func TestLook_lfs(t *testing.T) {
	t.Parallel()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	dir, made := newData(t, g, "one")
	content := strings.Repeat("bytes", 1000)
	oid := lfs.OIDOf(sha256.Sum256([]byte(content)))
	folder := lfs.FolderOf(filepath.Join(dir, lfs.FolderName))
	require.NoError(t, os.MkdirAll(filepath.Dir(folder.Path(oid)), 0o700))
	require.NoError(t, os.WriteFile(folder.Path(oid), []byte(content), 0o600))
	look := func(deep bool) doctor.Report {
		t.Helper()
		found, err := doctor.Look(t.Context(), doctor.Options{DataDir: dir, Git: g, Deep: deep})
		require.NoError(t, err)
		return found
	}
	require.Zero(t, look(true).Problems(), "%v", look(true).Findings)

	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=n", "-c", "user.email=n@example.org", "--git-dir", repo.PathIn(dir, made[0].ID)}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	blob := func(text string) string { return run(text, "hash-object", "-w", "--stdin") }
	pointer := blob(fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(content)))
	absent := blob(fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 7\n", strings.Repeat("ab", 32)))
	tree := run("100644 blob "+pointer+"\tlarge.bin\n100644 blob "+absent+"\tother.bin\n", "mktree")
	run("", "update-ref", "refs/heads/main", run("", "commit-tree", "-m", "m", tree))
	require.NoError(t, os.Remove(filepath.Join(dir, database.File)))
	sealer, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "seal.json"))
	require.NoError(t, err)
	s, err := database.Place{DataDir: dir}.Open(t.Context(), store.Options{Sealer: sealer})
	require.NoError(t, err)
	adopted, err := doctor.Adopt(t.Context(), dir, s, g, time.Now())
	require.NoError(t, err)
	require.Len(t, adopted, 1)
	require.Empty(t, adopted[0].Refused)
	has, err := s.LFSObjects(t.Context(), made[0].ID, "", 10)
	require.NoError(t, err)
	require.Equal(t, []core.LFSObject{{OID: string(oid), Size: int64(len(content))}}, has)
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(folder.Path(oid), []byte("B"+content[1:]), 0o600))
	require.Zero(t, look(false).Problems(), "that takes --deep")
	found := look(true)
	require.Equal(t, 1, found.Problems(), "%v", found.Findings)
	require.Equal(t, folder.Path(oid), found.Findings[0].Subject)
	command, _, ok := strings.Cut(found.Findings[0].Next, "; ")
	require.True(t, ok)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
	require.NoError(t, err, "%s", out)
	found = look(false)
	require.Equal(t, 1, found.Problems(), "%v", found.Findings)
	require.Equal(t, folder.DamagedPath(oid), found.Findings[0].Subject)
	require.Contains(t, found.Findings[0].Next, "git lfs push --all")
}
