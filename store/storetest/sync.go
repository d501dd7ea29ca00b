package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var syncTests = []namedTest{
	{"a request raises wanted and keeps its trigger and ref", func(f *fixture) {
		r := f.synced()
		wanted, err := f.store.RequestSync(f.ctx, r.ID, "webhook", "refs/heads/a")
		require.NoError(f, err)
		require.Equal(f, int64(1), wanted)
		same(f, core.SyncState{RepoID: r.ID, Wanted: 1, WantedRef: "refs/heads/a", Trigger: "webhook"}, f.sync(r.ID))
	}},
	{"a waiting request of a user keeps its trigger until it is tried", func(f *fixture) {
		request := func(repoID, trigger string) string {
			_, err := f.store.RequestSync(f.ctx, repoID, trigger, "")
			require.NoError(f, err)
			return f.sync(repoID).Trigger
		}
		f.org("acme")
		for _, user := range []string{core.TriggerAPI, core.TriggerCreate} {
			r := f.create(synced("acme", user))
			require.Equal(f, "push", request(r.ID, "push"))
			require.Equal(f, user, request(r.ID, user), "a user's replaces any")
			require.Equal(f, user, request(r.ID, "webhook"))
			taken := f.take(r.ID)
			require.Equal(f, user, taken.Trigger)
			require.Equal(f, "poll", request(r.ID, "poll"), "the run that serves the user has begun")
			require.Equal(f, user, request(r.ID, user), "another one, while that runs")
			require.Equal(f, user, request(r.ID, "webhook"))
			taken.Tried = taken.Wanted
			f.save(taken)
			taken = f.take(r.ID)
			require.Equal(f, user, taken.Trigger)
			taken.Tried = taken.Wanted
			f.save(taken)
			require.Equal(f, "webhook", request(r.ID, "webhook"), "a run that failed has served the user, too")
			require.Equal(f, user, request(r.ID, user))
			taken = f.take(r.ID)
			taken.NextAttemptAt = day(time.Minute)
			f.save(taken)
			require.Equal(f, "webhook", request(r.ID, "webhook"), "a run that could not serve all has, too")
		}
	}},
	{"waiting requests fold", func(f *fixture) {
		f.org("acme")
		for _, tt := range []struct {
			name string
			refs []string
			want string
		}{
			{"same ref", []string{"a", "a", "a"}, "a"},
			{"another ref widens", []string{"a", "b"}, ""},
			{"all refs stay all refs", []string{"", "a"}, ""},
			{"all refs widen one", []string{"a", ""}, ""},
			{"a widened one does not narrow", []string{"a", "b", "a"}, ""},
		} {
			r := f.create(synced("acme", tt.name))
			for i, ref := range tt.refs {
				require.Equal(f, int64(i+1), f.request(r.ID, ref), tt.name)
			}
			got := f.take(r.ID)
			require.Equal(f, tt.want, got.WantedRef, tt.name)
			require.Equal(f, int64(len(tt.refs)), got.Wanted, tt.name)
		}
	}},
	{"after a take requests start afresh", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		taken := f.take(r.ID)
		require.Equal(f, "a", taken.WantedRef)
		require.Equal(f, int64(1), taken.Wanted)
		require.Empty(f, f.sync(r.ID).WantedRef)

		require.Equal(f, int64(2), f.request(r.ID, "b"))
		require.Equal(f, "b", f.sync(r.ID).WantedRef)
		taken.Served = taken.Wanted
		f.save(taken)
		state := f.sync(r.ID)
		require.Equal(f, int64(1), state.Served)
		require.Equal(f, int64(2), state.Wanted)
		require.Equal(f, "b", f.take(r.ID).WantedRef)
	}},
	{"after a served run requests start afresh", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "")
		taken := f.take(r.ID)
		taken.Served = taken.Wanted
		f.save(taken)
		f.request(r.ID, "b")
		require.Equal(f, "b", f.take(r.ID).WantedRef)
	}},
	{"what a failed run was asked for waits again and is not replaced", func(f *fixture) {
		f.org("acme")
		for _, tt := range []struct {
			name          string
			first         string
			during, after []string
		}{
			{"nothing came", "", nil, nil},
			{"a ref came during the run", "", []string{"b"}, nil},
			{"a ref came after the run", "", nil, []string{"b"}},
			{"another ref came during the run", "a", []string{"b"}, nil},
			{"another ref came after the run", "a", nil, []string{"b"}},
		} {
			r := f.create(synced("acme", tt.name))
			f.request(r.ID, tt.first)
			taken := f.take(r.ID)
			for _, ref := range tt.during {
				f.request(r.ID, ref)
			}
			taken.Failures = 1
			f.save(taken)
			for _, ref := range tt.after {
				f.request(r.ID, ref)
			}
			again := f.take(r.ID)
			require.Empty(f, again.WantedRef, tt.name)
			require.Equal(f, int64(1+len(tt.during)+len(tt.after)), again.Wanted, tt.name)
		}
	}},
	{"what an interrupted run was asked for waits again and is not replaced", func(f *fixture) {
		f.org("acme")
		for _, tt := range []struct {
			name          string
			before, after []string
		}{
			{"a ref came before the restart", []string{"b"}, nil},
			{"a ref came after the restart", nil, []string{"b"}},
		} {
			r := f.create(synced("acme", tt.name))
			f.request(r.ID, "a")
			f.take(r.ID)
			for _, ref := range tt.before {
				f.request(r.ID, ref)
			}
			_, err := f.store.InterruptRuns(f.ctx, day(0))
			require.NoError(f, err)
			for _, ref := range tt.after {
				f.request(r.ID, ref)
			}
			require.Empty(f, f.take(r.ID).WantedRef, tt.name)
		}
	}},
	{"a second take takes the first one along", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		f.take(r.ID)
		f.request(r.ID, "b")
		require.Empty(f, f.take(r.ID).WantedRef)
	}},
	{"the end of a run leaves what others write", func(f *fixture) {
		r := f.synced()
		n := core.SyncNotice{Kind: core.NoticeStarted, Generation: 1}
		require.NoError(f, f.store.SetNotice(f.ctx, r.ID, n))
		require.NoError(f, f.store.SetPoll(f.ctx, r.ID, day(time.Hour)))
		require.NoError(f, f.store.FinishSync(f.ctx, core.SyncState{RepoID: r.ID, Served: 1, PollAt: day(0), Notice: core.SyncNotice{Kind: core.NoticeDone}}))
		same(f, core.SyncState{RepoID: r.ID, Served: 1, PollAt: day(time.Hour), Notice: n}, f.sync(r.ID))
	}},
	{"all that is written of a run", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		want := core.SyncState{
			RepoID: r.ID, Wanted: 99, Served: 1, Tried: 2, WantedRef: "x", Trigger: "poll",
			NextAttemptAt: day(1 * time.Hour), Failures: 2, Runs: 3,
			FirstSyncedAt: day(2 * time.Hour), LastSuccessAt: day(3 * time.Hour), LastErrorAt: day(4 * time.Hour),
			LastClass: core.ClassNetwork, LastError: "no route", Digest: "d1", BrakeDigest: "d2", BrakeSince: day(9 * time.Hour),
			ObservedAt: day(5 * time.Hour), ChangedAt: day(6 * time.Hour), PollAt: day(7 * time.Hour), Notice: core.SyncNotice{Kind: core.NoticeFailed, Class: core.ClassNetwork, Generation: 3},
			UpstreamState: core.UpstreamDeleted, UpstreamSince: day(8 * time.Hour),
			Skipped: []core.SkippedRef{{Ref: "refs/heads/a/b", ConflictsWith: "refs/heads/a"}},
		}
		f.save(want)
		want.Wanted, want.WantedRef, want.Trigger = 1, "a", "api"
		want.UpstreamState, want.UpstreamSince = core.UpstreamActive, time.Time{}
		same(f, want, f.sync(r.ID))
	}},
	{"a failure that the host's API reports leaves the run", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		f.take(r.ID)
		f.request(r.ID, "b")
		require.NoError(f, f.store.RecordUpstreamFailure(f.ctx, r.ID, day(0), core.ClassNotFound, "gone"))
		want := core.SyncState{
			RepoID: r.ID, Wanted: 2, WantedRef: "b", Trigger: "api", Failures: 1, LastErrorAt: day(0), LastClass: core.ClassNotFound, LastError: "gone",
		}
		same(f, want, f.sync(r.ID))
		require.NoError(f, f.store.RecordUpstreamFailure(f.ctx, r.ID, day(1*time.Minute), core.ClassAuth, "no"))
		want.LastErrorAt, want.LastClass, want.LastError = day(1*time.Minute), core.ClassAuth, "no"
		same(f, want, f.sync(r.ID))
		require.Empty(f, f.take(r.ID).WantedRef, "the run was still under way")
	}},
	{"content from before the first sync", func(f *fixture) {
		r := f.synced()
		require.NoError(f, f.store.MarkSynced(f.ctx, r.ID, day(0)))
		same(f, core.SyncState{RepoID: r.ID, FirstSyncedAt: day(0)}, f.sync(r.ID))
	}},
	{"another upstream", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "")
		f.take(r.ID)
		kept := core.SyncState{
			RepoID: r.ID, Served: 1, Tried: 1, Runs: 3, FirstSyncedAt: day(0), ChangedAt: day(1 * time.Minute), Notice: core.SyncNotice{Kind: core.NoticeDone, Generation: 1},
		}
		old := kept
		old.NextAttemptAt, old.Failures, old.LastSuccessAt, old.LastErrorAt, old.LastClass, old.LastError = day(2*time.Minute), 4, day(3*time.Minute), day(4*time.Minute), core.ClassAuth, "no"
		old.Digest, old.BrakeDigest, old.BrakeSince, old.ObservedAt, old.PollAt = "d", "b", day(5*time.Minute), day(6*time.Minute), day(7*time.Minute)
		old.Skipped = []core.SkippedRef{{Ref: "refs/heads/a/b", ConflictsWith: "refs/heads/a"}}
		f.save(old)
		_, err := f.store.SetUpstreamState(f.ctx, r.ID, core.UpstreamDeleted, day(8*time.Minute))
		require.NoError(f, err)
		require.NoError(f, f.store.ResetUpstream(f.ctx, r.ID, day(9*time.Minute)))
		kept.Wanted, kept.Trigger, kept.UpstreamSince = 1, "api", day(9*time.Minute)
		same(f, kept, f.sync(r.ID))
	}},
	{"a request clears the next attempt", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "")
		f.save(core.SyncState{RepoID: r.ID, NextAttemptAt: day(time.Hour)})
		require.Equal(f, day(time.Hour), f.sync(r.ID).NextAttemptAt)
		f.request(r.ID, "")
		require.Zero(f, f.sync(r.ID).NextAttemptAt)
	}},
	{"a request during a run that fails is served at once", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "")
		taken := f.take(r.ID)
		f.request(r.ID, "")
		taken.NextAttemptAt = day(time.Hour)
		f.save(taken)
		require.Zero(f, f.sync(r.ID).NextAttemptAt)
	}},
	{"the digest alone", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		require.NoError(f, f.store.SetDigest(f.ctx, r.ID, "d1"))
		want := core.SyncState{RepoID: r.ID, Wanted: 1, WantedRef: "a", Trigger: "api", Digest: "d1"}
		same(f, want, f.sync(r.ID))
		require.NoError(f, f.store.SetDigest(f.ctx, r.ID, ""))
		want.Digest = ""
		same(f, want, f.sync(r.ID))
	}},
	{"the notice alone", func(f *fixture) {
		r := f.synced()
		f.request(r.ID, "a")
		n := core.SyncNotice{Kind: core.NoticeStarted, Class: core.ClassAuth, Generation: 1}
		require.NoError(f, f.store.SetNotice(f.ctx, r.ID, n))
		same(f, core.SyncState{RepoID: r.ID, Wanted: 1, WantedRef: "a", Trigger: "api", Notice: n}, f.sync(r.ID))
	}},
	{"due syncs and the next one", func(f *fixture) {
		f.org("acme")
		add := func(name string, wanted bool, next time.Time) string {
			r := f.create(synced("acme", name))
			if wanted {
				f.request(r.ID, "")
			}
			f.save(core.SyncState{RepoID: r.ID, NextAttemptAt: next})
			return r.ID
		}
		now := day(0)
		idle := add("no work", false, time.Time{})
		add("no work, with a time", false, day(time.Second))
		past := add("past", true, day(-time.Second))
		exactly := add("now", true, now)
		atOnce := add("at once", true, time.Time{})
		add("later", true, day(2*time.Hour))
		add("soon", true, day(time.Microsecond))

		due, err := f.store.DueSyncs(f.ctx, now, 10)
		require.NoError(f, err)
		require.Equal(f, []string{atOnce, past, exactly}, dueIDs(due))
		require.Equal(f, core.DueSync{RepoID: past, Instance: "work", Host: "gitlab.example", Trigger: "api", At: day(-time.Second)}, due[1])
		due, err = f.store.DueSyncs(f.ctx, now, 2)
		require.NoError(f, err)
		require.Equal(f, []string{atOnce, past}, dueIDs(due))

		next, err := f.store.NextSyncAt(f.ctx, now)
		require.NoError(f, err)
		require.Equal(f, day(time.Microsecond), next)
		before := f.sync(past)
		require.NoError(f, f.store.PostponeSync(f.ctx, past, day(3*time.Hour)))
		before.NextAttemptAt = day(3 * time.Hour)
		require.Equal(f, before, f.sync(past))
		due, err = f.store.DueSyncs(f.ctx, now, 2)
		require.NoError(f, err)
		require.Equal(f, []string{atOnce, exactly}, dueIDs(due))
		f.kind(core.KindNotFound, f.store.PostponeSync(f.ctx, idle, now))
		require.NoError(f, f.store.PostponeSync(f.ctx, past, day(-time.Second)))
		next, err = f.store.NextSyncAt(f.ctx, day(time.Hour))
		require.NoError(f, err)
		require.Equal(f, day(2*time.Hour), next)
		next, err = f.store.NextSyncAt(f.ctx, day(2*time.Hour))
		require.NoError(f, err)
		require.Zero(f, next)
	}},
	{"errors", func(f *fixture) {
		f.org("acme")
		r := f.create(local("acme", "local"))
		for _, repoID := range []string{r.ID, "repo_none"} {
			_, err := f.store.SyncState(f.ctx, repoID)
			f.kind(core.KindNotFound, err)
			_, err = f.store.RequestSync(f.ctx, repoID, "api", "")
			f.kind(core.KindNotFound, err)
			_, err = f.store.TakeSync(f.ctx, repoID)
			f.kind(core.KindNotFound, err)
			f.kind(core.KindNotFound, f.store.FinishSync(f.ctx, core.SyncState{RepoID: repoID}))
			f.kind(core.KindNotFound, f.store.SetDigest(f.ctx, repoID, "d"))
			f.kind(core.KindNotFound, f.store.PostponeSync(f.ctx, repoID, day(0)))
			f.kind(core.KindNotFound, f.store.RecordUpstreamFailure(f.ctx, repoID, day(0), core.ClassAuth, "no"))
			f.kind(core.KindNotFound, f.store.MarkSynced(f.ctx, repoID, day(0)))
			f.kind(core.KindNotFound, f.store.ResetUpstream(f.ctx, repoID, day(0)))
			f.kind(core.KindNotFound, f.store.SetNotice(f.ctx, repoID, core.SyncNotice{}))
		}
		_, err := f.store.DueSyncs(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
	}},
}

