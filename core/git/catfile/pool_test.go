package catfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// bench is a pool whose idle processes the tests count.
type bench struct {
	*Pool
}

func newBench(t *testing.T, o Options) *bench {
	t.Helper()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	b := &bench{NewPool(g, o)}
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// idlePids returns the processes that wait, least recently used first.
func (b *bench) idlePids() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var pids []int
	for _, c := range b.idle {
		pids = append(pids, c.proc.Pid())
	}
	return pids
}

func TestPool_answers(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Options{})
			dir := gittest.NewBare(t, "--object-format="+format)
			blob := gittest.AddBlob(t, dir, "hello")
			empty := gittest.AddBlob(t, dir, "")
			module := strings.Repeat("1", len(blob)) // a submodule's commit is in no repository of ours
			tree := strings.TrimSpace(gittest.Try(t, dir, "100644 blob "+blob+"\tnew\nline\x00100644 blob "+empty+"\ta b\x00160000 commit "+module+"\tmod\nule\x00", "mktree", "-z", "--missing").Stdout)
			commit := gittest.Run(t, dir, "commit-tree", "-m", "m", tree)
			gittest.Run(t, dir, "update-ref", "refs/heads/main", commit)
			names := []string{
				"refs/heads/main", commit + "^{tree}", commit + ":new\nline", commit + ":a b", commit + ":no\nsuch\nfile", "refs/heads/none", blob + "^{commit}", commit + "~1",
				commit + ":mod\nule", commit + ":mod\nule/x", commit + ":a b",
			}
			for range 3 {
				info, err := b.Info(t.Context(), dir, names...)
				require.NoError(t, err)
				contents, err := b.Contents(t.Context(), dir, 1<<10, names...)
				require.NoError(t, err)
				for i, want := range []Object{
					{ID: core.ObjectID(commit), Type: "commit"}, {ID: core.ObjectID(tree), Type: "tree"},
					{ID: core.ObjectID(blob), Type: "blob", Size: 5}, {ID: core.ObjectID(empty), Type: "blob"}, {}, {}, {}, {},
					{}, {}, {ID: core.ObjectID(empty), Type: "blob"},
				} {
					require.Equal(t, want.ID, info[i].ID, names[i])
					require.Equal(t, want.Type, info[i].Type)
					require.Equal(t, want.ID, contents[i].ID)
					require.EqualValues(t, contents[i].Size, len(contents[i].Data))
				}
				require.Equal(t, "hello", string(contents[2].Data))
			}
			require.Len(t, b.idlePids(), 1, "one process answered everything")
		})
	}
}

// TestPool_submodules holds that a path of a submodule is one that is not there, in
// the words of every git, and that the names after it are answered.
func TestPool_submodules(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("git")
	require.NoError(t, err)
	dir := gittest.NewBare(t)
	blob, module := gittest.AddBlob(t, dir, "hello"), strings.Repeat("1", 40)
	tree := strings.TrimSpace(gittest.Try(t, dir, "100644 blob "+blob+"\ta\x00160000 commit "+module+"\tmod\x00", "mktree", "-z", "--missing").Stdout)
	for name, says := range map[string]string{
		"this machine's git": "",
		"before git 2.51":    "&",
		"git 2.51 and later": module + " submodule",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := real
			if says != "" {
				path = filepath.Join(t.TempDir(), "git")
				script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in\n*cat-file*) '%[1]s' \"$@\" | sed -u 's/^.*:mod missing$/%[2]s/' ;;\n*) exec '%[1]s' \"$@\" ;;\nesac\n", real, says)
				require.NoError(t, os.WriteFile(path, []byte(script), 0o700)) //nolint:gosec // run by the test
			}
			g, err := git.New(t.Context(), git.Options{Path: path})
			require.NoError(t, err)
			pool := NewPool(g, Options{})
			t.Cleanup(func() { require.NoError(t, pool.Close()) })
			info, err := pool.Info(t.Context(), dir, tree+":mod", tree+":a")
			require.NoError(t, err)
			require.Equal(t, []Object{{}, {ID: core.ObjectID(blob), Type: "blob", Size: 5}}, info)
			contents, err := pool.Contents(t.Context(), dir, 1<<10, tree+":a", tree+":mod", tree+":a")
			require.NoError(t, err)
			require.Equal(t, []string{"hello", "", "hello"}, []string{string(contents[0].Data), string(contents[1].Data), string(contents[2].Data)})
			require.Empty(t, contents[1].ID)
		})
	}
}

