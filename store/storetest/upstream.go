package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var pollTests = []namedTest{
	{"due polls, the next one, and those without", func(f *fixture) {
		f.org("acme")
		f.create(local("acme", "local"))
		add := func(name string, at time.Time) string {
			r := f.create(synced("acme", name))
			require.NoError(f, f.store.SetPoll(f.ctx, r.ID, at))
			return r.ID
		}
		none := add("none", time.Time{})
		exactly, past := add("now", day(0)), add("past", day(-time.Hour))
		soon, later := add("soon", day(time.Microsecond)), add("later", day(time.Hour))
		busy := add("has work", day(-2*time.Hour))
		alsoNone := add("none either", time.Time{})
		f.request(busy, "")

		for limit, want := range map[int][]string{10: {past, exactly}, 1: {past}} {
			due, err := f.store.DuePolls(f.ctx, day(0), limit)
			require.NoError(f, err)
			require.Equal(f, want, dueIDs(due))
		}
		for after, want := range map[time.Time]time.Time{
			day(-3 * time.Hour): day(-time.Hour), day(0): day(time.Microsecond), day(time.Minute): day(time.Hour), day(time.Hour): {},
		} {
			next, err := f.store.NextPollAt(f.ctx, after)
			require.NoError(f, err)
			require.Equal(f, want, next)
		}
		for after, want := range map[string][]string{"": {none, alsoNone}, none: {alsoNone}, alsoNone: nil} {
			got, err := f.store.UnpolledRepositories(f.ctx, after, 10)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
		got, err := f.store.UnpolledRepositories(f.ctx, "", 1)
		require.NoError(f, err)
		require.Equal(f, []string{none}, got)

		taken := f.take(busy)
		taken.Served = taken.Wanted
		f.save(taken)
		due, err := f.store.DuePolls(f.ctx, day(0), 10)
		require.NoError(f, err)
		require.Equal(f, []string{busy, past, exactly}, dueIDs(due))
		require.Equal(f, day(-time.Hour), due[1].At)
		require.Equal(f, day(time.Hour), f.sync(later).PollAt)
		require.NoError(f, f.store.SetPoll(f.ctx, soon, time.Time{}))
		require.Zero(f, f.sync(soon).PollAt)
	}},
	{"a look never takes the observation back", func(f *fixture) {
		r := f.synced()
		for _, tt := range []struct{ observed, poll, want time.Time }{
			{day(time.Minute), day(time.Hour), day(time.Minute)},
			{day(time.Second), day(2 * time.Hour), day(time.Minute)},
			{day(time.Hour), time.Time{}, day(time.Hour)},
		} {
			require.NoError(f, f.store.Observed(f.ctx, r.ID, tt.observed, tt.poll))
			same(f, core.SyncState{RepoID: r.ID, ObservedAt: tt.want, PollAt: tt.poll}, f.sync(r.ID))
		}
		// But for what turns out to have been a stranger's.
		require.NoError(f, f.store.Unobserve(f.ctx, r.ID, day(2*time.Hour)))
		require.Equal(f, day(time.Hour), f.sync(r.ID).ObservedAt)
		require.NoError(f, f.store.Unobserve(f.ctx, r.ID, day(time.Minute)))
		require.Equal(f, day(time.Minute), f.sync(r.ID).ObservedAt)
	}},
	{"errors", func(f *fixture) {
		f.org("acme")
		r := f.create(local("acme", "local"))
		for _, repoID := range []string{r.ID, "repo_none"} {
			f.kind(core.KindNotFound, f.store.SetPoll(f.ctx, repoID, day(0)))
			f.kind(core.KindNotFound, f.store.Observed(f.ctx, repoID, day(0), day(0)))
			f.kind(core.KindNotFound, f.store.Unobserve(f.ctx, repoID, day(0)))
		}
		_, err := f.store.DuePolls(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.UnpolledRepositories(f.ctx, "", 0)
		f.kind(core.KindInvalid, err)
	}},
}

var upstreamTests = []namedTest{
	{"attach makes a local repository synced, with a fresh state", func(f *fixture) {
		f.org("acme")
		want := f.create(local("acme", "tool"))
		want.Upstream = synced("acme", "").Upstream
		require.NoError(f, f.store.AttachUpstream(f.ctx, want.ID, *want.Upstream))
		got, err := f.store.RepositoryByID(f.ctx, want.ID)
		require.NoError(f, err)
		same(f, want, got)
		same(f, core.SyncState{RepoID: want.ID}, f.sync(want.ID))
		f.kind(core.KindConflict, f.store.AttachUpstream(f.ctx, want.ID, *want.Upstream))

		f.request(want.ID, "")
		require.NoError(f, f.store.DetachUpstream(f.ctx, want.ID))
		require.NoError(f, f.store.AttachUpstream(f.ctx, want.ID, *want.Upstream))
		same(f, core.SyncState{RepoID: want.ID}, f.sync(want.ID))
	}},
	{"move replaces the link and keeps the state", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, inbound(r)))
		*r.Upstream = core.Upstream{
			Provider: "github", Instance: "public", Mode: "app", Host: "github.example", Owner: "Acme", Name: "Renamed", ID: "7",
			URL: "https://github.example/Acme/Renamed.git", DefaultBranch: "next",
		}
		require.NoError(f, f.store.MoveUpstream(f.ctx, r.ID, *r.Upstream))
		got, err := f.store.RepositoryByID(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, r, got)
		require.Equal(f, int64(1), f.sync(r.ID).Wanted)
		_, err = f.store.InboundWebhook(f.ctx, r.ID)
		require.NoError(f, err)
		found, err := f.store.RepositoriesOf(f.ctx, "public", "github.example", "", "acme/renamed")
		require.NoError(f, err)
		same(f, []core.Repository{r}, found)
	}},
	{"the state changes once", func(f *fixture) {
		r := f.synced()
		for _, tt := range []struct {
			state   core.UpstreamState
			since   time.Time
			changed bool
			want    time.Time
		}{
			{core.UpstreamActive, day(0), false, time.Time{}},
			{core.UpstreamDeleted, day(time.Minute), true, day(time.Minute)},
			{core.UpstreamDeleted, day(time.Hour), false, day(time.Minute)},
			{core.UpstreamActive, day(2 * time.Hour), true, day(2 * time.Hour)},
		} {
			changed, err := f.store.SetUpstreamState(f.ctx, r.ID, tt.state, tt.since)
			require.NoError(f, err)
			require.Equal(f, tt.changed, changed)
			same(f, core.SyncState{RepoID: r.ID, UpstreamState: tt.state, UpstreamSince: tt.want}, f.sync(r.ID))
		}
	}},
	{"found by id, by path in whatever case, and by owner", func(f *fixture) {
		f.org("acme")
		f.org("other")
		f.create(local("acme", "local"))
		add := func(org, name string, change func(u *core.Upstream)) string {
			r := synced(org, name)
			change(r.Upstream)
			f.create(r)
			return name
		}
		place := func(owner, name, id string) func(u *core.Upstream) {
			return func(u *core.Upstream) { u.Owner, u.Name, u.ID = owner, name, id }
		}
		tool := add("acme", "tool", place("Group/Sub", "Tool", "7"))
		theirs := add("other", "theirs", place("group/sub", "tool", "7"))
		add("acme", "other host", func(u *core.Upstream) { place("group/sub", "tool", "7")(u); u.Host = "Mirror.example:8443" })
		add("acme", "other instance", func(u *core.Upstream) { place("group/sub", "tool", "7")(u); u.Instance = "home" })
		add("acme", "neighbour", place("group/sub-2", "tool", "8"))
		add("acme", "sibling", place("group", "sub", ""))
		add("acme", "no owner", place("", "group", ""))

		check := func(got []core.Repository, err error) func(want ...string) {
			return func(want ...string) {
				f.Helper()
				require.NoError(f, err)
				var names []string
				for _, r := range got {
					require.NotNil(f, r.Upstream)
					names = append(names, r.Name)
				}
				require.Equal(f, want, names)
			}
		}
		const host = "gitlab.example"
		check(f.store.RepositoriesOf(f.ctx, "work", host, "7", "ignored"))(tool, theirs)
		check(f.store.RepositoriesOf(f.ctx, "work", "", "7", ""))(tool, theirs, "other host")
		check(f.store.RepositoriesOf(f.ctx, "work", "mirror.EXAMPLE:8443", "7", ""))("other host")
		check(f.store.RepositoriesOf(f.ctx, "home", "", "7", ""))("other instance")
		check(f.store.RepositoriesOf(f.ctx, "work", host, "", "GROUP/sub/TOOL"))(tool, theirs)
		check(f.store.RepositoriesOf(f.ctx, "work", "", "", "/group/sub/tool/"))(tool, theirs, "other host")
		check(f.store.RepositoriesOf(f.ctx, "work", "", "", "group"))("no owner")
		check(f.store.RepositoriesOf(f.ctx, "work", host, "9", "group/sub/tool"))()
		check(f.store.RepositoriesOf(f.ctx, "work", host, "", "group/%/tool"))()
		check(f.store.RepositoriesOf(f.ctx, "work", "none.example", "", "group/sub/tool"))()
		check(f.store.RepositoriesUnder(f.ctx, "work", host, "group/SUB"))(tool, theirs)
		check(f.store.RepositoriesUnder(f.ctx, "work", host, "Group"))(tool, theirs, "neighbour", "sibling")
		check(f.store.RepositoriesUnder(f.ctx, "work", "", "group/sub"))(tool, theirs, "other host")
		check(f.store.RepositoriesUnder(f.ctx, "work", host, "gro"))()
		check(f.store.RepositoriesUnder(f.ctx, "work", host, ""))()
	}},
	{"errors", func(f *fixture) {
		f.org("acme")
		r := f.create(local("acme", "local"))
		up := *synced("acme", "").Upstream
		f.kind(core.KindNotFound, f.store.AttachUpstream(f.ctx, "repo_none", up))
		for _, repoID := range []string{r.ID, "repo_none"} {
			f.kind(core.KindNotFound, f.store.MoveUpstream(f.ctx, repoID, up))
			_, err := f.store.SetUpstreamState(f.ctx, repoID, core.UpstreamActive, day(0))
			f.kind(core.KindNotFound, err)
			_, err = f.store.SetUpstreamState(f.ctx, repoID, core.UpstreamDeleted, day(0))
			f.kind(core.KindNotFound, err)
		}
	}},
}

