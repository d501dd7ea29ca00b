package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// mirrorSet returns a set of the owner "Group", not stored yet.
func mirrorSet(org string) core.MirrorSet {
	return core.MirrorSet{
		ID: id("mset"), Org: org, Provider: "gitlab", Public: true, Host: "GitLab.example", Owner: "Group", Prefix: "team", Include: []string{"a*", "b/*"},
		Exclude: []string{"*-old"}, Archived: true, Forks: true, CredentialID: "gsc_1", Follow: true, NextLookAt: day(time.Hour),
		CreatedAt: day(0), UpdatedAt: day(0),
	}
}

var mirrorSetTests = []namedTest{
	{"a set is saved, replaced by its owner, and deleted with its entries", func(f *fixture) {
		f.org("acme")
		f.org("other")
		want := mirrorSet("acme")
		got, err := f.store.SaveMirrorSet(f.ctx, want)
		require.NoError(f, err)
		want.Host = "gitlab.example"
		same(f, want, got)
		got, err = f.store.MirrorSet(f.ctx, "acme", want.ID)
		require.NoError(f, err)
		same(f, want, got)
		_, err = f.store.MirrorSet(f.ctx, "other", want.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.SaveMirrorSet(f.ctx, mirrorSet("nobody"))
		f.kind(core.KindNotFound, err)

		// The same owner in other letters is the same set: its wish is replaced, and what
		// was found of it before does not count.
		look := want
		look.LookedAt, look.Failures, look.LastError, look.NextLookAt = day(time.Minute), 2, "the host does not answer", day(2*time.Hour)
		require.NoError(f, f.store.RecordMirrorLook(f.ctx, look))
		got, err = f.store.MirrorSet(f.ctx, "acme", want.ID)
		require.NoError(f, err)
		same(f, look, got)
		again := core.MirrorSet{ID: id("mset"), Org: "acme", Provider: "gitlab", Host: "gitlab.EXAMPLE", Owner: "gROUP", NextLookAt: day(3 * time.Hour), CreatedAt: day(time.Minute), UpdatedAt: day(time.Minute)}
		got, err = f.store.SaveMirrorSet(f.ctx, again)
		require.NoError(f, err)
		again.ID, again.Host, again.Owner, again.CreatedAt = want.ID, want.Host, want.Owner, want.CreatedAt
		require.Empty(f, got.Include)
		require.Empty(f, got.Exclude)
		got.Include, got.Exclude = nil, nil
		same(f, again, got)

		// A look that began before the new wish leaves the time of the next look alone.
		require.NoError(f, f.store.RecordMirrorLook(f.ctx, look))
		got, err = f.store.MirrorSet(f.ctx, "acme", want.ID)
		require.NoError(f, err)
		require.Equal(f, again.NextLookAt, got.NextLookAt)
		require.Equal(f, 2, got.Failures)

		e := core.MirrorEntry{SetID: want.ID, UpstreamID: "7", Path: "Group/app", Name: "team/app", Action: core.MirrorCreate, SeenAt: day(0)}
		require.NoError(f, f.store.SaveMirrorEntry(f.ctx, e))
		f.kind(core.KindNotFound, f.store.DeleteMirrorSet(f.ctx, "other", want.ID))
		require.NoError(f, f.store.DeleteMirrorSet(f.ctx, "acme", want.ID))
		f.kind(core.KindNotFound, f.store.DeleteMirrorSet(f.ctx, "acme", want.ID))
		f.kind(core.KindNotFound, f.store.RecordMirrorLook(f.ctx, look))
		f.kind(core.KindNotFound, f.store.SaveMirrorEntry(f.ctx, e))
		entries, err := f.store.MirrorEntries(f.ctx, want.ID)
		require.NoError(f, err)
		require.Empty(f, entries)
	}},
	{"which are due, and when the next one is", func(f *fixture) {
		f.org("acme")
		f.org("other")
		next, err := f.store.NextMirrorLook(f.ctx)
		require.NoError(f, err)
		require.True(f, next.IsZero())
		for i, s := range []struct {
			org, owner string
			at         time.Time
		}{{"acme", "late", day(2 * time.Hour)}, {"other", "early", day(time.Hour)}, {"acme", "never", time.Time{}}} {
			set := mirrorSet(s.org)
			set.ID, set.Owner, set.NextLookAt = fmt.Sprint("mset_", i), s.owner, s.at
			_, err := f.store.SaveMirrorSet(f.ctx, set)
			require.NoError(f, err)
		}
		next, err = f.store.NextMirrorLook(f.ctx)
		require.NoError(f, err)
		require.Equal(f, day(time.Hour), next)
		for at, want := range map[time.Duration][]string{0: {}, time.Hour: {"early"}, 3 * time.Hour: {"early", "late"}} {
			due, err := f.store.DueMirrorSets(f.ctx, day(at))
			require.NoError(f, err)
			owners := []string{}
			for _, s := range due {
				owners = append(owners, s.Owner)
			}
			require.Equal(f, want, owners, at)
		}
		all, err := f.store.MirrorSets(f.ctx, "acme")
		require.NoError(f, err)
		require.Len(f, all, 2)
		require.Equal(f, []string{"late", "never"}, []string{all[0].Owner, all[1].Owner})
	}},
	{"entries say how their repository is", func(f *fixture) {
		r := f.synced()
		set, err := f.store.SaveMirrorSet(f.ctx, mirrorSet("acme"))
		require.NoError(f, err)
		e := core.MirrorEntry{SetID: set.ID, UpstreamID: "2", Path: "Group/tool", Name: "tool", RepoID: r.ID, Action: core.MirrorCreate, SeenAt: day(0)}
		missing := core.MirrorEntry{SetID: set.ID, UpstreamID: "1", Path: "Group/app", Name: "app", Action: core.MirrorConflict, Reason: "the name is taken", SeenAt: day(0), GoneAt: day(time.Minute)}
		for _, e := range []core.MirrorEntry{e, missing} {
			require.NoError(f, f.store.SaveMirrorEntry(f.ctx, e))
		}
		entries := func() []core.MirrorEntry {
			f.Helper()
			all, err := f.store.MirrorEntries(f.ctx, set.ID)
			require.NoError(f, err)
			return all
		}
		e.Exists = true
		same(f, []core.MirrorEntry{missing, e}, entries())

		s := f.take(r.ID)
		s.FirstSyncedAt, s.Failures, s.LastClass, s.LastError = day(0), 3, core.ClassAuth, "the host refuses the credential"
		f.save(s)
		e.Action, e.Reason, e.Path, e.SeenAt = core.MirrorMove, "it was Group/tool", "Group/x-tool", day(time.Hour)
		require.NoError(f, f.store.SaveMirrorEntry(f.ctx, e))
		e.Ready, e.Failures, e.LastClass, e.LastError = true, 3, s.LastClass, s.LastError
		same(f, []core.MirrorEntry{missing, e}, entries())

		require.NoError(f, f.store.TrashRepository(f.ctx, r.ID, day(0), day(time.Hour)))
		require.False(f, entries()[1].Exists, "what is in the trash is not here")
	}},
}
