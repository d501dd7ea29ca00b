package rewrite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// branches makes refs at the upstream, all at one commit.
func (b *bench) branches(r core.Repository, id core.ObjectID, refs ...string) {
	b.Helper()
	for _, ref := range refs {
		b.ForgeGit(r, "update-ref", ref, string(id))
	}
}

func names(refs map[string]core.ObjectID) []string {
	var all []string
	for name := range refs {
		all = append(all, name)
	}
	return all
}

func TestService_filter_mirrorsWhatItLetsThrough(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings core.Settings
		want     []string
		listed   string // prefix that must not be asked for
	}{
		"folders": {
			core.Settings{Include: []string{"refs/heads/main", "refs/heads/release/**"}},
			[]string{"refs/heads/main", "refs/heads/release/1", "refs/heads/release/old/0"}, "refs/tags/",
		},
		"star stops at slashes": {
			core.Settings{Include: []string{"refs/heads/main", "refs/heads/release/*"}},
			[]string{"refs/heads/main", "refs/heads/release/1"}, "refs/tags/",
		},
		"exclude": {
			core.Settings{Exclude: []string{"refs/heads/tmp/**", "refs/tags/**", "refs/heads/maintenance"}},
			[]string{"refs/heads/main", "refs/heads/release/1", "refs/heads/release/old/0"}, "",
		},
		"both": {
			core.Settings{Include: []string{"refs/**"}, Exclude: []string{"refs/heads/**/old/*", "refs/heads/{tmp,maint}*/**", "refs/heads/maintenance"}},
			[]string{"refs/heads/main", "refs/heads/release/1", "refs/tags/v1"}, "refs/pull/",
		},
		"what is not there": {
			core.Settings{Include: []string{"refs/heads/main", "refs/heads/gone"}}, []string{"refs/heads/main"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{})
			r := b.Synced("a")
			one := b.ForgeCommit(r, "refs/heads/main", "one")
			b.branches(r, one, "refs/heads/maintenance", "refs/heads/release/1", "refs/heads/release/old/0", "refs/heads/tmp/a/b", "refs/tags/v1", "refs/pull/1/head")
			b.set(r, tc.settings)
			b.run(r) // the first mirror
			require.ElementsMatch(t, tc.want, names(b.Refs(r)))
			require.Len(t, b.Refs(r, core.TrackingPrefix), len(tc.want))
			if tc.listed != "" {
				require.Empty(t, b.Forge.Listed(tc.listed))
			}
			b.noFetch(r)

			b.branches(r, one, "refs/heads/tmp/other")
			b.noFetch(r) // nothing that is mirrored has changed, if it is left out
		})
	}
}

func TestService_filter_changes(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	for i := range 14 {
		b.branches(r, one, "refs/heads/tmp/"+string(rune('a'+i)))
	}
	lost := b.ForgeCommit(r, "refs/heads/tmp/x", "only here", one)
	b.run(r)
	settings := core.Settings{Exclude: []string{"refs/heads/tmp/**"}, RefPolicies: []core.RefPolicy{{Pattern: "refs/**", Action: core.RefHold}}}
	plan, err := b.sync.Plan(t.Context(), r, settings)
	require.NoError(t, err)
	require.Len(t, plan.Deleted, 15)
	require.Empty(t, plan.Created)
	require.Empty(t, plan.Held, "a filter is a person's wish, which no policy holds")
	require.Len(t, b.Refs(r), 16, "a plan changes nothing")

	b.set(r, settings)
	b.run(r) // no brake either
	require.Equal(t, []string{"refs/heads/main"}, names(b.Refs(r)))
	require.Equal(t, []string{core.TrackingRef("refs/heads/main")}, names(b.Refs(r, core.TrackingPrefix)))
	require.Len(t, b.rows(r, core.RewriteRetained), 15)
	b.noFetch(r)
	b.ForgeCommit(r, "refs/heads/tmp/x", "more", lost)
	b.noFetch(r)

	res := b.write(r, core.RefUpdate{Name: "refs/heads/tmp/mine", New: one}, core.RefUpdate{Name: "refs/heads/mine", New: one})
	require.Equal(t, core.KindPermission, res[0].Kind)
	require.Contains(t, res[0].Reason, "filter")
	require.True(t, res[1].OK())

	b.set(r, core.Settings{})
	b.run(r)
	require.Equal(t, b.UpstreamRefs(r), b.Refs(r))
}

func TestService_Plan_sortsWhatWouldHappen(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.branches(r, one, "refs/heads/gone", "refs/heads/back", "refs/heads/held", "refs/tags/v1")
	two := b.ForgeCommit(r, "refs/heads/on", "two", one)
	b.branches(r, two, "refs/heads/back")
	b.run(r)
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/gone")
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/held")
	b.branches(r, one, "refs/heads/back", "refs/heads/new")
	b.branches(r, two, "refs/tags/v1")
	three := b.ForgeCommit(r, "refs/heads/on", "three", two)
	before := b.Refs(r, "refs/")
	plan, err := b.sync.Plan(t.Context(), r, core.Settings{RefPolicies: []core.RefPolicy{{Pattern: "refs/heads/held", Action: core.RefFreeze}}})
	require.NoError(t, err)
	require.Equal(t, []core.RefUpdate{{Name: "refs/heads/new", New: one}}, plan.Created)
	require.Equal(t, []core.RefUpdate{{Name: "refs/heads/on", Old: two, New: three}}, plan.Moved, "its object is not here")
	require.Equal(t, []core.RefUpdate{{Name: "refs/heads/back", Old: two, New: one}, {Name: "refs/tags/v1", Old: one, New: two}}, plan.Forced)
	require.Equal(t, []core.RefUpdate{{Name: "refs/heads/gone", Old: one}}, plan.Deleted)
	require.Equal(t, []core.RefUpdate{{Name: "refs/heads/held", Old: one}}, plan.Held)
	require.Equal(t, before, b.Refs(r, "refs/"))

	// The rest is not let through by Settings.Validate.
	_, err = b.sync.Plan(t.Context(), r, core.Settings{Exclude: []string{"refs/heads/["}})
	require.Equal(t, core.KindInvalid, core.KindOf(err))
}

func TestInvariant12_pullRequestsOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r := b.Synced("a")
	b.Forge.Seed(coretest.ForgePath(r), forgetest.SeedOptions{Commits: 20, Branches: 8, Tags: 3, PullRefs: 5})
	b.run(r)
	require.Empty(t, b.Refs(r, "refs/pull/"))
	require.Empty(t, b.Forge.Listed("refs/pull/"))

	b.set(r, core.Settings{PullRequests: true})
	b.run(r)
	pulls := b.Refs(r, "refs/pull/")
	require.Len(t, pulls, 5)
	b.noFetch(r)
	require.Empty(t, b.rows(r))
	for name, id := range pulls {
		require.Equal(t, string(id), b.Forge.Ref(coretest.ForgePath(r), name))
		require.Equal(t, core.KindPermission, b.write(r, core.RefUpdate{Name: name, Old: id})[0].Kind, "they stay the host's")
	}
	b.ForgeGit(r, "update-ref", "-d", "refs/pull/1/head")
	b.run(r)
	require.Len(t, b.Refs(r, "refs/pull/"), 4, "pruned with them")

	b.set(r, core.Settings{})
	b.run(r)
	require.Empty(t, b.Refs(r, "refs/pull/"))
	require.Empty(t, b.Refs(r, core.TrackingPrefix+"pull/"))
	b.noFetch(r)
}