var settingsTests = []namedTest{
	{"where ephemeral branches expire", func(f *fixture) {
		var want []string
		for _, s := range []core.Settings{
			{EphemeralTTL: time.Hour}, {Poll: "off"}, {EphemeralTTL: time.Nanosecond, Poll: "auto"},
			{Include: []string{`refs/heads/"ephemeral_ttl":`}}, {EphemeralQuota: 3}, {EphemeralTTL: time.Minute},
		} {
			if len(want) == 0 {
				f.org("acme")
			}
			r := f.create(local("acme", id("name")))
			require.NoError(f, f.store.SaveSettings(f.ctx, r.ID, s))
			if s.EphemeralTTL > 0 {
				want = append(want, r.ID)
			}
		}
		all, err := f.store.ExpiringRepositories(f.ctx, "", 10)
		require.NoError(f, err)
		same(f, want, all)
		all, err = f.store.ExpiringRepositories(f.ctx, want[0], 1)
		require.NoError(f, err)
		same(f, want[1:2], all)
		_, err = f.store.ExpiringRepositories(f.ctx, "", 0)
		f.kind(core.KindInvalid, err)
	}},
	{"save, replace and read", func(f *fixture) {
		r := f.synced()
		for _, want := range []core.Settings{
			{},
			{
				Poll: "auto", MaxStaleness: time.Nanosecond, Freshness: core.FreshFail,
				RefPolicies: []core.RefPolicy{{Pattern: "refs/heads/**", Action: core.RefHold}},
				Retention:   time.Hour, RetentionBytes: 1 << 40, Include: []string{"refs/heads/*"}, Exclude: []string{"refs/heads/x"},
				PullRequests: true, EphemeralTTL: time.Hour, EphemeralQuota: 3,
			},
			{Poll: "off"},
			{},
		} {
			require.NoError(f, f.store.SaveSettings(f.ctx, r.ID, want))
			got, err := f.store.Settings(f.ctx, r.ID)
			require.NoError(f, err)
			same(f, want, got)
		}
	}},
	{"none is the zero value", func(f *fixture) {
		for _, repoID := range []string{f.synced().ID, "repo_none"} {
			got, err := f.store.Settings(f.ctx, repoID)
			require.NoError(f, err)
			same(f, core.Settings{}, got)
		}
		f.kind(core.KindNotFound, f.store.SaveSettings(f.ctx, "repo_none", core.Settings{}))
	}},
}