func TestPool_seesNewRefsAndPacks(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	dir := gittest.NewBare(t)
	gittest.AddCommit(t, dir, "refs/heads/main", "one")
	tip := func() string {
		o, err := b.Info(t.Context(), dir, "refs/heads/main^{commit}")
		require.NoError(t, err)
		return string(o[0].ID)
	}
	tip()
	pid := b.idlePids()
	for i := range 3 {
		id := gittest.AddCommit(t, dir, "refs/heads/main", fmt.Sprint(i))
		gittest.Run(t, dir, "pack-refs", "--all")
		gittest.Run(t, dir, "repack", "-adq")
		gittest.Run(t, dir, "prune-packed")
		require.Equal(t, id, tip())
	}
	require.Equal(t, pid, b.idlePids())
}

func TestPool_refusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	dir := gittest.NewBare(t)
	small, large := gittest.AddBlob(t, dir, strings.Repeat("x", 100)), gittest.AddBlob(t, dir, strings.Repeat("x", maxSkip+1))
	for _, name := range []string{"", "a\x00b", strings.Repeat("x", maxName+1)} {
		_, err := b.Info(t.Context(), dir, name)
		require.Equal(t, core.KindInvalid, core.KindOf(err))
	}
	for _, name := range []string{small, large} {
		_, err := b.Contents(t.Context(), dir, 50, name)
		require.Equal(t, core.KindTooLarge, core.KindOf(err), "%v", err)
		o, err := b.Contents(t.Context(), dir, 100, small)
		require.NoError(t, err)
		require.Len(t, o[0].Data, 100)
	}
	_, err := b.Info(t.Context(), filepath.Join(dir, "none"), "x")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	none, err := b.Info(t.Context(), dir)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestPool_bounds(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{MaxProcesses: 3})
	var dirs []string
	for range 5 {
		dir := gittest.NewBare(t)
		gittest.AddCommit(t, dir, "refs/heads/main", dir)
		dirs = append(dirs, dir)
	}
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			dir := dirs[i%len(dirs)]
			for range 5 {
				o, err := b.Contents(t.Context(), dir, 1<<10, "refs/heads/main")
				if err != nil || !bytes.Contains(o[0].Data, []byte(dir)) {
					t.Errorf("%v %v", o, err)
					return
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, len(b.idlePids()), 3)
	// The one used last stays.
	for _, dir := range dirs {
		_, err := b.Info(t.Context(), dir, "HEAD")
		require.NoError(t, err)
	}
	require.Len(t, b.idlePids(), 3)
	last := b.idlePids()[2]
	_, err := b.Info(t.Context(), dirs[4], "HEAD")
	require.NoError(t, err)
	require.Equal(t, last, b.idlePids()[2])
}

func TestPool_replacesDeadProcesses(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	dir := gittest.NewBare(t)
	gittest.AddCommit(t, dir, "refs/heads/main", "one")
	for range 2 {
		o, err := b.Info(t.Context(), dir, "HEAD")
		require.NoError(t, err)
		require.True(t, o[0].Found())
		require.NoError(t, syscall.Kill(b.idlePids()[0], syscall.SIGKILL))
	}
}

func TestPool_replacedRepository(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	dir := gittest.NewBare(t)
	gittest.AddCommit(t, dir, "refs/heads/main", "one")
	_, err := b.Info(t.Context(), dir, "HEAD")
	require.NoError(t, err)
	old := b.idlePids()
	require.NoError(t, os.Rename(dir, dir+".old"))
	_, err = b.Info(t.Context(), dir, "HEAD")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	gittest.Run(t, "", "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", dir)
	id := gittest.AddCommit(t, dir, "refs/heads/main", "two")
	o, err := b.Info(t.Context(), dir, "HEAD")
	require.NoError(t, err)
	require.Equal(t, core.ObjectID(id), o[0].ID)
	require.NotEqual(t, old, b.idlePids())
}

