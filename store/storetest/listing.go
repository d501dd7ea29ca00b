package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var listingTests = []namedTest{
	{"filters", func(f *fixture) {
		at := f.listed()
		for name, c := range map[string]struct {
			filter core.RepositoryFilter
			want   []string
		}{
			"all":              {core.RepositoryFilter{}, []string{"pending", "paused", "held", "failing", "fresh", "Local_1"}},
			"name":             {core.RepositoryFilter{Query: "AIL"}, []string{"failing"}},
			"no pattern":       {core.RepositoryFilter{Query: "l_"}, []string{"Local_1"}},
			"provider":         {core.RepositoryFilter{Provider: "gitea"}, []string{"failing"}},
			"instance":         {core.RepositoryFilter{Provider: "home"}, []string{"failing"}},
			"host in any case": {core.RepositoryFilter{Host: "Git.Example"}, []string{"failing"}},
			"class":            {core.RepositoryFilter{Class: core.ClassAuth}, []string{"failing"}},
			"no such class":    {core.RepositoryFilter{Class: core.ClassNetwork}, []string{}},
			"local":            {core.RepositoryFilter{State: core.RepositoryLocal}, []string{"Local_1"}},
			"failing":          {core.RepositoryFilter{State: core.RepositoryFailing}, []string{"failing"}},
			"held":             {core.RepositoryFilter{State: core.RepositoryHeld}, []string{"held"}},
			"paused":           {core.RepositoryFilter{State: core.RepositoryPaused}, []string{"paused"}},
			"pending":          {core.RepositoryFilter{State: core.RepositoryPending}, []string{"pending", "paused"}},
			"another state":    {core.RepositoryFilter{State: core.RepositorySyncing}, []string{"pending", "paused", "held", "failing", "fresh"}},
			"two":              {core.RepositoryFilter{State: core.RepositoryFailing, Host: "gitlab.example"}, []string{}},
			"by name":          {core.RepositoryFilter{Sort: core.SortName}, []string{"Local_1", "failing", "fresh", "held", "paused", "pending"}},
			"by size":          {core.RepositoryFilter{Sort: core.SortSize}, []string{"fresh", "held", "pending", "paused", "failing", "Local_1"}},
			"by last change":   {core.RepositoryFilter{Sort: core.SortLastChange}, []string{"Local_1", "pending", "paused", "held", "failing", "fresh"}},
			"by lag":           {core.RepositoryFilter{Sort: core.SortLag}, []string{"pending", "paused", "failing", "held", "fresh", "Local_1"}},
		} {
			c.filter.Org, c.filter.Limit = "acme", 100
			require.Equal(f, c.want, f.names(c.filter), name)
			// The same in pages of one.
			got := []string{}
			for c.filter.Limit = 1; ; {
				page, err := f.store.Repositories(f.ctx, c.filter)
				require.NoError(f, err)
				if len(page) == 0 {
					break
				}
				got = append(got, page[0].Name)
				c.filter.Before, c.filter.AfterKey = page[0].ID, page[0].Key
			}
			require.Equal(f, c.want, got, "%s, in pages", name)
		}
		require.Equal(f, []string{"theirs"}, f.names(core.RepositoryFilter{Org: "other", Limit: 10}))

		_, err := f.store.Repositories(f.ctx, core.RepositoryFilter{Org: "acme"})
		f.kind(core.KindInvalid, err)
		for _, bad := range []core.RepositoryFilter{{Sort: "beauty"}, {Sort: core.SortSize, Before: at["fresh"], AfterKey: "much"}} {
			bad.Org, bad.Limit = "acme", 10
			_, err := f.store.Repositories(f.ctx, bad)
			require.Equal(f, core.KindInvalid, core.KindOf(err), "%+v", bad)
		}
	}},
	{"pausing keeps its first time", func(f *fixture) {
		r := f.synced()
		there := f.create(local("acme", "local"))
		_, err := f.store.SetPaused(f.ctx, there.ID, day(0))
		f.kind(core.KindNotFound, err)
		for _, step := range []struct {
			at, want time.Time
			changed  bool
		}{{time.Time{}, time.Time{}, false}, {day(0), day(0), true}, {day(time.Hour), day(0), false}, {time.Time{}, time.Time{}, true}} {
			changed, err := f.store.SetPaused(f.ctx, r.ID, step.at)
			require.NoError(f, err)
			require.Equal(f, step.changed, changed)
			require.Equal(f, step.want, f.sync(r.ID).PausedAt)
		}
	}},
}

// listed makes a repository of each state, named after it, and returns their ids. Each is
// made a minute after the one before it.
func (f *fixture) listed() map[string]string {
	f.Helper()
	f.org("acme")
	f.org("other")
	f.create(synced("other", "theirs"))
	ids := map[string]string{}
	for i, name := range []string{"Local_1", "fresh", "failing", "held", "paused", "pending"} {
		r := synced("acme", name)
		r.CreatedAt = day(time.Duration(i) * time.Minute)
		r.ID = core.NewID("repo", r.CreatedAt)
		ids[name] = r.ID
		if name == "failing" {
			r.Upstream.Provider, r.Upstream.Instance, r.Upstream.Host = "gitea", "home", "git.example"
		}
		if name == "Local_1" {
			r.Upstream, r.CreatedAt = nil, day(time.Hour)
		}
		f.create(r)
		if i > 0 {
			require.NoError(f, f.store.SetDiskSize(f.ctx, r.ID, map[string]int64{"fresh": 900, "held": 800}[name], day(0)))
		}
		switch name {
		case "fresh", "failing", "held":
			f.request(r.ID, "")
			s := f.take(r.ID)
			s.FirstSyncedAt = day(0)
			s.ObservedAt = day(map[string]time.Duration{"fresh": time.Hour, "failing": time.Minute, "held": 2 * time.Minute}[name])
			if name == "failing" {
				s.Failures, s.LastClass, s.LastError = 1, core.ClassAuth, "no"
			}
			if name == "held" {
				s.BrakeDigest = "d1"
			}
			f.save(s)
		case "paused":
			_, err := f.store.SetPaused(f.ctx, r.ID, day(0))
			require.NoError(f, err)
		}
	}
	return ids
}

// names lists the names of what a filter leaves.
func (f *fixture) names(filter core.RepositoryFilter) []string {
	f.Helper()
	all, err := f.store.Repositories(f.ctx, filter)
	require.NoError(f, err)
	names := []string{}
	for _, r := range all {
		names = append(names, r.Name)
	}
	return names
}
