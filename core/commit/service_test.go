package commit

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers"
)

// bench is a service on the real core/push, before which something may
// happen.
type bench struct {
	*coretest.World
	*Service
	push   *push.Service
	before func() // called before a ref is moved
}

func (b *bench) Check(ctx context.Context, w push.Session) ([]push.Result, error) {
	return b.push.Check(ctx, w)
}

func (b *bench) Write(ctx context.Context, w push.Session) ([]push.Result, error) {
	b.before()
	return b.push.Write(ctx, w)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{World: coretest.NewWorld(t, coretest.Options{}), before: func() {}}
	var err error
	b.push, err = push.New(push.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.Upstreams, Clock: b.Clock, Logger: b.Logger,
		HooksDir: filepath.Join(b.Dir, "run", "git-hooks"), WantSync: func(context.Context, string) {},
	})
	require.NoError(t, err)
	pool := catfile.NewPool(b.Git, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	b.Service = New(Options{
		Git: b.Git, Repos: b.Repos, Objects: pool, Refs: b, Clock: b.Clock, Logger: b.Logger, TempDir: b.Repos.TempDir(),
		Revisions: content.New(content.Options{Git: b.Git, Objects: pool, Path: b.Repos.Path, TempDir: b.Repos.TempDir()}),
	})
	return b
}

func signed() Signed { return Signed{Message: "m", Author: &Person{"Ada", "ada@example.test"}} }

// put commits one file.
func (b *bench) put(r core.Repository, c Commit, path, data string) (Result, error) {
	c.Caller, c.Signed = Caller{Repo: r, Actor: core.Actor{Subject: "t"}}, signed()
	if c.Branch == "" {
		c.Branch = "main"
	}
	in := pieces{{Content: "1", Data: []byte(data), Last: true}}
	return b.CommitFiles(b.Context(), c, []File{{Path: path, Content: "1"}}, &in)
}

func (b *bench) mustPut(r core.Repository, path, data string) Result {
	b.Helper()
	made, err := b.put(r, Commit{}, path, data)
	require.NoError(b, err)
	return made
}

func TestService_publicModeTakesNothingThatTheUpstreamOwns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("a")
	tip := b.mustPut(r, "a", "1").Commit
	b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) { m.Mode = providers.ModePublic })
	caller := Caller{Repo: r, Actor: core.Actor{Subject: "t"}}
	for name, call := range map[string]func() error{
		"commit": func() error { _, err := b.put(r, Commit{}, "b", "1"); return err },
		"restore": func() error {
			_, err := b.Restore(t.Context(), Commit{Caller: caller, Signed: signed(), Branch: "main"}, "main")
			return err
		},
		"create branch": func() error {
			_, _, err := b.CreateBranch(t.Context(), NewBranch{Caller: caller, Branch: "x"})
			return err
		},
		"create tag": func() error { _, err := b.CreateTag(t.Context(), caller, "x", "main"); return err },
		"merge": func() error {
			_, err := b.Merge(t.Context(), Merge{Caller: caller, Source: "main", Target: "main", Strategy: StrategyMerge})
			return err
		},
	} {
		err := call()
		require.Equal(t, core.KindPermission, core.KindOf(err), name)
		require.Equal(t, "upstream is read-only in public mode", core.MessageOf(err), name)
	}
	_, err := b.put(r, Commit{Branch: "draft", Ephemeral: true, Base: "main"}, "b", "1")
	require.NoError(t, err, "an ephemeral branch is ours")
	_, err = b.AddNote(t.Context(), Note{Caller: caller, Object: string(tip), Text: "n"})
	require.NoError(t, err, "notes are ours")
}

