package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// pendingLFS is an object that is to be fetched.
func pendingLFS(digit string, size int64) core.LFSPending {
	return core.LFSPending{LFSObject: core.LFSObject{OID: lfsID(digit), Size: size}, Path: "a/" + digit}
}

var lfsMirrorTests = []namedTest{
	{"pending objects: find, try, miss, fetch, and the sums", func(f *fixture) {
		f.org("acme")
		r := f.create(synced("acme", "one"))
		a, b, c := pendingLFS("a", 10), pendingLFS("b", 20), pendingLFS("c", 40)
		empty, err := f.store.LFSBacklog(f.ctx, r.ID)
		require.NoError(f, err)
		require.Zero(f, empty)
		_, err = f.store.AddLFSPending(f.ctx, "repo_none", []core.LFSPending{a}, day(0))
		f.kind(core.KindNotFound, err)
		require.NoError(f, f.store.AddLFSObjects(f.ctx, r.ID, []core.LFSObject{c.LFSObject}, day(0)))
		n, err := f.store.AddLFSPending(f.ctx, r.ID, []core.LFSPending{b, a, c, a}, day(0))
		require.NoError(f, err)
		require.Equal(f, 2, n, "one is here, one was named twice")
		n, err = f.store.AddLFSPending(f.ctx, r.ID, []core.LFSPending{a}, day(time.Minute))
		require.NoError(f, err)
		require.Zero(f, n)
		a.FoundAt, b.FoundAt = day(0), day(0)
		sum, err := f.store.LFSBacklog(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, core.LFSBacklog{Objects: 2, Bytes: 30, OldestAt: day(0), RoundAt: day(0), RoundObjects: 2, RoundBytes: 30}, sum)

		a.Attempts, a.NextAt, a.Missing, a.Class, a.Error = 1, day(time.Hour), true, core.ClassNotFound, "it is gone"
		require.NoError(f, f.store.SaveLFSPending(f.ctx, r.ID, []core.LFSPending{a}))
		due := func(at time.Duration) []core.LFSPending {
			all, err := f.store.DueLFSPending(f.ctx, r.ID, day(at), 10)
			require.NoError(f, err)
			return all
		}
		same(f, []core.LFSPending{b}, due(0))
		same(f, []core.LFSPending{b, a}, due(time.Hour))
		tried, err := f.store.PendingLFS(f.ctx, r.ID, true, "", 10)
		require.NoError(f, err)
		same(f, []core.LFSPending{a}, tried)
		all, err := f.store.PendingLFS(f.ctx, r.ID, false, a.OID, 10)
		require.NoError(f, err)
		same(f, []core.LFSPending{b}, all)
		found, err := f.store.PendingLFSOf(f.ctx, r.ID, []string{a.OID, c.OID})
		require.NoError(f, err)
		same(f, []core.LFSPending{a}, found)
		_, err = f.store.DueLFSPending(f.ctx, r.ID, day(0), 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.PendingLFS(f.ctx, r.ID, false, "", 0)
		f.kind(core.KindInvalid, err)

		require.NoError(f, f.store.AddLFSObjects(f.ctx, r.ID, []core.LFSObject{b.LFSObject}, day(0)))
		sum, err = f.store.LFSBacklog(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, core.LFSBacklog{Missing: 1, NextAt: day(time.Hour), RoundAt: day(0), RoundObjects: 2, RoundBytes: 30}, sum)
		require.NoError(f, f.store.EndLFSRound(f.ctx, r.ID))
		f.kind(core.KindNotFound, f.store.EndLFSRound(f.ctx, r.ID))
		require.NoError(f, f.store.HurryLFSPending(f.ctx, r.ID))
		a.NextAt = time.Time{}
		same(f, []core.LFSPending{a}, due(0))

		// The next round has its own sums.
		d := pendingLFS("d", 5)
		n, err = f.store.AddLFSPending(f.ctx, r.ID, []core.LFSPending{d}, day(2*time.Hour))
		require.NoError(f, err)
		require.Equal(f, 1, n)
		sum, err = f.store.LFSBacklog(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, core.LFSBacklog{Objects: 1, Bytes: 5, Missing: 1, OldestAt: day(2 * time.Hour), RoundAt: day(2 * time.Hour), RoundObjects: 1, RoundBytes: 5}, sum)
		require.NoError(f, f.store.ClearLFSMirror(f.ctx, r.ID))
		sum, err = f.store.LFSBacklog(f.ctx, r.ID)
		require.NoError(f, err)
		require.Zero(f, sum)
		require.Empty(f, due(time.Hour))
	}},
	{"scanned tips, and who mirrors", func(f *fixture) {
		f.org("acme")
		r, other := f.create(synced("acme", "one")), f.create(synced("acme", "two"))
		one, two := core.ObjectID(lfsID("1")[:40]), core.ObjectID(lfsID("2")[:40])
		f.kind(core.KindNotFound, f.store.EndLFSScan(f.ctx, "repo_none", []core.ObjectID{one}, nil, day(0)))
		require.NoError(f, f.store.EndLFSScan(f.ctx, r.ID, []core.ObjectID{two, one}, nil, day(0)))
		require.NoError(f, f.store.EndLFSScan(f.ctx, r.ID, []core.ObjectID{one}, []core.ObjectID{two}, day(time.Hour)))
		tips, err := f.store.LFSTips(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, []core.ObjectID{one}, tips)
		sum, err := f.store.LFSBacklog(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, core.LFSBacklog{ScannedAt: day(time.Hour)}, sum)

		require.NoError(f, f.store.SaveSettings(f.ctx, other.ID, core.Settings{LFS: core.LFSMirror}))
		require.NoError(f, f.store.SaveSettings(f.ctx, r.ID, core.Settings{LFS: core.LFSOff}))
		ids, err := f.store.LFSMirrors(f.ctx, "", 10)
		require.NoError(f, err)
		require.Equal(f, []string{other.ID}, ids)
		ids, err = f.store.LFSMirrors(f.ctx, other.ID, 10)
		require.NoError(f, err)
		require.Empty(f, ids)
		_, err = f.store.LFSMirrors(f.ctx, "", 0)
		f.kind(core.KindInvalid, err)
	}},
}
