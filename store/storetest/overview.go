package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var overviewTests = []namedTest{
	{"every mirror of every organisation", func(f *fixture) {
		f.org("acme")
		f.org("other")
		f.create(local("acme", "local"))
		fresh, failing := f.create(synced("acme", "fresh")), f.create(synced("other", "failing"))
		s := f.take(fresh.ID)
		s.FirstSyncedAt, s.ObservedAt = day(0), day(time.Minute)
		f.save(s)
		s = f.take(failing.ID)
		s.Failures, s.LastClass = 3, core.ClassAuth
		f.save(s)
		_, err := f.store.SetUpstreamState(f.ctx, failing.ID, core.UpstreamRevoked, day(0))
		require.NoError(f, err)

		var got []core.MirrorHealth
		require.NoError(f, f.store.Mirrors(f.ctx, func(m core.MirrorHealth) error {
			got = append(got, m)
			return nil
		}))
		want := []core.MirrorHealth{
			{
				RepoID: fresh.ID, Org: "acme", Name: "fresh", Provider: "gitlab", Instance: "work", Host: "gitlab.example",
				Ready: true, ObservedAt: day(time.Minute),
			},
			{
				RepoID: failing.ID, Org: "other", Name: "failing", Provider: "gitlab", Instance: "work", Host: "gitlab.example",
				Upstream: core.UpstreamRevoked, Failures: 3, Class: core.ClassAuth,
			},
		}
		slices.SortFunc(want, func(a, b core.MirrorHealth) int {
			if a.RepoID < b.RepoID {
				return -1
			}
			return 1
		})
		same(f, want, got)

		stop := errors.New("enough")
		require.ErrorIs(f, f.store.Mirrors(f.ctx, func(core.MirrorHealth) error { return stop }), stop)
	}},
	{"totals of nothing", func(f *fixture) {
		got, err := f.store.Totals(f.ctx)
		require.NoError(f, err)
		same(f, core.Totals{Inbound: map[core.InboundState]int{}}, got)
	}},
	{"totals", func(f *fixture) {
		w := f.hooked()
		failing := webhook("acme")
		failing.FailingSince = day(0)
		require.NoError(f, f.store.CreateWebhook(f.ctx, failing))
		require.NoError(f, f.store.NoteAttempt(f.ctx, failing.ID, day(0), "no"))
		inactive := webhook("acme")
		inactive.Active = false
		require.NoError(f, f.store.CreateWebhook(f.ctx, inactive))
		f.create(local("acme", "local"))
		r := f.create(synced("acme", "mirror"))
		f.deliver(w, r.ID)
		f.rewrites(r, "refs/heads/a", core.RewriteHeld)
		for i, state := range []core.JournalState{core.JournalSent, core.JournalLagging, core.JournalApplied} {
			require.NoError(f, f.store.OpenJournal(f.ctx, core.JournalEntry{
				ID: id("jrn"), RepoID: r.ID, State: state, CreatedAt: day(time.Duration(i) * time.Hour),
			}))
		}
		in := inbound(r)
		in.State = core.InboundFailing
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, in))
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{event(r, id("jrn"), "refs/heads/a")}))

		good, refused := sharedCredential("good"), sharedCredential("refused")
		refused.ExpiresAt, refused.CheckError = day(3*time.Hour), "bad credentials"
		good.ExpiresAt = time.Time{} // its host does not say
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, good))
		require.NoError(f, f.store.CreateSharedCredential(f.ctx, refused))

		got, err := f.store.Totals(f.ctx)
		require.NoError(f, err)
		same(f, core.Totals{
			Organisations: 1, Local: 1, Undispatched: 1, Deliveries: 1, Unfinished: 2, OldestUnfinished: day(0),
			Webhooks: 2, FailingWebhooks: 1, Inbound: map[core.InboundState]int{core.InboundFailing: 1}, Held: 1,
			Credentials: 2, FailingCredentials: 1, FirstExpiry: day(3 * time.Hour),
		}, got)
	}},
}