// dueIDs returns the repositories of due rows, in their order.
func dueIDs(due []core.DueSync) []string {
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.RepoID
	}
	return ids
}

var runTests = []namedTest{
	{"start, finish, and list newest first in pages", func(f *fixture) {
		r := f.synced()
		other := f.create(synced("acme", "other"))
		require.NoError(f, f.store.StartRun(f.ctx, core.Run{ID: id("run"), RepoID: other.ID, StartedAt: day(0)}))
		first := core.Run{ID: id("run"), RepoID: r.ID, Trigger: "create", Ref: "a", First: true, StartedAt: day(0)}
		second := core.Run{ID: id("run"), RepoID: r.ID, Trigger: "poll", StartedAt: day(time.Hour)}
		require.NoError(f, f.store.StartRun(f.ctx, first))
		require.NoError(f, f.store.StartRun(f.ctx, second))
		first.FinishedAt, first.Outcome, first.Class, first.Error = day(time.Minute), "failed", core.ClassTimeout, "stalled"
		first.RefsCreated, first.RefsUpdated, first.RefsDeleted, first.Bytes = 1, 2, 3, 1<<40
		first.RefsForced, first.RefsHeld = 4, 5
		first.Phases = []core.Phase{{Name: "list", Duration: time.Nanosecond}, {Name: "fetch", Duration: time.Hour}}
		finished := first
		finished.Trigger, finished.Ref, finished.First, finished.StartedAt = "x", "x", false, time.Time{}
		require.NoError(f, f.store.FinishRun(f.ctx, finished))

		got, err := f.store.Runs(f.ctx, r.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Run{second, first}, got)
		got, err = f.store.Runs(f.ctx, r.ID, "", 1)
		require.NoError(f, err)
		same(f, []core.Run{second}, got)
		got, err = f.store.Runs(f.ctx, r.ID, second.ID, 10)
		require.NoError(f, err)
		same(f, []core.Run{first}, got)
	}},
	{"interrupt marks the unfinished ones", func(f *fixture) {
		r := f.synced()
		done := core.Run{ID: id("run"), RepoID: r.ID, StartedAt: day(0), FinishedAt: day(1 * time.Minute), Outcome: "succeeded"}
		done.FinishedAt = day(time.Second)
		running := core.Run{ID: id("run"), RepoID: r.ID, StartedAt: day(0)}
		require.NoError(f, f.store.StartRun(f.ctx, done))
		require.NoError(f, f.store.StartRun(f.ctx, running))
		for _, want := range []int{1, 0} {
			n, err := f.store.InterruptRuns(f.ctx, day(time.Hour))
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		running.FinishedAt, running.Outcome = day(time.Hour), "interrupted"
		got, err := f.store.Runs(f.ctx, r.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Run{running, done}, got)
	}},
	{"errors", func(f *fixture) {
		r := f.synced()
		run := core.Run{ID: id("run"), RepoID: r.ID, StartedAt: day(0)}
		require.NoError(f, f.store.StartRun(f.ctx, run))
		f.kind(core.KindConflict, f.store.StartRun(f.ctx, run))
		f.kind(core.KindNotFound, f.store.StartRun(f.ctx, core.Run{ID: id("run"), RepoID: "repo_none"}))
		f.kind(core.KindNotFound, f.store.FinishRun(f.ctx, core.Run{ID: "run_none"}))
		_, err := f.store.Runs(f.ctx, r.ID, "", 0)
		f.kind(core.KindInvalid, err)
	}},
}
