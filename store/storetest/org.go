package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var orgTests = []namedTest{
	{"create, read and list by name", func(f *fixture) {
		none, err := f.store.Orgs(f.ctx)
		require.NoError(f, err)
		require.Empty(f, none)
		f.org("zeta")
		f.org("alpha")
		want := []core.Org{{Name: "alpha", CreatedAt: day(0)}, {Name: "zeta", CreatedAt: day(0)}}
		all, err := f.store.Orgs(f.ctx)
		require.NoError(f, err)
		same(f, want, all)
		one, err := f.store.Org(f.ctx, "zeta")
		require.NoError(f, err)
		same(f, want[1], one)
	}},
	{"deletion begins, takes nothing new, and ends when no repository is left", func(f *fixture) {
		r := f.synced()
		f.org("other")
		deleted := f.create(local("acme", "deleted"))
		require.NoError(f, f.store.TrashRepository(f.ctx, deleted.ID, day(0), day(time.Hour)))
		k := core.Key{ID: id("key"), Org: "acme", Algorithm: "ES256", PublicPEM: "pem", CreatedAt: day(0)}
		require.NoError(f, f.store.AddKey(f.ctx, k))
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{event(r, "", "")}))
		require.NoError(f, f.store.AddAudit(f.ctx, audit(r, "push")))
		f.kind(core.KindNotFound, f.store.BeginDeleteOrg(f.ctx, "none", day(0)))
		f.kind(core.KindConflict, f.store.FinishDeleteOrg(f.ctx, "acme"))
		f.kind(core.KindNotFound, f.store.FinishDeleteOrg(f.ctx, "other"))

		require.NoError(f, f.store.BeginDeleteOrg(f.ctx, "acme", day(time.Minute)))
		require.NoError(f, f.store.BeginDeleteOrg(f.ctx, "acme", day(time.Hour)), "again")
		got, err := f.store.Org(f.ctx, "acme")
		require.NoError(f, err)
		require.Equal(f, day(time.Minute), got.DeletingAt)
		keys, err := f.store.Keys(f.ctx, "acme")
		require.NoError(f, err)
		require.Empty(f, keys)
		f.kind(core.KindConflict, f.store.AddKey(f.ctx, k))
		f.kind(core.KindConflict, f.store.CreateRepository(f.ctx, local("acme", "new")))
		f.kind(core.KindConflict, f.store.CreateOrg(f.ctx, core.Org{Name: "acme", CreatedAt: day(1)}))
		f.kind(core.KindConflict, f.store.FinishDeleteOrg(f.ctx, "acme"))
		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		f.kind(core.KindConflict, f.store.FinishDeleteOrg(f.ctx, "acme"))
		require.NoError(f, f.store.DeleteRepository(f.ctx, deleted.ID))
		require.NoError(f, f.store.FinishDeleteOrg(f.ctx, "acme"))
		f.kind(core.KindNotFound, f.store.FinishDeleteOrg(f.ctx, "acme"))
		_, err = f.store.Org(f.ctx, "acme")
		f.kind(core.KindNotFound, err)
		events, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Empty(f, events)
		entries, err := f.store.Audit(f.ctx, core.AuditFilter{Org: "acme", Limit: 10})
		require.NoError(f, err)
		require.Len(f, entries, 1)
		f.org("acme")
	}},
	{"a taken name is a conflict", func(f *fixture) {
		f.org("acme")
		f.kind(core.KindConflict, f.store.CreateOrg(f.ctx, core.Org{Name: "acme", CreatedAt: day(1)}))
	}},
	{"a missing one is not found", func(f *fixture) {
		_, err := f.store.Org(f.ctx, "nobody")
		f.kind(core.KindNotFound, err)
	}},
	{"keys are listed oldest first, disabled ones too", func(f *fixture) {
		f.org("acme")
		f.org("other")
		newer := core.Key{ID: id("key"), Org: "acme", KeyID: "k2", Algorithm: "ES256", PublicPEM: "two", CreatedAt: day(time.Hour)}
		older := core.Key{ID: id("key"), Org: "acme", Algorithm: "EdDSA", PublicPEM: "one", CreatedAt: day(0)}
		for _, k := range []core.Key{newer, older, {ID: id("key"), Org: "other", CreatedAt: day(0)}} {
			require.NoError(f, f.store.AddKey(f.ctx, k))
		}
		require.NoError(f, f.store.DisableKey(f.ctx, "acme", older.ID, day(2*time.Hour)))
		older.DisabledAt = day(2 * time.Hour)
		got, err := f.store.Keys(f.ctx, "acme")
		require.NoError(f, err)
		same(f, []core.Key{older, newer}, got)
	}},
	{"a disabled key keeps its time", func(f *fixture) {
		f.org("acme")
		k := core.Key{ID: id("key"), Org: "acme", CreatedAt: day(0)}
		require.NoError(f, f.store.AddKey(f.ctx, k))
		require.NoError(f, f.store.DisableKey(f.ctx, "acme", k.ID, day(time.Hour)))
		require.NoError(f, f.store.DisableKey(f.ctx, "acme", k.ID, day(2*time.Hour)))
		got, err := f.store.Keys(f.ctx, "acme")
		require.NoError(f, err)
		require.Equal(f, day(time.Hour), got[0].DisabledAt)
	}},
	{"keys: errors", func(f *fixture) {
		f.org("acme")
		k := core.Key{ID: id("key"), Org: "acme", CreatedAt: day(0)}
		require.NoError(f, f.store.AddKey(f.ctx, k))
		f.kind(core.KindConflict, f.store.AddKey(f.ctx, k))
		f.kind(core.KindNotFound, f.store.AddKey(f.ctx, core.Key{ID: id("key"), Org: "nobody"}))
		f.kind(core.KindNotFound, f.store.DisableKey(f.ctx, "acme", "key_none", day(0)))
		f.kind(core.KindNotFound, f.store.DisableKey(f.ctx, "nobody", k.ID, day(0)))
		none, err := f.store.Keys(f.ctx, "nobody")
		require.NoError(f, err)
		require.Empty(f, none)
	}},
}
