package push_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
)

const lockedByAda = "art/cover 1.psd is locked by ada; ask them to run git lfs unlock 'art/cover 1.psd', or remove the lock with git lfs unlock --force 'art/cover 1.psd'"

// lockedBench is a local repository with main, in which ada has locked art/cover 1.psd.
// The actor of the bench is another one.
type lockedBench struct {
	*bench
	repo  core.Repository
	clone string
	main  core.ObjectID
}

func newLockedBench(t *testing.T) *lockedBench {
	t.Helper()
	b := &lockedBench{bench: newBench(t, coretest.Options{}, push.Options{})}
	b.repo = b.Local("a")
	b.clone, b.main = b.seed(b.repo, "refs/heads/main")
	coretest.Run(t, b.clone, "reset", "--quiet", "--hard", string(b.main))
	b.lock("lock_1", "art/cover 1.psd", "ada")
	return b
}

func (b *lockedBench) lock(id, path, owner string) {
	b.Helper()
	require.NoError(b, b.Store.AddLFSLock(b.Context(), core.LFSLock{ID: id, RepoID: b.repo.ID, Path: path, Owner: owner, LockedAt: b.Clock.Now()}))
}

// commit makes a commit on another one that writes files, or removes those that begin
// with a minus, and puts its objects into the repository.
func (b *lockedBench) commit(on core.ObjectID, paths ...string) core.ObjectID {
	b.Helper()
	coretest.Run(b, b.clone, "checkout", "--quiet", "--detach", string(on))
	for _, path := range paths {
		if name, ok := strings.CutPrefix(path, "-"); ok {
			coretest.Run(b, b.clone, "rm", "--quiet", name)
			continue
		}
		file := filepath.Join(b.clone, path)
		require.NoError(b, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(b, os.WriteFile(file, []byte(core.NewID("x", b.Clock.Now())), 0o600))
		coretest.Run(b, b.clone, "add", path)
	}
	coretest.Run(b, b.clone, "commit", "--quiet", "-m", strings.Join(paths, " "))
	return b.head()
}

// head returns what the clone is at, whose objects the repository has then.
func (b *lockedBench) head() core.ObjectID {
	b.Helper()
	coretest.Install(b, b.clone, b.Path(b.repo), nil)
	return core.ObjectID(strings.TrimSpace(coretest.Run(b, b.clone, "rev-parse", "HEAD")))
}

// as writes one update as somebody.
func (b *lockedBench) as(subject, ref string, from, to core.ObjectID) push.Result {
	b.Helper()
	s := b.session(b.repo)
	s.Actor.Subject, s.Updates = subject, []core.RefUpdate{{Name: ref, Old: from, New: to}}
	results, err := b.push.Write(b.Context(), s)
	require.NoError(b, err)
	return results[0]
}

func TestService_Write_lockedPaths(t *testing.T) {
	t.Parallel()
	b := newLockedBench(t)
	const path, mainRef = "art/cover 1.psd", "refs/heads/main"
	other := b.commit(b.main, "art/cover 1.psd.txt", "art/[a-z]*")
	touched := b.commit(b.main, path)
	reverted := b.commit(touched, "-"+path)
	refused := func(r push.Result) {
		t.Helper()
		require.Equal(t, core.KindPermission, r.Kind, r.Reason)
		require.Equal(t, lockedByAda, r.Reason)
	}
	ok := func(r push.Result) {
		t.Helper()
		require.True(t, r.OK(), r.Reason)
	}

	// Patterns in names of locks are none, and what no tree can have stops nobody.
	b.lock("lock_2", "art/*.txt", "ada")
	b.lock("lock_3", "../outside", "ada")
	refused(b.as("bob", mainRef, b.main, touched))
	refused(b.as("bob", mainRef, b.main, reverted))
	refused(b.as("bob", "refs/heads/new", "", touched))
	refused(b.as("bob", "refs/tags/v1", "", touched))
	b.setNamespace(core.Ephemeral)
	refused(b.as("bob", "refs/heads/draft", "", touched))
	b.setNamespace(core.Default)
	ok(b.as("bob", "refs/heads/other", "", other))

	// The owner may, and what they pushed may be merged and rebased onto by anybody.
	ok(b.as("ada", mainRef, b.main, touched))
	coretest.Run(t, b.clone, "checkout", "--quiet", "--detach", string(other))
	coretest.Run(t, b.clone, "merge", "--quiet", "--no-edit", string(touched))
	merged := b.head()
	ok(b.as("bob", "refs/heads/other", other, merged))
	rebased := b.commit(touched, "file2")
	ok(b.as("bob", "refs/heads/other", merged, rebased))
	ok(b.as("bob", "refs/heads/copy", "", touched))
	ok(b.as("bob", "refs/heads/copy", touched, ""))
	// What a merge makes of a locked path itself is a change.
	coretest.Run(t, b.clone, "checkout", "--quiet", "--detach", string(other))
	coretest.Run(t, b.clone, "merge", "--quiet", "--no-commit", "--no-ff", string(touched))
	require.NoError(t, os.WriteFile(filepath.Join(b.clone, path), []byte("evil"), 0o600))
	coretest.Run(t, b.clone, "add", path)
	coretest.Run(t, b.clone, "commit", "--quiet", "--message=merge")
	refused(b.as("bob", "refs/heads/merged", "", b.head()))
	refused(b.as("bob", mainRef, touched, b.commit(touched, "-"+path)))

	// Nobody takes the owner's work away by force; what is elsewhere, too, is not lost.
	mine := b.commit(touched, path)
	ok(b.as("ada", mainRef, touched, mine))
	refused(b.as("bob", mainRef, mine, touched))
	ok(b.as("bob", "refs/heads/copy", "", mine))
	ok(b.as("bob", mainRef, mine, touched))

	// Git's own reasons stay.
	require.Equal(t, core.KindStale, b.as("bob", mainRef, b.main, other).Kind)
	require.Equal(t, core.KindInvalid, b.as("bob", mainRef, touched, core.ObjectID(strings.Repeat("1", 40))).Kind)

	// What is unlocked is anybody's.
	require.NoError(t, b.Store.RemoveLFSLock(b.Context(), b.repo.ID, "lock_1"))
	ok(b.as("bob", mainRef, touched, b.commit(touched, path)))
}

func TestService_Write_lockedPathsOfMany(t *testing.T) {
	t.Parallel()
	b := newLockedBench(t)
	good, bad := b.commit(b.main, "b"), b.commit(b.main, "art/cover 1.psd")
	updates := []core.RefUpdate{
		{Name: "refs/heads/1", New: good},
		{Name: "refs/heads/2", New: bad},
		{Name: "refs/heads/3", New: b.main},
		{Name: "refs/heads/4", New: b.commit(bad, "b")},
		{Name: "refs/heads/5", New: good},
	}
	atomic := b.write(b.repo, true, updates...)
	require.Equal(t, []string{"atomic push failed", lockedByAda, "atomic push failed", lockedByAda, "atomic push failed"}, reasons(atomic))
	require.Equal(t, []string{"", lockedByAda, "", lockedByAda, ""}, reasons(b.write(b.repo, false, updates...)))

	// By git, which shows why; and where LFS is switched off, nobody could unlock.
	coretest.Run(t, b.clone, "checkout", "--quiet", "--detach", string(bad))
	out, err := b.client(b.clone, b.repo, "HEAD:refs/heads/main")
	require.Error(t, err)
	require.Contains(t, out, lockedByAda)
	require.NoError(t, b.Store.SaveSettings(b.Context(), b.repo.ID, core.Settings{LFS: core.LFSOff}))
	_, err = b.client(b.clone, b.repo, "HEAD:refs/heads/main")
	require.NoError(t, err)
}
