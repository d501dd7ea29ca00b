package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// mirrorSet returns a set of the owner "Group", not stored yet.
func mirrorSet(org string) core.MirrorSet {
	return core.MirrorSet{
		ID: id("mset"), Org: org, Provider: "gitlab", Public: true, Host: "GitLab.example", Owner: "Group", Prefix: "team", Include: []string{"a*", "b/*"},
		Exclude: []string{"*-old"}, Archived: true, Forks: true, CredentialID: "gsc_1", Follow: true, NextLookAt: day(time.Hour),
		CreatedAt: day(0), UpdatedAt: day(0),
	}
}

var mirrorSetTests = []namedTest{
	{"a set is saved, replaced by its owner, and deleted with its entries", func(f *fixture) {
		f.org("acme")
		f.org("other")
		want := mirrorSet("acme")
		got, err := f.store.SaveMirrorSet(f.ctx, want)
		require.NoError(f, err)
		want.Host = "gitlab.example"
		same(f, want, got)
		got, err = f.store.MirrorSet(f.ctx, "acme", want.ID)
		require.NoError(f, err)
		same(f, want, got)
		_, err = f.store.MirrorSet(f.ctx, "other", want.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.SaveMirrorSet(f.ctx, mirrorSet("nobody"))
		f.kind(core.KindNotFound, err)

		// The same owner in other letters is the same set: its wish is replaced, and what
		// was found of it before does not count.
		look := want
		look.LookedAt, look.Failures, look.LastError, look.NextLookAt = day(time.Minute), 2, "the host does not answer", day(2*time.Hour)
		require.NoError(f, f.store.RecordMirrorLook(f.ctx, look))
		got, err = f.store.MirrorSet(f.ctx, "acme", want.ID)
		require.NoError(f, err)
		same(f, look, got)
		again := core.MirrorSet{ID: id("mset"), Org: "acme", Provider: "gitlab", Host: "gitlab.EXAMPLE", Owner: "gROUP", NextLookAt: day(3 * time.Hour), CreatedAt: day(time.Minute), UpdatedAt: day(time.Minute)}
		got, err = f.store.SaveMirrorSet(f.ctx, again)
		require.NoError(f, err)
		again.ID, again.Host, again.Owner, again.CreatedAt = want.ID, want.Host, want.Owner, want.CreatedAt
		require.Empty(f, got.Include)
		require.Empty(f, got.Exclude)
		got.Include, got.Exclude = nil, nil
		same(f, again, got)

		// A look that began before the new wish leaves the time of the next look alone.
		require.NoError(f, f.store.RecordMirrorLook(f.ctx, look))
		got, err = f.store.MirrorSet(f.ctx, "acme", want.ID)
		require.NoError(f, err)
		require.Equal(f, again.NextLookAt, got.NextLookAt)
		require.Equal(f, 2, got.Failures)

		e := core.MirrorEntry{SetID: want.ID, UpstreamID: "7", Path: "Group/app", Name: "team/app", Action: core.MirrorCreate, SeenAt: day(0)}
		require.NoError(f, f.store.SaveMirrorEntry(f.ctx, e))
		f.kind(core.KindNotFound, f.store.DeleteMirrorSet(f.ctx, "other", want.ID))
		require.NoError(f, f.store.DeleteMirrorSet(f.ctx, "acme", want.ID))
		f.kind(core.KindNotFound, f.store.DeleteMirrorSet(f.ctx, "acme", want.ID))
		f.kind(core.KindNotFound, f.store.RecordMirrorLook(f.ctx, look))
		f.kind(core.KindNotFound, f.store.SaveMirrorEntry(f.ctx, e))
		entries, err := f.store.MirrorEntries(f.ctx, want.ID)
		require.NoError(f, err)
		require.Empty(f, entries)
	}},
	{"which are due, and when the next one is", func(f *fixture) {
		f.org("acme")
		f.org("other")
		next, err := f.store.NextMirrorLook(f.ctx)
		require.NoError(f, err)
		require.True(f, next.IsZero())
		for i, s := range []struct {
			org, owner string
			at         time.Time
		}{{"acme", "late", day(2 * time.Hour)}, {"other", "early", day(time.Hour)}, {"acme", "never", time.Time{}}} {
			set := mirrorSet(s.org)
			set.ID, set.Owner, set.NextLookAt = fmt.Sprint("mset_", i), s.owner, s.at
			_, err := f.store.SaveMirrorSet(f.ctx, set)
			require.NoError(f, err)
		}
		next, err = f.store.NextMirrorLook(f.ctx)
		require.NoError(f, err)
		require.Equal(f, day(time.Hour), next)
		for at, want := range map[time.Duration][]string{0: {}, time.Hour: {"early"}, 3 * time.Hour: {"early", "late"}} {
			due, err := f.store.DueMirrorSets(f.ctx, day(at))
			require.NoError(f, err)
			owners := []string{}
			for _, s := range due {
				owners = append(owners, s.Owner)
			}
			require.Equal(f, want, owners, at)
		}
		all, err := f.store.MirrorSets(f.ctx, "acme")
		require.NoError(f, err)
		require.Len(f, all, 2)
		require.Equal(f, []string{"late", "never"}, []string{all[0].Owner, all[1].Owner})
	}},
	{"entries say how their repository is", func(f *fixture) {
		r := f.synced()
		set, err := f.store.SaveMirrorSet(f.ctx, mirrorSet("acme"))
		require.NoError(f, err)
		e := core.MirrorEntry{SetID: set.ID, UpstreamID: "2", Path: "Group/tool", Name: "tool", RepoID: r.ID, Action: core.MirrorCreate, SeenAt: day(0)}
		missing := core.MirrorEntry{SetID: set.ID, UpstreamID: "1", Path: "Group/app", Name: "app", Action: core.MirrorConflict, Reason: "the name is taken", SeenAt: day(0), GoneAt: day(time.Minute)}
		for _, e := range []core.MirrorEntry{e, missing} {
			require.NoError(f, f.store.SaveMirrorEntry(f.ctx, e))
		}
		entries := func() []core.MirrorEntry {
			f.Helper()
			all, err := f.store.MirrorEntries(f.ctx, set.ID)
			require.NoError(f, err)
			return all
		}
		e.Exists = true
		same(f, []core.MirrorEntry{missing, e}, entries())

		s := f.take(r.ID)
		s.FirstSyncedAt, s.Failures, s.LastClass, s.LastError = day(0), 3, core.ClassAuth, "the host refuses the credential"
		f.save(s)
		e.Action, e.Reason, e.Path, e.SeenAt = core.MirrorMove, "it was Group/tool", "Group/x-tool", day(time.Hour)
		require.NoError(f, f.store.SaveMirrorEntry(f.ctx, e))
		e.Ready, e.Failures, e.LastClass, e.LastError = true, 3, s.LastClass, s.LastError
		same(f, []core.MirrorEntry{missing, e}, entries())

		require.NoError(f, f.store.TrashRepository(f.ctx, r.ID, day(0), day(time.Hour)))
		require.False(f, entries()[1].Exists, "what is in the trash is not here")
	}},
}

// sharedCredential returns one for "group" at the host of [synced], not stored yet.
func sharedCredential(name string) core.SharedCredential {
	return core.SharedCredential{
		ID: id("gsc"), Org: "acme", Name: name, Provider: "gitlab", Instance: "work", Host: "gitlab.example", Owner: "Group", Username: "robot",
		Secret: "s3cret", ExpiresAt: day(24 * time.Hour), CheckedAt: day(0), CreatedAt: day(0), UpdatedAt: day(0),
	}
}

var sharedCredentialTests = []namedTest{
	{"it is found by its name and its id, in its organisation alone", func(f *fixture) {
		f.org("acme")
		f.org("other")
		want := sharedCredential("all")
		want.Host = "GitLab.example"
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, want))
		want.Host = "gitlab.example"
		for _, word := range []string{"all", want.ID} {
			got, err := f.store.SharedCredential(f.ctx, "acme", word)
			require.NoError(f, err)
			same(f, want, got)
			_, err = f.store.SharedCredential(f.ctx, "other", word)
			f.kind(core.KindNotFound, err)
		}
		taken := sharedCredential("all")
		f.kind(core.KindConflict, f.store.CreateSharedCredential(f.ctx, taken))
		taken.Org = "nobody"
		f.kind(core.KindNotFound, f.store.CreateSharedCredential(f.ctx, taken))
		theirs := sharedCredential("all")
		theirs.Org = "other"
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, theirs))
		first := sharedCredential("a-first")
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, first))
		for org, want := range map[string][]core.SharedCredential{"acme": {first, want}, "other": {theirs}, "": {first, want, theirs}, "nobody": {}} {
			got, err := f.store.SharedCredentials(f.ctx, org)
			require.NoError(f, err)
			same(f, want, got)
		}
	}},
	{"a rotation keeps what was before until its overlap ends", func(f *fixture) {
		f.org("acme")
		c := sharedCredential("all")
		f.kind(core.KindNotFound, f.store.UpdateSharedCredential(f.ctx, c))
		f.kind(core.KindNotFound, f.store.RecordCredentialCheck(f.ctx, c.ID, day(0), day(0), ""))
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, c))
		read := func() core.SharedCredential {
			f.Helper()
			got, err := f.store.SharedCredential(f.ctx, "acme", "all")
			require.NoError(f, err)
			return got
		}
		// Stores compare with their own clock, so the end is far from now on either side.
		c.Username, c.Secret, c.UpdatedAt = "robot-2", "n3xt", day(time.Minute)
		c.Previous = &core.PreviousCredential{Username: "robot", Secret: "s3cret", Until: day(0).AddDate(500, 0, 0)}
		require.NoError(f, f.store.UpdateSharedCredential(f.ctx, c))
		same(f, c, read())
		c.Previous.Until = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
		require.NoError(f, f.store.UpdateSharedCredential(f.ctx, c))
		c.Previous = nil
		same(f, c, read())

		require.NoError(f, f.store.RecordCredentialCheck(f.ctx, c.ID, day(time.Hour), day(time.Second), "the host says no"))
		c.ExpiresAt, c.CheckedAt, c.CheckError = day(time.Hour), day(time.Second), "the host says no"
		same(f, c, read())
		require.NoError(f, f.store.RecordCredentialCheck(f.ctx, c.ID, time.Time{}, day(time.Minute), ""))
		c.ExpiresAt, c.CheckedAt, c.CheckError = time.Time{}, day(time.Minute), ""
		same(f, c, read())
	}},
	{"repositories use it where it may be sent, and nowhere else", func(f *fixture) {
		r := f.synced()
		elsewhere := synced("acme", "elsewhere")
		elsewhere.Upstream.Mode, elsewhere.Upstream.Owner = "generic", "other"
		f.create(elsewhere)
		below := synced("acme", "below")
		below.Upstream.Mode = "generic"
		f.create(below)
		c, second := sharedCredential("all"), sharedCredential("second")
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, c))
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, second))

		f.kind(core.KindNotFound, f.store.UnassignSharedCredential(f.ctx, below.ID))
		f.kind(core.KindNotFound, f.store.AssignSharedCredential(f.ctx, "repo_none", c.ID, day(0)))
		f.kind(core.KindNotFound, f.store.AssignSharedCredential(f.ctx, below.ID, "gsc_none", day(0)))
		_, err := f.store.SharedCredentialOf(f.ctx, below.ID)
		f.kind(core.KindNotFound, err)
		for _, id := range []string{below.ID, elsewhere.ID} {
			require.NoError(f, f.store.AssignSharedCredential(f.ctx, id, c.ID, day(0)))
		}
		used, err := f.store.CredentialByRepo(f.ctx, below.ID)
		require.NoError(f, err)
		require.Equal(f, c.Secret, used.Secret)
		require.Equal(f, "all", used.Shared)
		_, err = f.store.CredentialByRepo(f.ctx, elsewhere.ID)
		f.kind(core.KindNotFound, err)
		got, err := f.store.SharedCredentialOf(f.ctx, elsewhere.ID)
		require.NoError(f, err, "it uses the credential all the same")
		require.Equal(f, 2, got.UsedByCount)
		require.Empty(f, got.Secret)
		with, err := f.store.RepositoriesWith(f.ctx, c.ID)
		require.NoError(f, err)
		require.Len(f, with, 2)

		// Another one takes its place; one of its own does not.
		require.NoError(f, f.store.AssignSharedCredential(f.ctx, below.ID, second.ID, day(time.Minute)))
		got, err = f.store.SharedCredentialOf(f.ctx, below.ID)
		require.NoError(f, err)
		require.Equal(f, "second", got.Name)
		require.NoError(f, f.store.CreateCredential(f.ctx, core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "own"}))
		f.kind(core.KindConflict, f.store.AssignSharedCredential(f.ctx, r.ID, c.ID, day(0)))
		f.kind(core.KindConflict, f.store.DeleteSharedCredential(f.ctx, second.ID))
		require.NoError(f, f.store.UnassignSharedCredential(f.ctx, below.ID))
		require.NoError(f, f.store.DeleteSharedCredential(f.ctx, second.ID))
		f.kind(core.KindNotFound, f.store.DeleteSharedCredential(f.ctx, second.ID))
	}},
}

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