func TestPool_idleProcessesEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Idle: 10 * time.Millisecond})
	dir := gittest.NewBare(t)
	_, err := b.Info(t.Context(), dir, "HEAD")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(b.idlePids()) == 0 }, time.Minute, time.Millisecond)
	_, err = b.Info(t.Context(), dir, "HEAD")
	require.NoError(t, err)
}

func TestPool_cancelled(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{MaxProcesses: 1})
	dir := gittest.NewBare(t)
	gittest.AddCommit(t, dir, "refs/heads/main", "one")
	blob := gittest.AddBlob(t, dir, strings.Repeat("x", 1<<20))
	many := make([]string, maxBatch)
	for i := range many {
		many[i] = blob
	}
	// In the middle of half a gigabyte.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := b.Contents(ctx, dir, 1<<20, many...)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, b.idlePids(), "a process in mid-answer is not used again")
	o, err := b.Info(t.Context(), dir, "refs/heads/main")
	require.NoError(t, err)
	require.True(t, o[0].Found())

	// In the queue.
	b.busy <- struct{}{}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = b.Info(ctx, dir, "HEAD")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	<-b.busy
}

func TestPool_Close(t *testing.T) {
	// Not parallel: it counts goroutines.
	before := goleak.IgnoreCurrent()
	b := newBench(t, Options{})
	dir := gittest.NewBare(t)
	gittest.AddCommit(t, dir, "refs/heads/main", "one")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if _, err := b.Info(t.Context(), dir, "HEAD"); err != nil {
					return // closed under it
				}
			}
		})
	}
	require.NoError(t, b.Close())
	all.Wait()
	require.NoError(t, b.Close())
	_, err := b.Info(t.Context(), dir, "HEAD")
	require.Error(t, err)
	require.Empty(t, b.idlePids())
	goleak.VerifyNone(t, before)
}

// A blob that is larger than the ceiling of memory is read all the same.
func TestPool_ceiling(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	blob := gittest.AddBlob(t, dir, strings.Repeat("0123456789abcde\n", 6<<20))
	g, err := git.New(t.Context(), git.Options{Memory: git.Memory{Read: 64 << 20}})
	require.NoError(t, err)
	pool := NewPool(g, Options{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	_, err = pool.Contents(t.Context(), dir, 1<<30, blob)
	if err == nil { // it streams what is not a delta
		_, err = pool.Info(t.Context(), dir, blob)
	}
	require.NoError(t, err)
}

func BenchmarkPool_Info(b *testing.B) {
	g, err := git.New(b.Context(), git.Options{})
	require.NoError(b, err)
	pool := NewPool(g, Options{})
	defer pool.Close()
	dir := filepath.Join(b.TempDir(), "r.git")
	require.NoError(b, g.Init(b.Context(), dir, "main", "sha1"))
	for b.Loop() {
		_, err := pool.Info(b.Context(), dir, "HEAD")
		require.NoError(b, err)
	}
}

// What git says of a damaged object, as it ends, raises a suspicion and is in the error.
func TestPool_damage(t *testing.T) {
	t.Parallel()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	suspected := make(chan string, 10)
	g.OnDamaged(func(_, said string) { suspected <- said })
	pool := NewPool(g, Options{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	dir := gittest.NewBare(t)
	blob := gittest.AddBlob(t, dir, strings.Repeat("0123456789abcde\n", 100))
	path := filepath.Join(dir, "objects", blob[:2], blob[2:])
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	content[len(content)-1] ^= 1 // of zlib's sum
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, content, 0o600))
	_, err = pool.Contents(t.Context(), dir, 1<<20, blob)
	require.ErrorContains(t, err, "unable to stream "+blob)
	require.NotErrorIs(t, err, io.EOF, "whoever reads must not take it for the end")
	require.Equal(t, core.KindDamaged, core.KindOf(err))
	require.Contains(t, <-suspected, blob)
}
