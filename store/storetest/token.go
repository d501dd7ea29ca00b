package storetest

import (
	"errors"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// issuerKey returns a key that the server makes, not stored yet.
func issuerKey(org string, at time.Time) core.Key {
	k := core.Key{ID: id("key"), Org: org, Algorithm: "ES256", PublicPEM: "public", CreatedAt: at, Issuer: true}
	k.KeyID = core.IssuerKeyID(k.ID)
	return k
}

// revocation returns one, not stored yet.
func revocation(org, value string) core.Revocation {
	return core.Revocation{
		ID: id("rev"), Org: org, Kind: core.RevokedSubject, Value: value, IssuedBefore: day(0), ExpiresAt: day(time.Hour), CreatedAt: day(time.Second),
		RevokedBy: "jo", Reason: "lost a laptop",
	}
}

var tokenTests = []namedTest{
	{"one issuer key of an organisation signs, and is listed as any key", func(f *fixture) {
		f.org("acme")
		f.org("other")
		_, _, err := f.store.IssuerKey(f.ctx, "acme")
		f.kind(core.KindNotFound, err)
		own := core.Key{ID: id("key"), Org: "acme", KeyID: "mine", Algorithm: "ES256", PublicPEM: "own", CreatedAt: day(0)}
		first, second := issuerKey("acme", day(time.Minute)), issuerKey("acme", day(time.Hour))
		require.NoError(f, f.store.AddKey(f.ctx, own))
		require.NoError(f, f.store.AddIssuerKey(f.ctx, first, "private"))
		require.NoError(f, f.store.AddIssuerKey(f.ctx, issuerKey("other", day(0)), "theirs"))
		f.kind(core.KindConflict, f.store.AddIssuerKey(f.ctx, second, "private 2"))
		got, private, err := f.store.IssuerKey(f.ctx, "acme")
		require.NoError(f, err)
		same(f, first, got)
		require.Equal(f, providers.Secret("private"), private)

		require.NoError(f, f.store.RetireIssuerKey(f.ctx, "acme", first.ID, day(24*time.Hour)))
		f.kind(core.KindNotFound, f.store.RetireIssuerKey(f.ctx, "acme", first.ID, day(48*time.Hour)))
		_, _, err = f.store.IssuerKey(f.ctx, "acme")
		f.kind(core.KindNotFound, err)
		require.NoError(f, f.store.AddIssuerKey(f.ctx, second, "private 2"))
		first.VerifiesUntil = day(24 * time.Hour)
		keys, err := f.store.Keys(f.ctx, "acme")
		require.NoError(f, err)
		same(f, []core.Key{own, first, second}, keys)
		n, err := f.store.ResealCredentials(f.ctx)
		require.NoError(f, err)
		require.Equal(f, 2, n, "those that sign")

		require.NoError(f, f.store.DisableKey(f.ctx, "acme", second.ID, day(2*time.Hour)))
		_, _, err = f.store.IssuerKey(f.ctx, "acme")
		f.kind(core.KindNotFound, err)
		require.NoError(f, f.store.AddIssuerKey(f.ctx, issuerKey("acme", day(2*time.Hour)), "private 3"))
	}},
	{"issuer keys: errors", func(f *fixture) {
		f.org("acme")
		f.kind(core.KindNotFound, f.store.AddIssuerKey(f.ctx, issuerKey("nobody", day(0)), "x"))
		own := core.Key{ID: id("key"), Org: "acme", CreatedAt: day(0)}
		require.NoError(f, f.store.AddKey(f.ctx, own))
		f.kind(core.KindNotFound, f.store.RetireIssuerKey(f.ctx, "acme", own.ID, day(0)))
		for _, kid := range []string{"headwater", "Headwater", "headwater:", "HEADWATER:key_1", " headwater :x"} {
			f.kind(core.KindInvalid, f.store.AddKey(f.ctx, core.Key{ID: id("key"), Org: "acme", KeyID: kid, CreatedAt: day(0)}))
		}
		for _, kid := range []string{"", "headwater-2", "key:headwater"} {
			k := core.Key{ID: id("key"), Org: "acme", KeyID: kid, CreatedAt: day(0), Issuer: true, VerifiesUntil: day(0)}
			require.NoError(f, f.store.AddKey(f.ctx, k))
			keys, err := f.store.Keys(f.ctx, "acme")
			require.NoError(f, err)
			last := keys[len(keys)-1]
			require.False(f, last.Issuer, "a key of its own is none of the server's")
			require.Zero(f, last.VerifiesUntil)
		}
	}},
	{"revocations have a growing place, also after a deletion", func(f *fixture) {
		var want []core.Revocation
		add := func(r core.Revocation) {
			f.Helper()
			seq, err := f.store.AddRevocation(f.ctx, r)
			require.NoError(f, err)
			r.Seq = seq
			want = append(want, r)
		}
		for i := range 3 {
			add(revocation("acme", "jo"+strconv.Itoa(i)))
		}
		theirs := revocation("other", "jo")
		theirs.ExpiresAt = time.Time{}
		add(theirs)
		all, err := f.store.RevocationsAfter(f.ctx, 0, 10)
		require.NoError(f, err)
		same(f, want, all)
		rest, err := f.store.RevocationsAfter(f.ctx, want[1].Seq, 1)
		require.NoError(f, err)
		same(f, want[2:3], rest)

		page, err := f.store.Revocations(f.ctx, "acme", 0, 2)
		require.NoError(f, err)
		same(f, []core.Revocation{want[2], want[1]}, page)
		page, err = f.store.Revocations(f.ctx, "acme", want[1].Seq, 2)
		require.NoError(f, err)
		same(f, want[:1], page)

		n, err := f.store.DeleteRevocations(f.ctx, day(time.Hour), 10)
		require.NoError(f, err)
		require.Zero(f, n, "until then, its tokens may still verify")
		n, err = f.store.DeleteRevocations(f.ctx, day(2*time.Hour), 2)
		require.NoError(f, err)
		require.Equal(f, 2, n)
		n, err = f.store.DeleteRevocations(f.ctx, day(2*time.Hour), 2)
		require.NoError(f, err)
		require.Equal(f, 1, n)
		last := want[3].Seq
		add(revocation("acme", "late"))
		require.Greater(f, want[4].Seq, last)
		all, err = f.store.RevocationsAfter(f.ctx, 0, 10)
		require.NoError(f, err)
		same(f, want[3:], all)
	}},
	{"revocations: errors, and with the transaction", func(f *fixture) {
		r := revocation("acme", "jo")
		_, err := f.store.AddRevocation(f.ctx, r)
		require.NoError(f, err)
		_, err = f.store.AddRevocation(f.ctx, r)
		f.kind(core.KindConflict, err)
		_, err = f.store.RevocationsAfter(f.ctx, 0, 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.Revocations(f.ctx, "acme", 0, 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.DeleteRevocations(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
		boom := errors.New("boom")
		require.Equal(f, boom, f.store.Tx(f.ctx, func(q core.Queries) error {
			_, err := q.AddRevocation(f.ctx, revocation("acme", "x"))
			require.NoError(f, err)
			return boom
		}))
		all, err := f.store.RevocationsAfter(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Len(f, all, 1)
	}},
}
