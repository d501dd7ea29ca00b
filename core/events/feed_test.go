package events

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// add adds an event of a type.
func (b *bench) add(org, repo, typ string) {
	b.Helper()
	now := b.clock.Now()
	require.NoError(b, b.db.AddEvents(b.Context(), []core.Event{{
		ID: core.NewID("evt", now), RepoID: repo, Org: org, Type: typ, CreatedAt: now, Payload: []byte(`{"repository":{"id":"` + repo + `","url":"team/app"}}`),
	}}))
}

func TestFeed_Events_pages(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	for n := range 10 {
		typ := core.EventPush
		if n%3 == 0 {
			typ = core.EventSyncFailed
		}
		b.add("acme", []string{"repo_a", "repo_b"}[n%2], typ)
		b.add("other", "repo_x", core.EventPush)
	}
	for name, test := range map[string]struct {
		filter FeedFilter
		limit  int
		want   []int64 // all, page by page
		pages  int
	}{
		"organisation":   {FeedFilter{Org: "acme"}, 4, []int64{1, 3, 5, 7, 9, 11, 13, 15, 17, 19}, 3},
		"repository":     {FeedFilter{Org: "acme", RepoID: "repo_b"}, 100, []int64{3, 7, 11, 15, 19}, 1},
		"types":          {FeedFilter{Org: "acme", Types: []string{core.EventSyncFailed}}, 2, []int64{1, 7, 13, 19}, 2},
		"both":           {FeedFilter{Org: "acme", RepoID: "repo_a", Types: []string{core.EventSyncFailed}}, 2, []int64{1, 13}, 1},
		"none":           {FeedFilter{Org: "acme", Types: []string{core.EventRefHeld}}, 2, nil, 1},
		"not of another": {FeedFilter{Org: "acme", RepoID: "repo_x"}, 2, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int64
			after, pages := int64(0), 0
			for more := true; more; pages++ {
				page, err := b.Events(t.Context(), test.filter, after, test.limit)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.Events), test.limit)
				for _, e := range page.Events {
					got = append(got, e.Seq)
				}
				require.GreaterOrEqual(t, page.Next, after)
				after, more = page.Next, page.More
				require.Less(t, pages, 20)
			}
			require.Empty(t, cmp.Diff(test.want, got))
			require.LessOrEqual(t, pages, test.pages+1)
			again, err := b.Events(t.Context(), test.filter, after, test.limit)
			require.NoError(t, err)
			require.Empty(t, again.Events, "a cursor gives nothing twice")
		})
	}
}

func TestFeed_Events_tellsOfAGap(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	gap := func(after int64) bool {
		page, err := b.Events(t.Context(), FeedFilter{Org: "acme"}, after, 10)
		require.NoError(t, err)
		return page.Gap
	}
	require.False(t, gap(0), "there has never been any")
	for range 4 {
		b.add("acme", "repo_a", core.EventPush)
	}
	require.False(t, gap(1))
	require.NoError(t, b.db.SetOutboxPosition(t.Context(), 4))
	n, err := b.db.DeleteEvents(t.Context(), b.clock.Now().Add(time.Hour), 3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.False(t, gap(0), "who begins misses nothing")
	require.True(t, gap(2))
	require.False(t, gap(3))
	_, err = b.db.DeleteEvents(t.Context(), b.clock.Now().Add(time.Hour), 3)
	require.NoError(t, err)
	require.True(t, gap(3))
	require.False(t, gap(4))
}

func TestFeed_Follow_wakesWhoMaySee(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	var readers []*Reader
	for _, f := range []FeedFilter{{Org: "acme"}, {Org: "acme", RepoID: "repo_a"}, {Org: "acme", RepoID: "repo_b"}, {Org: "other"}, {Org: "acme", Types: []string{core.EventRefHeld}}} {
		r, err := b.Follow(f)
		require.NoError(t, err)
		defer r.Close()
		readers = append(readers, r)
	}
	last, err := b.LastSeq(t.Context())
	require.NoError(t, err)
	require.Zero(t, last)
	b.push("repo_a", 1)
	b.push("repo_a", 2)
	for _, r := range readers[:2] {
		select {
		case <-r.Changed():
		case <-time.After(patience):
			t.Fatal("nobody was woken")
		}
	}
	for _, r := range readers[2:] {
		require.Empty(t, r.Changed())
	}
}

func TestFeed_Follow_isBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{})
	for range maxReaders - 1 {
		_, err := b.Follow(FeedFilter{Org: "acme"})
		require.NoError(t, err)
	}
	last, err := b.Follow(FeedFilter{Org: "acme"})
	require.NoError(t, err)
	_, err = b.Follow(FeedFilter{Org: "acme"})
	require.Equal(t, core.KindRateLimited, core.KindOf(err))
	last.Close()
	last.Close()
	_, err = b.Follow(FeedFilter{Org: "acme"})
	require.NoError(t, err)
}

func TestFeed_Progress_ofItsRepositories(t *testing.T) {
	t.Parallel()
	running := map[string]core.Progress{"repo_gone": {Phase: "Resolving deltas"}}
	b := newBench(t, Options{Progress: func() map[string]core.Progress { return running }})
	for _, org := range []string{"acme", "other"} {
		if org != "acme" {
			require.NoError(t, b.db.CreateOrg(t.Context(), core.Org{Name: org, CreatedAt: b.clock.Now()}))
		}
		r := core.Repository{ID: "repo_" + org, Org: org, Name: "team/app", DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: b.clock.Now()}
		require.NoError(t, b.db.CreateRepository(t.Context(), r))
		running[r.ID] = core.Progress{Phase: "Receiving objects", Percent: 40}
	}
	got, err := b.Progress(t.Context(), FeedFilter{Org: "acme"})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "repo_acme", got[0].Repository.ID)
	require.Equal(t, 40, got[0].Progress.Percent)
	got, err = b.Progress(t.Context(), FeedFilter{Org: "acme", RepoID: "repo_other"})
	require.NoError(t, err)
	require.Empty(t, got)
}
