package storetest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// rewrite returns a rewrite, not stored yet.
func rewrite(r core.Repository, ref string, state core.RewriteState) core.Rewrite {
	u := update(ref, "2")
	return core.Rewrite{
		ID: id("rw"), RepoID: r.ID, Ref: ref, Old: update(ref, "1").New, New: u.New, Source: core.SourceSync, Actor: "sync",
		State: state, CreatedAt: day(0),
	}
}

// rewrites stores rewrites in states of the same ref, oldest first.
func (f *fixture) rewrites(r core.Repository, ref string, states ...core.RewriteState) (all []core.Rewrite) {
	f.Helper()
	for _, s := range states {
		w := rewrite(r, ref, s)
		require.NoError(f, f.store.AddRewrite(f.ctx, w))
		all = append(all, w)
	}
	return all
}

var rewriteTests = []namedTest{
	{"add, read and save", func(f *fixture) {
		r := f.synced()
		w := rewrite(r, "refs/heads/a", core.RewriteHeld)
		require.NoError(f, f.store.AddRewrite(f.ctx, w))
		check := func() {
			f.Helper()
			got, err := f.store.Rewrite(f.ctx, r.ID, w.ID)
			require.NoError(f, err)
			same(f, w, got)
		}
		check()
		w.State, w.JournalID, w.New, w.Bytes = core.RewriteRestored, "jrn_1", core.ZeroSHA1, 1<<40
		w.DecidedAt, w.DecidedBy, w.ExpiresAt, w.Restored = day(time.Hour), "jo", day(2*time.Hour), "back"
		saved := w
		saved.RepoID, saved.Ref, saved.Old, saved.Actor, saved.CreatedAt = "repo_x", "x", "x", "x", day(time.Second)
		require.NoError(f, f.store.SaveRewrite(f.ctx, saved))
		check()
	}},
	{"list newest first, in pages, by ref and state", func(f *fixture) {
		r := f.synced()
		other := f.create(synced("acme", "other"))
		f.rewrites(other, "refs/heads/a", core.RewriteHeld)
		a := f.rewrites(r, "refs/heads/a", core.RewriteFollowed, core.RewriteRetained, core.RewriteHeld)
		b := f.rewrites(r, "refs/heads/b", core.RewriteRetained)
		for _, tt := range []struct {
			name   string
			filter core.RewriteFilter
			want   []core.Rewrite
		}{
			{"all", core.RewriteFilter{}, []core.Rewrite{b[0], a[2], a[1], a[0]}},
			{"a page", core.RewriteFilter{Limit: 2}, []core.Rewrite{b[0], a[2]}},
			{"the next page", core.RewriteFilter{Before: a[2].ID, Limit: 1}, []core.Rewrite{a[1]}},
			{"of a ref", core.RewriteFilter{Ref: "refs/heads/a", Before: a[2].ID}, []core.Rewrite{a[1], a[0]}},
			{"in a state", core.RewriteFilter{States: []core.RewriteState{core.RewriteRetained}}, []core.Rewrite{b[0], a[1]}},
			{"in two states, of a ref", core.RewriteFilter{Ref: "refs/heads/a", States: []core.RewriteState{core.RewriteHeld, core.RewriteFollowed}},
				[]core.Rewrite{a[2], a[0]}},
			{"in no state that there is", core.RewriteFilter{States: []core.RewriteState{core.RewriteExpired}}, nil},
		} {
			tt.filter.RepoID = r.ID
			if tt.filter.Limit == 0 {
				tt.filter.Limit = 10
			}
			got, err := f.store.Rewrites(f.ctx, tt.filter)
			require.NoError(f, err, tt.name)
			same(f, tt.want, got)
		}
	}},
	{"held ones, the newest of each ref", func(f *fixture) {
		r := f.synced()
		f.rewrites(f.create(synced("acme", "other")), "refs/heads/a", core.RewriteHeld)
		const (
			held, frozen, dismissed = core.RewriteHeld, core.RewriteFrozen, core.RewriteDismissed
			followed, replaced      = core.RewriteFollowed, core.RewriteReplaced
		)
		var want []core.Rewrite
		for _, tt := range []struct {
			ref    string
			states []core.RewriteState
			newest int // of states, that is wanted; -1: none
		}{
			{"refs/heads/a-held", []core.RewriteState{held}, 0},
			{"refs/heads/b-held-twice", []core.RewriteState{held, held}, 1},
			{"refs/heads/c-replaced", []core.RewriteState{replaced, held}, 1},
			{"refs/heads/d-frozen", []core.RewriteState{followed, frozen}, 1},
			{"refs/heads/e-moved-by-us-since", []core.RewriteState{held, followed}, 0},
			{"refs/heads/f-dismissed", []core.RewriteState{held, dismissed}, 1},
			{"refs/heads/g-dismissed-and-moved-since", []core.RewriteState{dismissed, followed}, -1},
			{"refs/heads/h-dismissed-and-held-again", []core.RewriteState{dismissed, held}, 1},
			{"refs/heads/i-followed", []core.RewriteState{followed, core.RewriteRetained, core.RewriteApproved, core.RewriteExpired}, -1},
		} {
			all := f.rewrites(r, tt.ref, tt.states...)
			if tt.newest >= 0 {
				want = append(want, all[tt.newest])
			}
		}
		// What was kept and let go did move its ref.
		letGo := rewrite(r, "refs/heads/j-let-go", dismissed)
		letGo.JournalID = "jrn_1"
		require.NoError(f, f.store.AddRewrite(f.ctx, letGo))
		got, err := f.store.HeldRewrites(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, want, got)
	}},
	{"expired ones of all repositories, the first first", func(f *fixture) {
		r := f.synced()
		other := f.create(synced("acme", "other"))
		var want []core.Rewrite
		for _, tt := range []struct {
			r       core.Repository
			state   core.RewriteState
			expires time.Time
			want    bool
		}{
			{r, core.RewriteRetained, day(0), true},
			{other, core.RewriteRetained, day(-time.Hour), true},
			{r, core.RewriteRetained, day(time.Microsecond), false},
			{r, core.RewriteRetained, time.Time{}, false},
			{r, core.RewriteDismissed, day(-time.Hour), false},
		} {
			w := rewrite(tt.r, "refs/heads/a", tt.state)
			w.ExpiresAt = tt.expires
			require.NoError(f, f.store.AddRewrite(f.ctx, w))
			if tt.want {
				want = append(want, w)
			}
		}
		slices.Reverse(want)
		got, err := f.store.ExpiredRewrites(f.ctx, day(0), 10)
		require.NoError(f, err)
		same(f, want, got)
		got, err = f.store.ExpiredRewrites(f.ctx, day(0), 1)
		require.NoError(f, err)
		same(f, want[:1], got)
	}},
	{"errors", func(f *fixture) {
		r := f.synced()
		w := f.rewrites(r, "refs/heads/a", core.RewriteHeld)[0]
		f.kind(core.KindConflict, f.store.AddRewrite(f.ctx, w))
		f.kind(core.KindNotFound, f.store.AddRewrite(f.ctx, rewrite(core.Repository{ID: "repo_none"}, "a", core.RewriteHeld)))
		f.kind(core.KindNotFound, f.store.SaveRewrite(f.ctx, core.Rewrite{ID: "rw_none"}))
		_, err := f.store.Rewrite(f.ctx, "repo_none", w.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.Rewrites(f.ctx, core.RewriteFilter{RepoID: r.ID})
		f.kind(core.KindInvalid, err)
		_, err = f.store.ExpiredRewrites(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
	}},
}
