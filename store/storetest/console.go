package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// session returns a session that ends at a time of day.
func session(id, org string, ends time.Duration) core.ConsoleSession {
	return core.ConsoleSession{
		ID: "ses_" + id, Hash: "hash-" + id, Role: core.ConsoleOperator, Org: org, Subject: "ada", Identity: []byte("kept"), CreatedAt: day(0), ExpiresAt: day(ends),
	}
}

var consoleTests = []namedTest{
	{"a link is taken once, in its time", func(f *fixture) {
		l := core.ConsoleLink{Hash: "abc", Subject: "operator:ada", ExpiresAt: day(time.Minute)}
		require.NoError(f, f.store.AddConsoleLink(f.ctx, l))
		f.kind(core.KindConflict, f.store.AddConsoleLink(f.ctx, l))
		got, err := f.store.ConsoleLink(f.ctx, "abc", day(0))
		require.NoError(f, err)
		same(f, l, got)
		_, err = f.store.TakeConsoleLink(f.ctx, "abc", day(time.Minute))
		f.kind(core.KindNotFound, err) // its time is up
		got, err = f.store.TakeConsoleLink(f.ctx, "abc", day(0))
		require.NoError(f, err)
		same(f, l, got)
		_, err = f.store.TakeConsoleLink(f.ctx, "abc", day(0))
		f.kind(core.KindNotFound, err)
		_, err = f.store.ConsoleLink(f.ctx, "abc", day(0))
		f.kind(core.KindNotFound, err)
	}},
	{"sessions end", func(f *fixture) {
		a, b, c := session("a", "acme", time.Hour), session("b", "other", time.Hour), session("c", "acme", time.Minute)
		for _, s := range []core.ConsoleSession{a, b, c} {
			require.NoError(f, f.store.AddConsoleSession(f.ctx, s))
		}
		f.kind(core.KindConflict, f.store.AddConsoleSession(f.ctx, a))
		got, err := f.store.ConsoleSession(f.ctx, "hash-a", day(0))
		require.NoError(f, err)
		same(f, a, got)
		list := func(org string, at time.Duration) (ids []string) {
			all, err := f.store.ConsoleSessions(f.ctx, org, day(at))
			require.NoError(f, err)
			for _, s := range all {
				ids = append(ids, s.ID)
			}
			return ids
		}
		same(f, []string{"ses_c", "ses_a"}, list("acme", 0))
		same(f, []string{"ses_c", "ses_b", "ses_a"}, list("", 0))
		same(f, []string{"ses_a"}, list("acme", time.Minute))
		_, err = f.store.ConsoleSession(f.ctx, "hash-c", day(time.Minute))
		f.kind(core.KindNotFound, err)
		for range 2 { // one that is not there is no error
			require.NoError(f, f.store.DeleteConsoleSession(f.ctx, "ses_a"))
		}
		_, err = f.store.ConsoleSession(f.ctx, "hash-a", day(0))
		f.kind(core.KindNotFound, err)
		same(f, []string{"ses_b"}, list("", time.Minute))
	}},
	{"minutes and lags are kept for a time", func(f *fixture) {
		f.org("acme")
		r := f.create(synced("acme", "app"))
		m := core.ConsoleMinute{
			Org: "acme", At: day(0), Fresh: 1, Syncing: 2, Failing: 3, Held: 4, Waiting: 5, LagMedian: time.Second, LagMost: time.Minute, LagMax: time.Hour,
			PushesOK: 6, PushesFailed: 7, PushTime: 8 * time.Second, PushSlowest: 9 * time.Second, Succeeded: 10, Unchanged: 11, SyncsFailed: 12, SyncsHeld: 13,
		}
		later := core.ConsoleMinute{Org: "acme", At: day(time.Minute), Fresh: 9}
		all := core.ConsoleMinute{At: day(0), Fresh: 2}
		lag := func(at, lag time.Duration) core.ConsoleLag {
			return core.ConsoleLag{RepoID: r.ID, At: day(at), Lag: lag}
		}
		gone := core.ConsoleLag{RepoID: "repo_gone", At: day(0), Lag: time.Second}
		require.NoError(f, f.store.AddConsoleMinutes(f.ctx, []core.ConsoleMinute{m, later, all}, []core.ConsoleLag{lag(0, time.Minute), gone}))
		// The longest lag of a time stays; a minute that is written again is replaced.
		m.Fresh = 21
		require.NoError(f, f.store.AddConsoleMinutes(f.ctx, []core.ConsoleMinute{m}, []core.ConsoleLag{lag(0, time.Second), lag(time.Hour, time.Second)}))
		minutes := func(org string, from time.Duration) []core.ConsoleMinute {
			got, err := f.store.ConsoleMinutes(f.ctx, org, day(from))
			require.NoError(f, err)
			return got
		}
		same(f, []core.ConsoleMinute{m, later}, minutes("acme", 0))
		same(f, []core.ConsoleMinute{later}, minutes("acme", time.Minute))
		same(f, []core.ConsoleMinute{all}, minutes("", 0))
		lags, err := f.store.ConsoleLags(f.ctx, r.ID, day(0))
		require.NoError(f, err)
		same(f, []core.ConsoleLag{lag(0, time.Minute), lag(time.Hour, time.Second)}, lags)

		require.NoError(f, f.store.AddConsoleSession(f.ctx, session("a", "acme", time.Minute)))
		require.NoError(f, f.store.AddConsoleLink(f.ctx, core.ConsoleLink{Hash: "abc", ExpiresAt: day(time.Minute)}))
		require.NoError(f, f.store.DeleteConsoleRows(f.ctx, day(time.Minute), day(time.Minute)))
		same(f, []core.ConsoleMinute{later}, minutes("acme", 0))
		require.Empty(f, minutes("", 0))
		lags, err = f.store.ConsoleLags(f.ctx, r.ID, day(0))
		require.NoError(f, err)
		same(f, []core.ConsoleLag{lag(time.Hour, time.Second)}, lags)
		_, err = f.store.ConsoleSession(f.ctx, "hash-a", day(0))
		f.kind(core.KindNotFound, err)
		_, err = f.store.ConsoleLink(f.ctx, "abc", day(0))
		f.kind(core.KindNotFound, err)
	}},
	{"health", func(f *fixture) {
		f.org("acme")
		f.org("other")
		f.create(local("acme", "local"))
		never, paused, failing := f.create(synced("acme", "never")), f.create(synced("acme", "paused")), f.create(synced("other", "failing"))
		_, err := f.store.SetPaused(f.ctx, paused.ID, day(0))
		require.NoError(f, err)
		s := f.take(failing.ID)
		s.FirstSyncedAt, s.Failures, s.LastClass, s.LastError, s.ObservedAt = day(0), 2, core.ClassAuth, "no", day(time.Minute)
		f.save(s)
		type row struct {
			State core.RepositoryState
			Need  core.RepositoryNeed
		}
		read := func(org string) map[string]row {
			got := map[string]row{}
			require.NoError(f, f.store.Health(f.ctx, org, func(h core.RepositoryHealth) error {
				got[h.Name] = row{h.State(), h.Need()}
				return nil
			}))
			return got
		}
		mine := map[string]row{
			"local": {core.RepositoryLocal, core.NeedNothing}, "paused": {core.RepositoryPaused, core.NeedNothing}, "never": {core.RepositoryPending, core.NeedCredential},
		}
		same(f, mine, read("acme"))
		mine["failing"] = row{core.RepositoryFailing, core.NeedCredential}
		same(f, mine, read(""))

		require.NoError(f, f.store.SaveDamage(f.ctx, core.Damage{ID: "dmg_1", RepoID: never.ID, State: core.DamageWaiting, FoundAt: day(0)}))
		same(f, row{core.RepositoryWaiting, core.NeedOperator}, read("acme")["never"])

		// Without its webhook a mirror is as ready as before, and somebody is to look at it.
		s = f.take(failing.ID)
		s.Failures, s.LastClass, s.LastError = 0, "", ""
		f.save(s)
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, core.InboundWebhook{RepoID: failing.ID, Token: "t", State: core.InboundFailing, Message: "no", CreatedAt: day(0)}))
		same(f, row{core.RepositoryReady, core.NeedWebhook}, read("other")["failing"])
	}},
}
