package storetest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// update returns a ref update to an object id made of that digit.
func update(name, digit string) core.RefUpdate {
	return core.RefUpdate{Name: name, Old: core.ZeroSHA1, New: core.ObjectID(strings.Repeat(digit, 40))}
}

var journalTests = []namedTest{
	{"of ephemeral branches", func(f *fixture) {
		r := f.synced()
		other := f.create(local("acme", "other"))
		var want []core.JournalEntry
		for i, ns := range []core.Namespace{core.Ephemeral, core.Default, core.Ephemeral, core.Ephemeral} {
			for _, repo := range []core.Repository{r, other} {
				at := day(time.Duration(i) * time.Hour)
				e := core.JournalEntry{
					ID: core.NewID("jrn", at), RepoID: repo.ID, Namespace: ns, Source: core.SourcePush, State: core.JournalApplied,
					Updates: []core.RefUpdate{update("refs/heads/a", "1")}, CreatedAt: at,
				}
				require.NoError(f, f.store.OpenJournal(f.ctx, e))
				if ns == core.Ephemeral && repo.ID == r.ID {
					want = append(want, e)
				}
			}
		}
		all, err := f.store.EphemeralJournal(f.ctx, r.ID, "", 10)
		require.NoError(f, err)
		same(f, want, all)
		all, err = f.store.EphemeralJournal(f.ctx, r.ID, want[0].ID, 1)
		require.NoError(f, err)
		same(f, want[1:2], all)
		_, err = f.store.EphemeralJournal(f.ctx, r.ID, "", 0)
		f.kind(core.KindInvalid, err)
	}},
	{"open, close and list", func(f *fixture) {
		r := f.synced()
		other := f.create(local("acme", "other"))
		open := func(r core.Repository) core.JournalEntry {
			e := core.JournalEntry{
				ID: id("jrn"), RepoID: r.ID, Namespace: core.Ephemeral, Source: core.SourcePush, Actor: "jo", Upstream: true, State: core.JournalSent,
				Updates:   []core.RefUpdate{update("refs/heads/a", "1"), update("refs/heads/b\"\u00e9", "2")},
				CreatedAt: day(0),
			}
			require.NoError(f, f.store.OpenJournal(f.ctx, e))
			return e
		}
		sent, applied, dropped, lagging := open(r), open(r), open(r), open(r)
		elsewhere := open(other)
		end := func(e *core.JournalEntry, state core.JournalState, updates []core.RefUpdate) {
			require.NoError(f, f.store.CloseJournal(f.ctx, e.ID, state, updates, day(time.Minute)))
			e.State, e.Updates, e.ClosedAt = state, updates, day(time.Minute)
		}
		end(&applied, core.JournalApplied, []core.RefUpdate{update("refs/heads/a", "1")})
		end(&dropped, core.JournalDropped, nil)
		end(&lagging, core.JournalLagging, []core.RefUpdate{update("refs/heads/b", "3")})

		all, err := f.store.Journal(f.ctx, r.ID, 10)
		require.NoError(f, err)
		same(f, []core.JournalEntry{lagging, dropped, applied, sent}, all)
		all, err = f.store.Journal(f.ctx, r.ID, 2)
		require.NoError(f, err)
		same(f, []core.JournalEntry{lagging, dropped}, all)
		unfinished, err := f.store.OpenJournals(f.ctx)
		require.NoError(f, err)
		same(f, []core.JournalEntry{sent, lagging, elsewhere}, unfinished)

		end(&lagging, core.JournalApplied, []core.RefUpdate{update("refs/heads/b", "3")})
		unfinished, err = f.store.OpenJournals(f.ctx)
		require.NoError(f, err)
		same(f, []core.JournalEntry{sent, elsewhere}, unfinished)
	}},
	{"errors", func(f *fixture) {
		r := f.synced()
		e := core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalSent}
		require.NoError(f, f.store.OpenJournal(f.ctx, e))
		f.kind(core.KindConflict, f.store.OpenJournal(f.ctx, e))
		f.kind(core.KindNotFound, f.store.OpenJournal(f.ctx, core.JournalEntry{ID: id("jrn"), RepoID: "repo_none"}))
		f.kind(core.KindNotFound, f.store.CloseJournal(f.ctx, "jrn_none", core.JournalDropped, nil, day(0)))
		_, err := f.store.Journal(f.ctx, r.ID, 0)
		f.kind(core.KindInvalid, err)
	}},
}

// event returns an event of the repository, not stored yet.
func event(r core.Repository, journalID, ref string) core.Event {
	return core.Event{
		ID: id("evt"), RepoID: r.ID, Org: r.Org, Type: "push", JournalID: journalID, Ref: ref,
		Payload: []byte(`{"ref":"` + ref + `"}`), CreatedAt: day(0), Trace: "00-trace",
	}
}

var eventTests = []namedTest{
	{"add and list in order", func(f *fixture) {
		r := f.synced()
		require.NoError(f, f.store.AddEvents(f.ctx, nil))
		want := []core.Event{event(r, "jrn_1", "a"), event(r, "jrn_1", "b"), event(r, "jrn_2", "a"), event(r, "", ""), event(r, "", "")}
		require.NoError(f, f.store.AddEvents(f.ctx, want[:2]))
		require.NoError(f, f.store.AddEvents(f.ctx, want[2:]))
		got, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Len(f, got, len(want))
		last := int64(0)
		for i := range got {
			require.Greater(f, got[i].Seq, last)
			last = got[i].Seq
			want[i].Seq = got[i].Seq
		}
		same(f, want, got)

		page, err := f.store.Events(f.ctx, got[0].Seq, 2)
		require.NoError(f, err)
		same(f, want[1:3], page)
		page, err = f.store.Events(f.ctx, last, 10)
		require.NoError(f, err)
		require.Empty(f, page)
	}},
	{"a change has one event", func(f *fixture) {
		r := f.synced()
		first := event(r, "jrn_1", "a")
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{first}))
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{first}), "the very same event")
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{event(r, "jrn_1", "a"), event(r, "jrn_1", "b")}))
		got, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Len(f, got, 2)
		require.Equal(f, first.ID, got[0].ID)
		require.Equal(f, "b", got[1].Ref)
	}},
	{"errors leave nothing", func(f *fixture) {
		r := f.synced()
		first := event(r, "", "")
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{first}))
		f.kind(core.KindConflict, f.store.AddEvents(f.ctx, []core.Event{event(r, "jrn_1", "a"), first}))
		got, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Len(f, got, 1)
		_, err = f.store.Events(f.ctx, 0, 0)
		f.kind(core.KindInvalid, err)
	}},
}
