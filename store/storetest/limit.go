package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var limitTests = []namedTest{
	{"limits of an organisation", func(f *fixture) {
		f.org("acme")
		f.org("other")
		want := core.OrgLimits{Repositories: 3, DiskBytes: 1 << 40, Requests: 20, TokenRequests: 5}
		require.NoError(f, f.store.SetOrgLimits(f.ctx, "acme", want))
		for org, want := range map[string]core.OrgLimits{"acme": want, "other": {}} {
			got, err := f.store.OrgLimits(f.ctx, org)
			require.NoError(f, err)
			same(f, want, got)
		}
		f.kind(core.KindNotFound, f.store.SetOrgLimits(f.ctx, "nobody", want))
		_, err := f.store.OrgLimits(f.ctx, "nobody")
		f.kind(core.KindNotFound, err)
		require.Equal(f, core.KindInvalid, core.KindOf(f.store.SetOrgLimits(f.ctx, "acme", core.OrgLimits{DiskBytes: -1})))
		require.NoError(f, f.store.SetOrgLimits(f.ctx, "acme", core.OrgLimits{}))
		got, err := f.store.OrgLimits(f.ctx, "acme")
		require.NoError(f, err)
		same(f, core.OrgLimits{}, got)
	}},
	{"what an organisation uses", func(f *fixture) {
		r := f.synced()
		f.org("other")
		require.NoError(f, f.store.SetDiskSize(f.ctx, r.ID, 100, day(0)))
		second := f.create(local("acme", "second"))
		require.NoError(f, f.store.SetDiskSize(f.ctx, second.ID, 23, day(0)))
		f.kind(core.KindNotFound, f.store.SetDiskSize(f.ctx, "repo_none", 1, day(0)))
		for org, want := range map[string]core.OrgUsage{"acme": {Repositories: 2, DiskBytes: 123}, "other": {}, "nobody": {}} {
			got, err := f.store.OrgUsage(f.ctx, org)
			require.NoError(f, err)
			same(f, want, got)
		}
	}},
	{"syncs that were too large are due when the limit is raised, others are not", func(f *fixture) {
		large := f.synced()
		auth := f.create(synced("acme", "auth"))
		f.org("other")
		theirs := f.create(synced("other", "large"))
		for id, class := range map[string]core.ErrorClass{large.ID: core.ClassTooLarge, auth.ID: core.ClassAuth, theirs.ID: core.ClassTooLarge} {
			f.request(id, "")
			s := f.take(id)
			s.Failures, s.LastClass, s.LastError, s.NextAttemptAt = 1, class, "no", day(time.Hour)
			f.save(s)
		}
		due, err := f.store.RetryTooLarge(f.ctx, "acme")
		require.NoError(f, err)
		require.Equal(f, []string{large.ID}, due)
		require.True(f, f.sync(large.ID).NextAttemptAt.IsZero())
		require.Equal(f, day(time.Hour), f.sync(auth.ID).NextAttemptAt)
		require.Equal(f, day(time.Hour), f.sync(theirs.ID).NextAttemptAt)
	}},
	{"the read-only mode is seen by every process", func(f *fixture) {
		got, err := f.store.ReadOnly(f.ctx)
		require.NoError(f, err)
		require.False(f, got.On())
		for _, want := range []core.ReadOnlyMode{{Since: day(0), Reason: "a new disk"}, {Since: day(time.Minute)}, {}} {
			require.NoError(f, f.store.SetReadOnly(f.ctx, want))
			got, err := f.open(f.T).ReadOnly(f.ctx)
			require.NoError(f, err)
			same(f, want, got)
		}
	}},
}
