package rewrite_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// model is what refs must be here, as computed by a few lines instead of by the
// code under test.
type model struct {
	parents map[core.ObjectID][]core.ObjectID
	here    map[string]core.ObjectID
	lost    map[core.ObjectID]bool // tips that some ref left behind under follow+retain
}

func (m *model) descends(from, to core.ObjectID) bool {
	return from == to || slices.ContainsFunc(m.parents[to], func(p core.ObjectID) bool { return m.descends(from, p) })
}

// rewrites reports whether a move loses history.
func (m *model) rewrites(ref string, from, to core.ObjectID) bool {
	return from != "" && from != to && (to == "" || strings.HasPrefix(ref, "refs/tags/") || !m.descends(from, to))
}

// set moves a ref.
func (m *model) set(ref string, to core.ObjectID, action core.RefAction) {
	if from := m.here[ref]; m.rewrites(ref, from, to) && action != core.RefFollow {
		m.lost[from] = true
	}
	if to == "" {
		delete(m.here, ref)
	} else {
		m.here[ref] = to
	}
}

// follow is a sync of what the upstream has. keep is the branch that stays for
// want of a successor.
func (m *model) follow(there map[string]core.ObjectID, rules repo.Rules, keep string) {
	stay := map[string]bool{}
	for ref, at := range m.here {
		to := there[ref]
		action := rules.Action(ref)
		held := action == core.RefFreeze || action == core.RefHold && m.rewrites(ref, at, to)
		if ref == keep || held {
			stay[ref] = true
			continue
		}
		if to != at {
			defer m.set(ref, to, action)
		}
	}
	for ref, to := range there {
		if _, ok := m.here[ref]; ok || slices.ContainsFunc(slices.Collect(maps.Keys(stay)), func(s string) bool {
			_, upstream := there[s]
			return !upstream && (strings.HasPrefix(ref, s+"/") || strings.HasPrefix(s, ref+"/"))
		}) {
			continue
		}
		defer m.set(ref, to, core.RefFollow)
	}
}

