package storetest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// lfsID returns an id of an LFS object.
func lfsID(digit string) string { return strings.Repeat(digit, 64) }

var lfsTests = []namedTest{
	{"objects: add, look up, list, copy, drop, add up", func(f *fixture) {
		f.org("acme")
		r, fork := f.create(local("acme", "one")), f.create(local("acme", "fork"))
		a, b := core.LFSObject{OID: lfsID("a"), Size: 1 << 40}, core.LFSObject{OID: lfsID("b"), Size: 0}
		f.kind(core.KindNotFound, f.store.AddLFSObjects(f.ctx, "repo_none", []core.LFSObject{a}, day(0)))
		require.NoError(f, f.store.AddLFSObjects(f.ctx, r.ID, []core.LFSObject{b, a}, day(0)))
		got, err := f.store.HasLFSObjects(f.ctx, r.ID, []string{a.OID, lfsID("c"), a.OID})
		require.NoError(f, err)
		same(f, []core.LFSObject{a}, got)
		got, err = f.store.HasLFSObjects(f.ctx, fork.ID, []string{a.OID})
		require.NoError(f, err)
		require.Empty(f, got, "of another repository")
		got, err = f.store.HasLFSObjects(f.ctx, r.ID, nil)
		require.NoError(f, err)
		require.Empty(f, got)
		got, err = f.store.LFSObjects(f.ctx, r.ID, "", 1)
		require.NoError(f, err)
		same(f, []core.LFSObject{a}, got)
		got, err = f.store.LFSObjects(f.ctx, r.ID, a.OID, 10)
		require.NoError(f, err)
		same(f, []core.LFSObject{b}, got)
		_, err = f.store.LFSObjects(f.ctx, r.ID, "", 0)
		f.kind(core.KindInvalid, err)

		require.NoError(f, f.store.AddLFSObjects(f.ctx, fork.ID, []core.LFSObject{b}, day(0)))
		require.NoError(f, f.store.CopyLFSObjects(f.ctx, r.ID, fork.ID, day(time.Hour)))
		f.kind(core.KindNotFound, f.store.CopyLFSObjects(f.ctx, r.ID, "repo_none", day(0)))
		usage, err := f.store.LFSUsage(f.ctx, fork.ID)
		require.NoError(f, err)
		same(f, core.LFSUsage{Objects: 2, Bytes: 1 << 40}, usage)

		// What was added, or added again, since a time is not dropped.
		touched, err := f.store.TouchLFSObjects(f.ctx, fork.ID, []string{a.OID, lfsID("c")}, day(2*time.Hour))
		require.NoError(f, err)
		require.Equal(f, []string{a.OID}, touched, "it adds none")
		got, err = f.store.OldLFSObjects(f.ctx, fork.ID, day(2*time.Hour), "", 10)
		require.NoError(f, err)
		require.Equal(f, []core.LFSObject{b}, got, "not what was touched")
		got, err = f.store.OldLFSObjects(f.ctx, fork.ID, day(3*time.Hour), "", 1)
		require.NoError(f, err)
		require.Equal(f, []core.LFSObject{a}, got)
		got, err = f.store.OldLFSObjects(f.ctx, fork.ID, day(3*time.Hour), a.OID, 10)
		require.NoError(f, err)
		require.Equal(f, []core.LFSObject{b}, got)
		_, err = f.store.OldLFSObjects(f.ctx, fork.ID, day(0), "", 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.TouchLFSObjects(f.ctx, fork.ID, []string{a.OID}, day(time.Hour))
		require.NoError(f, err)

		n, err := f.store.DropLFSObjects(f.ctx, fork.ID, []string{a.OID, b.OID, lfsID("c")}, day(time.Minute))
		require.NoError(f, err)
		require.Equal(f, 1, n)
		require.NoError(f, f.store.AddLFSObjects(f.ctx, r.ID, []core.LFSObject{a}, day(2*time.Hour)))
		n, err = f.store.DropLFSObjects(f.ctx, r.ID, []string{a.OID}, day(time.Hour))
		require.NoError(f, err)
		require.Zero(f, n)
		require.NoError(f, f.store.DeleteRepository(f.ctx, fork.ID))
		usage, err = f.store.LFSUsage(f.ctx, fork.ID)
		require.NoError(f, err)
		require.Zero(f, usage)
	}},
	{"objects that no repository has are unused after a time", func(f *fixture) {
		f.org("acme")
		r := f.create(local("acme", "one"))
		a, b := core.LFSObject{OID: lfsID("a"), Size: 1}, core.LFSObject{OID: lfsID("b"), Size: 2}
		require.NoError(f, f.store.AddLFSObjects(f.ctx, r.ID, []core.LFSObject{a}, day(0)))
		mark := func(now, before time.Duration) []string {
			old, err := f.store.MarkUnusedLFS(f.ctx, []string{a.OID, b.OID}, day(now), day(before))
			require.NoError(f, err)
			return old
		}
		require.Empty(f, mark(0, -time.Hour))
		require.Empty(f, mark(time.Hour, -time.Minute), "seen first at the first time")
		require.Equal(f, []string{b.OID}, mark(2*time.Hour, 0))
		require.NoError(f, f.store.AddLFSObjects(f.ctx, r.ID, []core.LFSObject{b}, day(0)))
		unused, err := f.store.ForgetUnusedLFS(f.ctx, b.OID)
		require.NoError(f, err)
		require.False(f, unused, "it is used again")
		require.Empty(f, mark(3*time.Hour, 3*time.Hour))

		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		require.Empty(f, mark(4*time.Hour, 3*time.Hour))
		require.Equal(f, []string{a.OID, b.OID}, mark(5*time.Hour, 4*time.Hour))
		other := f.create(local("acme", "other"))
		require.NoError(f, f.store.AddLFSObjects(f.ctx, other.ID, []core.LFSObject{a}, day(0)))
		for oid, want := range map[string]bool{a.OID: false, b.OID: true, lfsID("c"): false} {
			unused, err := f.store.ForgetUnusedLFS(f.ctx, oid)
			require.NoError(f, err)
			require.Equal(f, want, unused, oid)
		}
		// A copy of rows takes objects up again, too.
		require.NoError(f, f.store.DeleteRepository(f.ctx, other.ID))
		require.Empty(f, mark(6*time.Hour, 5*time.Hour))
	}},
	{"locks: one for each path, pages, removal", func(f *fixture) {
		f.org("acme")
		r, other := f.create(local("acme", "one")), f.create(local("acme", "other"))
		l := core.LFSLock{ID: "lock_1", RepoID: r.ID, Path: "a/b", Ref: "refs/heads/main", Owner: "ada", LockedAt: day(0)}
		require.NoError(f, f.store.AddLFSLock(f.ctx, l))
		second := l
		second.ID = "lock_2"
		f.kind(core.KindConflict, f.store.AddLFSLock(f.ctx, second))
		second.Path, second.Owner = "c", "bob"
		require.NoError(f, f.store.AddLFSLock(f.ctx, second))
		f.kind(core.KindConflict, f.store.AddLFSLock(f.ctx, core.LFSLock{ID: "lock_2", RepoID: r.ID, Path: "d"}))
		f.kind(core.KindNotFound, f.store.AddLFSLock(f.ctx, core.LFSLock{ID: "x", RepoID: "repo_none", Path: "d"}))
		elsewhere := l
		elsewhere.RepoID = other.ID
		require.NoError(f, f.store.AddLFSLock(f.ctx, elsewhere))
		for _, tt := range []struct {
			filter core.LFSLockFilter
			want   []core.LFSLock
		}{
			{core.LFSLockFilter{RepoID: r.ID, Limit: 10}, []core.LFSLock{l, second}},
			{core.LFSLockFilter{RepoID: r.ID, Limit: 1}, []core.LFSLock{l}},
			{core.LFSLockFilter{RepoID: r.ID, After: "lock_1", Limit: 10}, []core.LFSLock{second}},
			{core.LFSLockFilter{RepoID: r.ID, Path: "c", Limit: 10}, []core.LFSLock{second}},
			{core.LFSLockFilter{RepoID: r.ID, ID: "lock_1", Limit: 10}, []core.LFSLock{l}},
			{core.LFSLockFilter{RepoID: r.ID, NotOwner: "ada", Limit: 10}, []core.LFSLock{second}},
			{core.LFSLockFilter{RepoID: other.ID, NotOwner: "ada", Limit: 10}, nil},
			{core.LFSLockFilter{RepoID: other.ID, Limit: 10}, []core.LFSLock{elsewhere}},
		} {
			got, err := f.store.LFSLocks(f.ctx, tt.filter)
			require.NoError(f, err)
			same(f, tt.want, got)
		}
		_, err := f.store.LFSLocks(f.ctx, core.LFSLockFilter{RepoID: r.ID})
		f.kind(core.KindInvalid, err)
		require.NoError(f, f.store.RemoveLFSLock(f.ctx, r.ID, "lock_1"))
		f.kind(core.KindNotFound, f.store.RemoveLFSLock(f.ctx, r.ID, "lock_1"))
		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		got, err := f.store.LFSLocks(f.ctx, core.LFSLockFilter{RepoID: r.ID, Limit: 10})
		require.NoError(f, err)
		require.Empty(f, got)
	}},
}