var publicReadTests = []namedTest{
	{"who has a name, or had it, in any organisation", func(f *fixture) {
		mine := f.synced()
		f.org("other")
		theirs := f.create(local("other", mine.Name))
		find := func(name string, want ...string) {
			f.Helper()
			all, err := f.store.RepositoriesOfAnyOrg(f.ctx, name, 10)
			require.NoError(f, err)
			ids := []string{}
			for _, r := range all {
				ids = append(ids, r.ID)
			}
			require.ElementsMatch(f, want, ids)
		}
		find(mine.Name, mine.ID, theirs.ID)
		find("nothing")
		one, err := f.store.RepositoriesOfAnyOrg(f.ctx, mine.Name, 1)
		require.NoError(f, err)
		require.Len(f, one, 1)
		_, err = f.store.RepositoriesOfAnyOrg(f.ctx, mine.Name, 0)
		f.kind(core.KindInvalid, err)
		require.NoError(f, f.store.RenameRepository(f.ctx, theirs.ID, "another", day(0)))
		find(mine.Name, mine.ID, theirs.ID)
		find("another", theirs.ID)
		require.NoError(f, f.store.TrashRepository(f.ctx, theirs.ID, day(0), day(time.Hour)))
		find(mine.Name, mine.ID)
		find("another")
	}},
	{"who may read an upstream is known until the link leads to another one", func(f *fixture) {
		r := f.synced()
		plain := f.create(local("acme", "plain"))
		want := func(v core.Visibility) {
			f.Helper()
			got, err := f.store.Visibility(f.ctx, r.ID)
			require.NoError(f, err)
			require.Equal(f, v, got)
		}
		want(core.VisibilityUnknown)
		for _, again := range []bool{true, false} {
			changed, err := f.store.SetVisibility(f.ctx, r.ID, core.VisibilityPublic)
			require.NoError(f, err)
			require.Equal(f, again, changed)
		}
		require.NoError(f, f.store.SetUpstreamID(f.ctx, r.ID, "7"))
		up := *r.Upstream
		up.ID, up.Name = "7", "renamed"
		require.NoError(f, f.store.MoveUpstream(f.ctx, r.ID, up))
		want(core.VisibilityPublic)
		up.ID = "8"
		require.NoError(f, f.store.MoveUpstream(f.ctx, r.ID, up))
		want(core.VisibilityUnknown)
		_, err := f.store.Visibility(f.ctx, plain.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.SetVisibility(f.ctx, plain.ID, core.VisibilityPublic)
		f.kind(core.KindNotFound, err)
	}},
}