// Whatever happens at the upstream and here, under whatever policies: after a
// sync every ref is where its policy wants it, and every tip that was left
// behind can be restored after a maintenance that keeps nothing unreferenced.
func TestInvariant10_randomHistories(t *testing.T) {
	t.Parallel()
	benches := map[bool]*bench{false: newBench(t, coretest.Options{}), true: newBench(t, coretest.Options{SQLFirst: true})}
	names := []string{"a", "a/b", "a/b/c", "main", "z"}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		b := benches[rapid.Bool().Draw(rt, "SQL first")]
		r := b.Synced(fmt.Sprint("r", n))
		m := &model{parents: map[core.ObjectID][]core.ObjectID{}, here: map[string]core.ObjectID{}, lost: map[core.ObjectID]bool{}}
		commit := func(label string, parents ...core.ObjectID) core.ObjectID {
			dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
			require.NoError(rt, err)
			id := coretest.Commit(b, dir, label, parents...)
			m.parents[id] = parents
			return id
		}
		var pool []core.ObjectID
		pool = append(pool, commit("root"))
		for i := range 3 {
			pool = append(pool, commit(fmt.Sprint("c", i), pool[rapid.IntRange(0, i).Draw(rt, "parent")]))
		}
		pool = append(pool, commit("merge", pool[2], pool[3]), commit("root 2"))
		b.ForgeGit(r, "update-ref", "refs/heads/main", string(pool[0]))
		b.ForgeGit(r, "update-ref", "refs/heads/anchor", string(pool[0])) // an upstream without refs is another test
		b.run(r)
		m.here["refs/heads/main"], m.here["refs/heads/anchor"] = pool[0], pool[0]

		actions := []core.RefAction{core.RefFollow, core.RefFollowRetain, core.RefHold, core.RefFreeze}
		var settings core.Settings
		for _, pattern := range []string{"refs/heads/a", "refs/heads/a/**", "refs/heads/main", "refs/tags/**"} {
			if rapid.Bool().Draw(rt, "policy") {
				settings.RefPolicies = append(settings.RefPolicies, core.RefPolicy{Pattern: pattern, Action: rapid.SampledFrom(actions).Draw(rt, "action")})
			}
		}
		b.set(r, settings)
		rules, err := repo.NewRules(r, settings)
		require.NoError(rt, err)
		ref := func() string {
			return rapid.SampledFrom([]string{"refs/heads/", "refs/heads/", "refs/tags/"}).Draw(rt, "kind") + rapid.SampledFrom(names).Draw(rt, "name")
		}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for range rapid.IntRange(1, 4).Draw(rt, "changes") {
				dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
				require.NoError(rt, err)
				name, id := ref(), rapid.SampledFrom(pool).Draw(rt, "id")
				switch rapid.IntRange(0, 3).Draw(rt, "change") {
				case 0, 1: // create, move, force; a name conflict is refused there
					_, _ = coretest.TryRun(context.Background(), dir, "", "update-ref", name, string(id))
				case 2:
					_, _ = coretest.TryRun(context.Background(), dir, "", "update-ref", "-d", name)
				case 3: // a push through us, of what is here
					if _, err := coretest.TryRun(context.Background(), b.Path(r), "", "cat-file", "-e", string(id)); err != nil {
						continue
					}
					if next := rapid.SampledFrom([]core.ObjectID{"", id}).Draw(rt, "pushed"); next != m.here[name] {
						if b.write(r, core.RefUpdate{Name: name, Old: m.here[name], New: next})[0].OK() {
							m.set(name, next, rules.Action(name))
						}
					}
				}
			}
			run := b.run(r)
			there := b.UpstreamRefs(r)
			keep := ""
			if _, ok := there["refs/heads/"+b.Reload(r).DefaultBranch]; !ok && len(there) > 0 {
				keep = "refs/heads/" + b.Reload(r).DefaultBranch
			}
			m.follow(there, rules, keep)
			require.Equal(rt, m.here, b.Refs(r), "%+v", run)
			b.asksOnce(rt, r, rules)
		}
		b.scour(r)
		kept := map[core.ObjectID]core.Rewrite{}
		for _, row := range b.rows(r, core.RewriteRetained) {
			kept[row.Old] = row
		}
		require.Len(rt, kept, len(m.lost))
		i := 0
		for tip := range m.lost {
			i++
			row, ok := kept[tip]
			require.True(rt, ok, "%s is not kept", tip)
			_, err := b.Restore(context.Background(), b.caller(r), row.ID, fmt.Sprint("restored-", i))
			require.NoError(rt, err)
			require.Equal(rt, tip, b.UpstreamRefs(r)[fmt.Sprint("refs/heads/restored-", i)])
		}
	})
}

// asksOnce requires that there is one open question for every ref that a policy
// holds away from the upstream, and no other.
func (b *bench) asksOnce(rt *rapid.T, r core.Repository, rules repo.Rules) {
	tracking := b.Refs(r, core.TrackingPrefix)
	open := map[string]core.ObjectID{}
	for _, row := range b.rows(r, core.RewriteHeld, core.RewriteFrozen) {
		_, twice := open[row.Ref]
		require.False(rt, twice, row.Ref)
		open[row.Ref] = row.New
	}
	for ref, at := range b.Refs(r) {
		action := rules.Action(ref)
		if to := tracking[core.TrackingRef(ref)]; (action == core.RefHold || action == core.RefFreeze) && to != at && ref != "refs/heads/"+b.Reload(r).DefaultBranch {
			id, ok := open[ref]
			require.True(rt, ok, ref)
			require.Equal(rt, to, id)
		}
	}
	for ref := range open {
		require.NotEqual(rt, b.Refs(r)[ref], tracking[core.TrackingRef(ref)], ref)
	}
}
