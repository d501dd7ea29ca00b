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
