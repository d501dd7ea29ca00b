package push_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
)

// refLock locks refs of a repository as another process does.
type refLock struct{ files []string }

func (l *refLock) lock(dir string, refs ...string) {
	for _, ref := range refs {
		file := filepath.Join(dir, ref+".lock")
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
			panic(err)
		}
		l.files = append(l.files, file)
	}
}

func (l *refLock) unlock(t *testing.T) {
	for _, file := range l.files {
		require.NoError(t, os.Remove(file))
	}
}

// A local apply that fails half-way, so that nobody can say what moved: the
// client is notified, the refs stay locked, and what moved has one event each.
func TestService_Write_halfAppliedHere(t *testing.T) {
	t.Parallel()
	var b *bench
	var lock refLock
	dir := ""
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "refs-deleted" && dir != "" {
			lock.lock(dir, "refs/heads/gone", "refs/heads/x")
			dir = ""
		}
	}}, push.Options{})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main", "refs/heads/gone")
	dir = b.Path(r)
	updates := []core.RefUpdate{{Name: "refs/heads/gone", Old: id}, {Name: "refs/heads/x", New: id}}
	for _, result := range b.write(r, false, updates...) {
		require.Equal(t, core.KindInternal, result.Kind)
		require.Contains(t, result.Reason, "outcome unknown")
	}
	require.True(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/gone"))
	require.Equal(t, core.KindLocked, b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})[0].Kind)
	require.Empty(t, b.Events(r))
	lock.unlock(t)
	b.settle()
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": id}, b.Refs(r))
	require.Equal(t, []string{"refs/heads/gone"}, b.Events(r))
	require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/gone"))
	require.True(t, b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})[0].OK())
}

// The same after the upstream took it: the client gets "ok", and
// each ref that moved has one event, not none and not two.
func TestInvariant01_halfAppliedAfterTheUpstreamTookIt(t *testing.T) {
	t.Parallel()
	var b *bench
	var lock refLock
	dir := ""
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "refs-deleted" && dir != "" {
			lock.lock(dir, "refs/heads/gone", "refs/heads/x")
			dir = ""
		}
	}}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main", "refs/heads/gone")
	dir = b.Path(r)
	for _, result := range b.write(r, false, core.RefUpdate{Name: "refs/heads/gone", Old: id}, core.RefUpdate{Name: "refs/heads/x", New: id}) {
		require.True(t, result.OK(), result.Reason)
	}
	lock.unlock(t)
	b.settle()
	b.inSync(r)
	require.ElementsMatch(t, []string{"refs/heads/gone", "refs/heads/x"}, b.Events(r))
	require.Len(t, b.audit(r), 1)
	require.Equal(t, id, b.Refs(r, core.KeptPrefix)[b.rewrites(r)["refs/heads/gone"].KeptRef()])
}

// The store fails while the copy is behind: the client's yes stands, and the
// entry is closed later.
func TestService_Write_storeThatFailsWhileTheCopyIsBehind(t *testing.T) {
	t.Parallel()
	var b *bench
	var lock refLock
	dir := ""
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "upstream-accepted" && dir != "" {
			lock.lock(dir, "refs/heads/x")
			b.Store.Fail(errors.New("disk full"))
			dir = ""
		}
	}}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	dir = b.Path(r)
	require.True(t, b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})[0].OK())
	b.Store.Fail(nil)
	require.Equal(t, []core.JournalState{core.JournalSent}, b.Journal(r))
	require.True(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
	lock.unlock(t)
	b.settle()
	b.inSync(r)
	require.Len(t, b.Events(r), 1)
	require.Len(t, b.audit(r), 1)
	require.Equal(t, core.OutcomeOK, b.audit(r)[0].Outcome)
	require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
}