func TestService_buildsAnewWhenAPushComesBetween(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Local("a")
	first := b.mustPut(r, "a", "1").Commit
	dir := b.Path(r)
	pushes := 0
	b.before = func() {
		if pushes < 3 {
			pushes++
			coretest.Run(t, dir, "update-ref", "refs/heads/main", string(coretest.Commit(t, dir, "push", b.Refs(r)["refs/heads/main"])))
		}
	}
	made := b.mustPut(r, "b", "2")
	require.Equal(t, 3, pushes)
	require.Equal(t, "5", coretest.Run(t, dir, "rev-list", "--count", "main"))
	require.Equal(t, made.Commit, b.Refs(r)["refs/heads/main"])

	// With a guard there is one attempt, and the answer is that it failed.
	pushes = 2
	_, err := b.put(r, Commit{Expected: string(made.Commit)}, "c", "3")
	require.Equal(t, core.KindPrecondition, core.KindOf(err))
	_, err = b.put(r, Commit{Expected: string(first)}, "c", "3")
	require.Equal(t, core.KindPrecondition, core.KindOf(err))
	var at *TipError
	require.ErrorAs(t, err, &at)
	require.Equal(t, b.Refs(r)["refs/heads/main"], at.Tip)

	// Who is never let in gives up in the end.
	b.before = func() {
		coretest.Run(t, dir, "update-ref", "refs/heads/main", string(coretest.Commit(t, dir, "push", b.Refs(r)["refs/heads/main"])))
	}
	_, err = b.put(r, Commit{}, "d", "4")
	require.Equal(t, core.KindStale, core.KindOf(err))
}

func TestService_mergesAnewWithThePinnedSource(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Local("a")
	b.mustPut(r, "a", "1")
	side, err := b.put(r, Commit{Branch: "side", Base: "main"}, "s", "1")
	require.NoError(t, err)
	dir := b.Path(r)
	tree := strings.TrimSpace(coretest.Run(t, dir, "rev-parse", "main^{tree}"))
	once := false
	b.before = func() {
		if once {
			return
		}
		once = true
		// Both move: the target is followed, the source is not.
		for _, branch := range []string{"refs/heads/main", "refs/heads/side"} {
			id := coretest.Run(t, dir, "commit-tree", "-m", "push", "-p", branch, tree)
			coretest.Run(t, dir, "update-ref", branch, strings.TrimSpace(id))
		}
	}
	m := Merge{Caller: Caller{Repo: r}, Signed: signed(), Source: "side", Target: "main", Strategy: StrategyMerge}
	merged, err := b.Merge(t.Context(), m)
	require.NoError(t, err)
	require.True(t, once)
	require.Equal(t, side.Commit, merged.Source)
	require.Equal(t, string(merged.Old)+" "+string(side.Commit), strings.TrimSpace(coretest.Run(t, dir, "log", "-1", "--format=%P", "main")))

	once = false
	m.Expected = string(merged.New)
	_, err = b.Merge(t.Context(), m)
	var moved *MergeError
	require.ErrorAs(t, err, &moved)
	require.Equal(t, ConflictMoved, moved.Conflict)
}

func TestService_writesLongIds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := core.Repository{
		ID: core.NewID("repo", b.Clock.Now()), Org: coretest.Org, Name: "long", DefaultBranch: "main", ObjectFormat: "sha256", CreatedAt: b.Clock.Now(),
	}
	require.NoError(t, b.Repos.Create(t.Context(), r.ID, r.DefaultBranch, r.ObjectFormat))
	require.NoError(t, b.Store.CreateRepository(t.Context(), r))
	first := b.mustPut(r, "d/a", "1")
	require.Len(t, first.Commit, 64)
	in := pieces{{Data: []byte("--- a/d/a\n+++ b/d/a\n@@ -1 +1 @@\n-1\n\\ No newline at end of file\n+2\n"), Last: true}}
	second, err := b.CommitDiff(t.Context(), Commit{Caller: Caller{Repo: r}, Signed: signed(), Branch: "main", Expected: string(first.Commit)}, &in)
	require.NoError(t, err)
	require.Equal(t, 1, second.Blobs)
	_, err = b.AddNote(t.Context(), Note{Caller: Caller{Repo: r}, Object: string(second.Commit), Text: "n"})
	require.NoError(t, err)
	_, err = b.put(r, Commit{Expected: strings.Repeat("0", 40)}, "x", "1")
	require.Equal(t, core.KindInvalid, core.KindOf(err), "a short guard")
	require.Empty(t, coretest.Run(t, b.Path(r), "fsck", "--strict"))

	dir := t.TempDir() + "/copy.git"
	require.NoError(t, b.Git.Init(t.Context(), dir, "main", "sha256"))
	c, err := b.Prepare(t.Context(), Copy{From: r, Branch: "main", Revision: "main~1", Snapshot: true})
	require.NoError(t, err)
	require.NoError(t, b.Fill(t.Context(), dir, c))
	require.Equal(t, string(first.Tree), strings.TrimSpace(coretest.Run(t, dir, "rev-parse", "main^{tree}")))
	require.Empty(t, coretest.Run(t, dir, "fsck", "--strict"))
}
