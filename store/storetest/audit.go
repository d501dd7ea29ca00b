package storetest

import (
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// audit returns an audit entry, not stored yet.
func audit(r core.Repository, action string) core.AuditEntry {
	return core.AuditEntry{
		ID: id("aud"), Org: r.Org, RepoID: r.ID, RepoName: r.Name, At: day(0), Action: action,
		Actor:  core.Actor{Subject: "jo", Org: r.Org, KeyID: "key_1", RemoteAddr: "192.0.2.1", UserAgent: "git/2.39.5 \u00e9", TokenID: "tok_1", TokenHash: "00ff"},
		Target: "wh_1", Credential: "ggc_1", HostLogin: "robot", Updates: []core.RefUpdate{update("refs/heads/a", "1")}, Outcome: "ok", Message: "m",
	}
}

var auditTests = []namedTest{
	{"add and list newest first, in pages, by repository, actor and action", func(f *fixture) {
		r := core.Repository{ID: "repo_1", Org: "acme", Name: "tool"}
		push, del, org, theirs := audit(r, "push"), audit(r, "repository.delete"), audit(core.Repository{Org: "acme"}, "webhook.create"), audit(r, "push")
		del.Actor.Subject, del.Updates = "mo", nil
		theirs.Org = "other"
		for _, e := range []core.AuditEntry{push, del, org, theirs} {
			require.NoError(f, f.store.AddAudit(f.ctx, e))
		}
		for _, tt := range []struct {
			name   string
			filter core.AuditFilter
			want   []core.AuditEntry
		}{
			{"all", core.AuditFilter{Org: "acme", Limit: 10}, []core.AuditEntry{org, del, push}},
			{"a page", core.AuditFilter{Org: "acme", Limit: 2}, []core.AuditEntry{org, del}},
			{"the next page", core.AuditFilter{Org: "acme", Before: del.ID, Limit: 2}, []core.AuditEntry{push}},
			{"of a repository", core.AuditFilter{Org: "acme", RepoID: "repo_1", Limit: 10}, []core.AuditEntry{del, push}},
			{"of a repository of another organisation", core.AuditFilter{Org: "third", RepoID: "repo_1", Limit: 10}, nil},
			{"of an actor", core.AuditFilter{Org: "acme", Actor: "jo", Limit: 10}, []core.AuditEntry{org, push}},
			{"of an action", core.AuditFilter{Org: "acme", RepoID: "repo_1", Action: "push", Limit: 10}, []core.AuditEntry{push}},
		} {
			got, err := f.store.Audit(f.ctx, tt.filter)
			require.NoError(f, err, tt.name)
			same(f, tt.want, got)
		}
	}},
	{"in the transaction of what it records", func(f *fixture) {
		r := f.synced()
		boom := errors.New("boom")
		for _, err := range []error{boom, nil} {
			require.Equal(f, err, f.store.Tx(f.ctx, func(q core.Queries) error {
				require.NoError(f, q.AddAudit(f.ctx, audit(r, "push")))
				return err
			}))
		}
		got, err := f.store.Audit(f.ctx, core.AuditFilter{Org: "acme", Limit: 10})
		require.NoError(f, err)
		require.Len(f, got, 1)
	}},
	{"errors", func(f *fixture) {
		e := audit(core.Repository{Org: "acme"}, "push")
		require.NoError(f, f.store.AddAudit(f.ctx, e))
		f.kind(core.KindConflict, f.store.AddAudit(f.ctx, e))
		_, err := f.store.Audit(f.ctx, core.AuditFilter{Org: "acme"})
		f.kind(core.KindInvalid, err)
	}},
}

var retentionTests = []namedTest{
	{"old closed journal entries go, open ones stay", func(f *fixture) {
		r := f.synced()
		add := func(state core.JournalState, closed time.Time) core.JournalEntry {
			e := core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: state, CreatedAt: day(-time.Hour), ClosedAt: closed}
			require.NoError(f, f.store.OpenJournal(f.ctx, e))
			return e
		}
		sent, lagging := add(core.JournalSent, time.Time{}), add(core.JournalLagging, day(-time.Hour))
		add(core.JournalApplied, day(-time.Minute))
		add(core.JournalDropped, day(-time.Second))
		add(core.JournalApplied, day(-time.Microsecond))
		exactly := add(core.JournalApplied, day(0))
		for _, want := range []int{2, 1, 0} {
			n, err := f.store.DeleteJournal(f.ctx, day(0), 2)
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		got, err := f.store.Journal(f.ctx, r.ID, 10)
		require.NoError(f, err)
		same(f, []core.JournalEntry{exactly, lagging, sent}, got)
	}},
	{"old finished runs go, but the last of each repository stay", func(f *fixture) {
		f.org("acme")
		run := func(r core.Repository, finished time.Time) core.Run {
			run := core.Run{ID: id("run"), RepoID: r.ID, StartedAt: day(-time.Hour), FinishedAt: finished}
			require.NoError(f, f.store.StartRun(f.ctx, run))
			return run
		}
		busy, quiet := f.create(synced("acme", "busy")), f.create(synced("acme", "quiet"))
		unfinished := run(busy, time.Time{})
		for range 3 {
			run(busy, day(-time.Minute))
		}
		exactly := run(busy, day(0))
		last := []core.Run{run(busy, day(-time.Minute)), run(busy, day(time.Minute))}
		kept := []core.Run{run(quiet, day(-time.Hour)), run(quiet, day(-time.Hour))}
		for _, want := range []int{2, 1, 0} {
			n, err := f.store.DeleteRuns(f.ctx, day(0), 2, 2)
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		got, err := f.store.Runs(f.ctx, busy.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Run{last[1], last[0], exactly, unfinished}, got)
		got, err = f.store.Runs(f.ctx, quiet.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Run{kept[1], kept[0]}, got)
		n, err := f.store.DeleteRuns(f.ctx, day(0), 0, 10)
		require.NoError(f, err)
		require.Equal(f, 3, n)
	}},
	{"errors", func(f *fixture) {
		_, err := f.store.DeleteJournal(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.DeleteRuns(f.ctx, day(0), 1, 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.DeleteRuns(f.ctx, day(0), -1, 1)
		f.kind(core.KindInvalid, err)
	}},
}
