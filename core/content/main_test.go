package content

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// gitEnv is the environment of the real git in these tests: nothing of the
// machine's configuration, and commits that are the same every time.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann Author", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_AUTHOR_DATE=1700000000 +0130",
		"GIT_COMMITTER_NAME=Carl Committer", "GIT_COMMITTER_EMAIL=carl@example.com", "GIT_COMMITTER_DATE=1700000100 -0500",
	}
}

// fixture is a bare repository with a work tree to fill it from, and a service
// that reads it.
type fixture struct {
	tb   testing.TB
	repo core.Repository
	dir  string
	work string
	temp string
	*Service
}

func newFixture(tb testing.TB, format string) *fixture {
	tb.Helper()
	root := tb.TempDir()
	f := &fixture{
		tb: tb, dir: filepath.Join(root, "repo_1.git"), work: filepath.Join(root, "work"), temp: filepath.Join(root, "tmp"),
		repo: core.Repository{ID: "repo_1", DefaultBranch: "main", ObjectFormat: format},
	}
	for _, d := range []string{f.work, f.temp} {
		require.NoError(tb, os.Mkdir(d, 0o700))
	}
	cmd := exec.CommandContext(tb.Context(), "git", "init", "--quiet", "--bare", "--initial-branch=main", "--object-format="+format, f.dir)
	cmd.Env = gitEnv()
	out, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s", out)
	g, err := git.New(tb.Context(), git.Options{})
	require.NoError(tb, err)
	pool := catfile.NewPool(g, catfile.Options{})
	tb.Cleanup(func() { require.NoError(tb, pool.Close()) })
	f.Service = New(Options{Git: g, Objects: pool, Path: func(string) string { return f.dir }, TempDir: f.temp})
	return f
}

// run runs the real git in the work tree and returns its output.
func (f *fixture) run(args ...string) string {
	f.tb.Helper()
	return f.input("", args...)
}

func (f *fixture) input(stdin string, args ...string) string {
	f.tb.Helper()
	cmd := exec.CommandContext(f.tb.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = f.work, strings.NewReader(stdin)
	cmd.Env = append(gitEnv(), "GIT_DIR="+f.dir, "GIT_WORK_TREE="+f.work)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(f.tb, cmd.Run(), "git %v: %s", args, &stderr)
	return strings.TrimSuffix(stdout.String(), "\n")
}

// write writes files given as pairs of path and content.
func (f *fixture) write(pairs ...string) {
	f.tb.Helper()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(f.work, pairs[i])
		require.NoError(f.tb, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(f.tb, os.WriteFile(path, []byte(pairs[i+1]), 0o600))
	}
}

// commit commits the work tree, with the files written before.
func (f *fixture) commit(message string, pairs ...string) core.ObjectID {
	f.tb.Helper()
	f.write(pairs...)
	f.run("add", "--all")
	f.run("commit", "--quiet", "--allow-empty", "--message="+message)
	return core.ObjectID(f.run("rev-parse", "HEAD"))
}

func (f *fixture) ctx() context.Context { return f.tb.Context() }

// at is a revision in the default namespace.
func at(ref string) At { return At{Ref: ref} }

// listed returns all entries of a listing, page by page.
func (f *fixture) listed(r FilesRequest) []Entry {
	f.tb.Helper()
	var entries []Entry
	for {
		files, err := f.Files(f.ctx(), f.repo, r)
		require.NoError(f.tb, err)
		n := 0
		next, err := files.Walk(f.ctx(), func(e Entry) error {
			n++
			entries = append(entries, e)
			return nil
		})
		require.NoError(f.tb, err)
		if next == "" {
			return entries
		}
		require.Equal(f.tb, r.Limit, n)
		r.Cursor = next
	}
}
