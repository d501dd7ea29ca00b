package repo_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// refModel is what the refs of a repository are, as computed by a map.
type refModel map[string]core.ObjectID

// apply returns the refs after the updates, deletes first, and whether they can
// be: every ref is where its update says, and no name is a folder of another.
func (m refModel) apply(updates []core.RefUpdate) (refModel, bool) {
	next := maps.Clone(m)
	for _, deletes := range []bool{true, false} {
		for _, u := range updates {
			if u.IsDelete() != deletes {
				continue
			}
			if next[u.Name] != u.Old {
				return m, false
			}
			if delete(next, u.Name); !deletes {
				next[u.Name] = u.New
			}
		}
	}
	for name := range next {
		for other := range next {
			if strings.HasPrefix(other, name+"/") {
				return m, false
			}
		}
	}
	return next, true
}

// Random transactions, some of which a crash cuts off at a random step: with both
// commit points the refs are those of the model, each change has one event, and
// nothing stays open. In a crash the refs go either way, as a whole with SQL first;
// what became of them is what the events say.
func TestInvariant17_randomTransactions(t *testing.T) {
	t.Parallel()
	for name, sqlFirst := range coretest.CommitPoints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			armed := ""
			w := coretest.NewWorld(t, coretest.Options{SQLFirst: sqlFirst, Failpoint: func(name string) {
				if name == armed {
					panic(crash(name))
				}
			}})
			n := 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				k := &randomWalk{World: w, rt: rt, repo: w.Local(fmt.Sprint("r", n)), refs: refModel{}}
				k.ids = []core.ObjectID{coretest.Commit(t, w.Path(k.repo), "one"), coretest.Commit(t, w.Path(k.repo), "two")}
				for range rapid.IntRange(1, 6).Draw(rt, "transactions") {
					in := repo.Intent{Repo: k.repo, Source: core.SourcePush, Actor: "t", Updates: k.updates()}
					armed = rapid.SampledFrom([]string{"", "", "", "journal-sent", "sql-committed", "refs-deleted", "refs-applied", "recorded"}).Draw(rt, "crash at")
					crashed := k.run(in)
					armed = ""
					if crashed {
						k.restart(in.Updates)
					}
					require.Equal(rt, map[string]core.ObjectID(k.refs), w.Refs(k.repo, "refs/heads/"))
					require.Equal(rt, k.events, w.Events(k.repo))
				}
				open, err := w.Store.OpenJournals(context.Background())
				require.NoError(rt, err)
				require.Empty(rt, open)
			})
		})
	}
}

// randomWalk is one run of the property.
type randomWalk struct {
	*coretest.World
	rt     *rapid.T
	repo   core.Repository
	ids    []core.ObjectID
	refs   refModel
	events []string // refs of push events
}

// updates draws updates of nested names; most of them are possible.
func (k *randomWalk) updates() []core.RefUpdate {
	var updates []core.RefUpdate
	for _, name := range []string{"a", "a/b", "a/b/c", "b"} {
		if !rapid.Bool().Draw(k.rt, name) {
			continue
		}
		u := core.RefUpdate{Name: "refs/heads/" + name, New: rapid.SampledFrom(append([]core.ObjectID{""}, k.ids...)).Draw(k.rt, "new")}
		u.Old = k.refs[u.Name]
		if rapid.IntRange(0, 5).Draw(k.rt, "stale") == 0 {
			u.Old = k.ids[0]
		}
		if !u.Old.IsZero() || !u.New.IsZero() {
			updates = append(updates, u)
		}
	}
	return updates
}

// run carries the intent out and reports whether it crashed.
func (k *randomWalk) run(in repo.Intent) (crashed bool) {
	if len(in.Updates) == 0 {
		return false
	}
	defer func() {
		if at := recover(); at != nil {
			if _, ok := at.(crash); !ok {
				panic(at)
			}
			crashed = true
		}
	}()
	o, err := k.Repos.Transact(context.Background(), in)
	require.NoError(k.rt, err)
	next, possible := k.refs.apply(in.Updates)
	if !possible {
		require.Equal(k.rt, core.JournalDropped, o.State)
		_, refused := repo.IsRefError(o.Err)
		require.True(k.rt, refused, "%v", o.Err)
		return false
	}
	require.Equal(k.rt, core.JournalApplied, o.State)
	require.NoError(k.rt, o.Err)
	k.happened(next, in.Updates)
	return false
}

func (k *randomWalk) happened(refs refModel, updates []core.RefUpdate) {
	k.refs = refs
	for _, u := range updates {
		k.events = append(k.events, u.Name)
	}
}

// restart opens everything anew and settles what a crash left, as core/push does.
func (k *randomWalk) restart(updates []core.RefUpdate) {
	ctx := context.Background()
	k.Open()
	require.NoError(k.rt, k.Repos.Recover(ctx))
	here := k.Refs(k.repo, "refs/heads/")
	open, err := k.Store.OpenJournals(ctx)
	require.NoError(k.rt, err)
	if len(open) == 0 {
		next, possible := k.refs.apply(updates) // it was recorded
		require.True(k.rt, possible)
		k.happened(next, updates)
		return
	}
	require.Len(k.rt, open, 1)
	var done []core.RefUpdate
	for _, u := range open[0].Updates {
		if here[u.Name] == u.New {
			done = append(done, u)
		}
	}
	o, err := k.Repos.Resume(ctx, repo.Unfinished{Entry: open[0]}, k.repo, repo.Answer{Accepted: done}, nil)
	require.NoError(k.rt, err)
	require.NoError(k.rt, o.Err)
	next := maps.Clone(k.refs)
	for _, u := range done {
		if delete(next, u.Name); !u.IsDelete() {
			next[u.Name] = u.New
		}
	}
	k.happened(next, done)
}

// With SQL first a change that the disk cannot follow has happened all the same, and
// the next reader brings the copy forward.
func TestRepos_Current_bringsACopyForward(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{SQLFirst: true})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/a", New: one}, core.RefUpdate{Name: "refs/heads/gone", New: one}))
	lock := filepath.Join(w.Path(r), "refs/heads/a.lock")
	write(t, lock, "")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/a", Old: one}, core.RefUpdate{Name: "refs/heads/a/b", New: one}, core.RefUpdate{Name: "refs/heads/gone", Old: one}))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a": one, "refs/heads/gone": one}, w.Refs(r), "the disk is behind")
	require.Error(t, w.Repos.Current(t.Context(), r))
	require.NoError(t, os.Remove(lock))
	require.NoError(t, w.Repos.Current(t.Context(), r))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a/b": one}, w.Refs(r))
	require.Len(t, w.Events(r), 5)
}
