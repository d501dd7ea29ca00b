package storetest

import (
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// add stores events that happened at a time.
func (f *fixture) add(at time.Time, events ...core.Event) {
	f.Helper()
	for i := range events {
		events[i].CreatedAt = at
	}
	require.NoError(f, f.store.AddEvents(f.ctx, events))
}

// position sets the outbox position to the last event but some.
func (f *fixture) position(butLast int64) {
	f.Helper()
	last, err := f.store.LastSeq(f.ctx)
	require.NoError(f, err)
	require.NoError(f, f.store.SetOutboxPosition(f.ctx, last-butLast))
}

// signalled reports whether a signal waits in the channel, and takes it.
func signalled(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

var feedTests = []namedTest{
	{"of an organisation and of a repository, in order and after a position", func(f *fixture) {
		mine := f.synced()
		second := f.create(local("acme", "second"))
		f.org("other")
		theirs := f.create(local("other", "tool"))
		for range 2 {
			f.add(day(0), event(mine, "", "a"), event(theirs, "", "b"), event(second, "", "c"))
		}
		refs := func(filter core.EventFilter) (refs []string, last int64) {
			events, err := f.store.EventsOf(f.ctx, filter)
			require.NoError(f, err)
			for _, e := range events {
				require.Greater(f, e.Seq, last)
				refs, last = append(refs, e.Ref), e.Seq
			}
			return refs, last
		}
		got, _ := refs(core.EventFilter{Org: "acme", Limit: 10})
		require.Equal(f, []string{"a", "c", "a", "c"}, got)
		got, last := refs(core.EventFilter{Org: "acme", Limit: 3})
		require.Equal(f, []string{"a", "c", "a"}, got)
		got, _ = refs(core.EventFilter{Org: "acme", After: last, Limit: 3})
		require.Equal(f, []string{"c"}, got)
		got, last = refs(core.EventFilter{Org: "acme", RepoID: second.ID, Limit: 1})
		require.Equal(f, []string{"c"}, got)
		got, _ = refs(core.EventFilter{Org: "acme", RepoID: second.ID, After: last, Limit: 10})
		require.Equal(f, []string{"c"}, got)
		got, _ = refs(core.EventFilter{Org: "acme", RepoID: theirs.ID, Limit: 10})
		require.Empty(f, got, "a repository of another organisation")
		got, _ = refs(core.EventFilter{Org: "nobody", Limit: 10})
		require.Empty(f, got)
		_, err := f.store.EventsOf(f.ctx, core.EventFilter{Org: "acme"})
		f.kind(core.KindInvalid, err)
	}},
	{"delete spares what is young or not delivered, and no position comes again", func(f *fixture) {
		r := f.synced()
		last, err := f.store.LastSeq(f.ctx)
		require.NoError(f, err)
		require.Zero(f, last)
		f.add(day(0), event(r, "", "a"), event(r, "", "b"), event(r, "", "c"))
		f.add(day(time.Hour), event(r, "", "young"))
		first := func(want int64) {
			f.Helper()
			got, err := f.store.FirstSeq(f.ctx)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
		first(1)
		remove := func(want, limit int) {
			f.Helper()
			n, err := f.store.DeleteEvents(f.ctx, day(time.Minute), limit)
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		remove(0, 10) // nothing was delivered
		f.position(2)
		remove(1, 1)
		first(2)
		remove(1, 10)
		f.position(0)
		remove(1, 10)
		remove(0, 10)
		n, err := f.store.DeleteEvents(f.ctx, day(2*time.Hour), 10)
		require.NoError(f, err)
		require.Equal(f, 1, n)
		last, err = f.store.LastSeq(f.ctx)
		require.NoError(f, err)
		require.Equal(f, int64(4), last)
		first(5)
		f.add(day(0), event(r, "", "next"))
		got, err := f.store.Events(f.ctx, last, 10)
		require.NoError(f, err)
		require.Len(f, got, 1)
		require.Equal(f, int64(5), got[0].Seq)
		_, err = f.store.DeleteEvents(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
	}},
	{"watchers are notified after the commit, and of nothing else", func(f *fixture) {
		r := f.synced()
		first, stopFirst := f.store.WatchEvents()
		second, stopSecond := f.store.WatchEvents()
		defer stopSecond()
		require.False(f, signalled(first))

		f.add(day(0), event(r, "jrn_1", "a"))
		require.True(f, signalled(first))
		require.False(f, signalled(first))
		f.add(day(0), event(r, "", "b"))
		require.True(f, signalled(second), "one signal for two commits, when it was not taken")
		require.False(f, signalled(second))
		require.True(f, signalled(first))

		require.NoError(f, f.store.Tx(f.ctx, func(q core.Queries) error {
			require.NoError(f, q.AddEvents(f.ctx, []core.Event{event(r, "", "c")}))
			require.False(f, signalled(first), "before the commit")
			return nil
		}))
		require.True(f, signalled(first))
		boom := errors.New("boom")
		require.Same(f, boom, f.store.Tx(f.ctx, func(q core.Queries) error {
			require.NoError(f, q.AddEvents(f.ctx, []core.Event{event(r, "", "d")}))
			return boom
		}))
		require.False(f, signalled(first), "what was rolled back")
		f.add(day(0))
		f.add(day(0), event(r, "jrn_1", "a"))
		require.False(f, signalled(first), "an event that exists already")

		stopFirst()
		stopFirst()
		f.add(day(0), event(r, "", "e"))
		require.False(f, signalled(first))
		require.True(f, signalled(second))
	}},
}
