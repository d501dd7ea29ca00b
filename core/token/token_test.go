package token_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/token"
	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// bench is the service over a real store, with a verifier beside it.
type bench struct {
	*coretest.World
	clock *coretest.Clock
	*token.Service
	verifier *access.Verifier
	org      string
	repo     core.Repository
	signer   access.PrivateKey
	key      core.Key
	now      time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	clock := coretest.NewClock()
	b := &bench{World: coretest.NewWorld(t, coretest.Options{Clock: clock}), clock: clock}
	b.repo = b.Local("team/app")
	b.org, b.now = b.repo.Org, b.Clock.Now()
	private, public, err := access.GenerateES256()
	require.NoError(t, err)
	b.signer, err = access.ParsePrivateKey(private)
	require.NoError(t, err)
	b.key = core.Key{ID: core.NewID("key", b.now), Org: b.org, KeyID: "mine", Algorithm: "ES256", PublicPEM: string(public), CreatedAt: b.now}
	require.NoError(t, b.Store.AddKey(t.Context(), b.key))
	b.verifier = access.NewVerifier(b.Store, b.Clock).WithRevocations(b.Store)
	b.Service = token.New(token.Options{Store: b.Store, Clock: b.Clock, Operation: operation, Changed: b.verifier.Outdate})
	return b
}

// operation knows some of the API's.
func operation(name string, orgWide bool) (access.Operation, bool) {
	ops := map[string]access.Operation{
		"listFiles": {Scope: access.GitRead}, "createCommit": {Scope: access.GitWrite}, "getRepository": {}, "listRepositories": {Scope: access.OrgRead},
		"issueToken": {Scope: access.RepoWrite, SignedOnly: true},
	}
	op, ok := ops[name]
	op.Name = name
	return op, ok
}

// own returns the identity of a token that the organisation signs.
func (b *bench) own(t *testing.T, change ...func(c *access.Claims)) access.Identity {
	t.Helper()
	c := access.Claims{Issuer: b.org, Subject: "jo", Repo: "org", Scopes: access.Scopes(), IssuedAt: b.Clock.Now(), ExpiresAt: b.Clock.Now().Add(time.Hour)}
	for _, f := range change {
		f(&c)
	}
	text, err := access.Sign(b.signer, c)
	require.NoError(t, err)
	id, err := b.verifier.Verify(t.Context(), text)
	require.NoError(t, err)
	return id
}

// issue issues a token, and returns what it is verified to be.
func (b *bench) issue(t *testing.T, change ...func(r *token.Request)) (token.Issued, access.Identity) {
	t.Helper()
	r := b.request(t, change...)
	issued, err := b.Issue(t.Context(), r)
	require.NoError(t, err)
	id, err := b.verifier.Verify(t.Context(), issued.Token)
	require.NoError(t, err)
	return issued, id
}

func (b *bench) request(t *testing.T, change ...func(r *token.Request)) token.Request {
	t.Helper()
	by := b.own(t)
	r := token.Request{By: by, Actor: by.Actor(), Repo: &b.repo, Operations: []string{"listFiles", "getRepository", "listFiles"}}
	for _, f := range change {
		f(&r)
	}
	return r
}

// actions are what the audit says, newest first.
func (b *bench) actions(t *testing.T) []string {
	t.Helper()
	entries, err := b.Store.Audit(t.Context(), core.AuditFilter{Org: b.org, Limit: 100})
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Action+" "+e.Target)
	}
	return all
}

func TestService_Issue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	issued, id := b.issue(t)
	require.True(t, id.Issued())
	require.Equal(t, b.repo.ID, id.Repo, "the id, so that another repository of the name is not meant")
	require.True(t, id.Names(b.repo))
	require.Equal(t, []access.Scope{access.GitRead}, id.Scopes, "what the operations need")
	require.Equal(t, "jo", id.Subject)
	require.Equal(t, b.key.ID, id.IssuedBy)
	require.Equal(t, issued.ID, id.TokenID)
	require.Equal(t, issued.Hash, id.TokenHash)
	require.Equal(t, []string{"getRepository", "listFiles"}, issued.Operations)
	require.Equal(t, time.Hour, id.ExpiresAt.Sub(id.IssuedAt))
	require.Equal(t, []string{"token.issue " + issued.ID}, b.actions(t))

	wide, id := b.issue(t, func(r *token.Request) {
		r.Repo, r.Operations, r.Subject, r.Life = nil, []string{"listRepositories"}, "console of mo", access.MaxIssuedLife
	})
	require.True(t, id.OrgWide())
	require.Equal(t, "console of mo", id.Subject)
	require.Equal(t, issued.Key.ID, wide.Key.ID, "one key")

	// The public half is listed like any key, and no private one is anywhere.
	keys, err := b.Keys(t.Context(), b.org)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.True(t, keys[1].Issuer)
	require.True(t, core.ReservedKeyID(keys[1].KeyID))
	shown, err := json.Marshal(keys)
	require.NoError(t, err)
	require.NotContains(t, string(shown), "PRIVATE")
}

func TestService_Issue_refused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, issued := b.issue(t, func(r *token.Request) { r.Repo = nil })
	_, wide := b.issue(t, func(r *token.Request) { r.Repo, r.Operations = nil, []string{"listRepositories"} })
	for name, tt := range map[string]struct {
		change func(r *token.Request)
		kind   core.Kind
		text   string
	}{
		"by an issued token":         {func(r *token.Request) { r.By = issued }, core.KindPermission, "issues no other"},
		"by an issued one of all":    {func(r *token.Request) { r.By = wide }, core.KindPermission, "issues no other"},
		"by a token of a repository": {func(r *token.Request) { r.By.Repo = b.repo.Name }, core.KindPermission, "whole organisation"},
		"by another kind of token":   {func(r *token.Request) { r.By.KeyID = "" }, core.KindPermission, "another kind"},
		"for another organisation":   {func(r *token.Request) { r.Repo = &core.Repository{ID: "repo_x", Org: "other"} }, core.KindNotFound, "not found"},
		"for longer than a day":      {func(r *token.Request) { r.Life = access.MaxIssuedLife + time.Second }, core.KindInvalid, "at most"},
		"for no time":                {func(r *token.Request) { r.Life = -time.Second }, core.KindInvalid, "at least"},
		"for nothing":                {func(r *token.Request) { r.Operations = nil }, core.KindInvalid, "name the operations"},
		"for what is unknown":        {func(r *token.Request) { r.Operations = append(r.Operations, "listfiles") }, core.KindInvalid, `no operation "listfiles"`},
		"to issue others":            {func(r *token.Request) { r.Operations = []string{"issueToken"} }, core.KindInvalid, "no token that the server issues"},
		"an operation beyond the scopes": {func(r *token.Request) {
			r.Operations, r.Scopes = []string{"createCommit"}, []access.Scope{access.GitRead}
		}, core.KindInvalid, "takes the scope"},
		"a scope that is none": {func(r *token.Request) { r.Scopes = []access.Scope{access.GitRead, "git:*"} }, core.KindInvalid, "no scope"},
		"a scope that who asks lacks": {func(r *token.Request) {
			r.By.Scopes, r.Scopes = []access.Scope{access.RepoWrite}, []access.Scope{access.GitRead}
		}, core.KindPermission, "lacks"},
		"an operation that who asks lacks": {func(r *token.Request) { r.By.Scopes = []access.Scope{access.RepoWrite, access.OrgRead} }, core.KindPermission, "lacks"},
		"a subject that terminals obey":    {func(r *token.Request) { r.Subject = "\x1b[31m" }, core.KindInvalid, "subject"},
		"a policy that is none":            {func(r *token.Request) { r.Refs = []access.RefOps{{Pattern: "a*b"}} }, core.KindInvalid, "refs"},
		"a policy in place of the one it is under": {func(r *token.Request) {
			r.By = b.own(t, func(c *access.Claims) { c.Refs = []access.RefOps{{Pattern: "main", Ops: []access.Op{access.NoPush}}} })
			r.Refs = []access.RefOps{{Pattern: "main"}}
		}, core.KindPermission, "ref policy"},
	} {
		_, err := b.Issue(t.Context(), b.request(t, tt.change))
		require.Equal(t, tt.kind, core.KindOf(err), name)
		require.ErrorContains(t, err, tt.text, name)
	}
	require.Len(t, b.actions(t), 2)

	// The policy of who asks is passed on.
	_, id := b.issue(t, func(r *token.Request) {
		r.By = b.own(t, func(c *access.Claims) { c.Refs = []access.RefOps{{Pattern: "main", Ops: []access.Op{access.NoPush}}} })
	})
	require.Equal(t, access.Rule{NoPush: true}, id.Policy.Rule("refs/heads/main"))
}

func TestService_Rotate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first, _ := b.issue(t, func(r *token.Request) { r.Life = access.MaxIssuedLife })
	verifies := func(text string) bool {
		_, err := b.verifier.Verify(t.Context(), text)
		if err != nil {
			require.Equal(t, core.KindUnauthenticated, core.KindOf(err), err)
		}
		return err == nil
	}
	actor := b.own(t).Actor()
	key, err := b.Rotate(t.Context(), actor)
	require.NoError(t, err)
	second, _ := b.issue(t)
	require.Equal(t, key.ID, second.Key.ID)
	require.NotEqual(t, first.Key.ID, key.ID)
	require.True(t, verifies(first.Token), "until it ends")
	b.clock.Advance(access.MaxIssuedLife)
	require.True(t, verifies(first.Token), "clocks may differ")
	b.clock.Advance(10 * time.Minute)
	require.False(t, verifies(first.Token))

	// By itself after 30 days; then a key that is disabled is replaced at once.
	b.clock.Advance(29 * 24 * time.Hour)
	third, _ := b.issue(t)
	require.NotEqual(t, key.ID, third.Key.ID)
	_, err = b.Revoke(t.Context(), token.RevokeRequest{Key: third.Key.KeyID, Actor: actor})
	require.NoError(t, err)
	require.False(t, verifies(third.Token))
	fourth, _ := b.issue(t)
	require.NotEqual(t, third.Key.ID, fourth.Key.ID)
	require.True(t, verifies(fourth.Token))
	_, err = b.Rotate(t.Context(), core.Actor{Org: "nobody"})
	require.Equal(t, core.KindNotFound, core.KindOf(err))
}

func TestService_Revoke(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	actor := b.own(t).Actor()
	ownToken := func(subject string) string {
		text, err := access.Sign(b.signer, access.Claims{Issuer: b.org, Subject: subject, IssuedAt: b.Clock.Now(), ExpiresAt: b.Clock.Now().Add(time.Hour)})
		require.NoError(t, err)
		return text
	}
	refused := func(text string) bool {
		_, err := b.verifier.Verify(t.Context(), text)
		// Another process that starts now thinks the same.
		_, again := access.NewVerifier(b.Store, b.Clock).WithRevocations(b.Store).Verify(t.Context(), text)
		require.Equal(t, core.KindOf(err), core.KindOf(again))
		return core.KindOf(err) == core.KindUnauthenticated
	}
	revoke := func(r token.RevokeRequest) core.Revocation {
		t.Helper()
		r.Actor, r.Reason = actor, "test"
		row, err := b.Revoke(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, "token.revoke "+string(row.Kind)+":"+row.Value, b.actions(t)[0])
		return row
	}
	issued, id := b.issue(t)
	other, _ := b.issue(t)
	revoke(token.RevokeRequest{TokenID: issued.ID})
	require.True(t, refused(issued.Token))
	require.Error(t, b.verifier.Recheck(t.Context(), id))
	require.False(t, refused(other.Token))
	row := revoke(token.RevokeRequest{Token: providers.Secret(other.Token)})
	require.True(t, refused(other.Token))
	require.WithinDuration(t, other.ExpiresAt, row.ExpiresAt, time.Second, "forgotten when it has ended")

	// One without jti, by the hash that the audit shows.
	first, second := ownToken("ci"), ownToken("mo")
	revoke(token.RevokeRequest{Hash: access.Hash(first)})
	require.True(t, refused(first))
	require.False(t, refused(second))
	b.clock.Advance(time.Second)
	revoke(token.RevokeRequest{Subject: "mo"})
	require.True(t, refused(second))
	require.True(t, refused(ownToken("mo")), "of the same second")
	b.clock.Advance(time.Second)
	require.False(t, refused(ownToken("mo")), "one that is issued later")

	// A key, with what was issued on its authority.
	last, _ := b.issue(t)
	require.False(t, refused(last.Token))
	row = revoke(token.RevokeRequest{Key: "mine"})
	require.Equal(t, b.key.ID, row.Value)
	require.True(t, refused(ownToken("ci")))
	require.True(t, refused(last.Token))

	all, err := b.Revocations(t.Context(), b.org, 0, 10)
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.Equal(t, row, all[0])
}

func TestService_Revoke_refused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	actor := b.own(t).Actor()
	now := b.Clock.Now()
	theirs, err := access.Sign(b.signer, access.Claims{Issuer: "other", ExpiresAt: now.Add(time.Hour)})
	require.NoError(t, err)
	require.NoError(t, b.Store.AddKey(t.Context(), core.Key{ID: "key_2", Org: b.org, KeyID: "mine", CreatedAt: now}))
	for name, tt := range map[string]struct {
		r    token.RevokeRequest
		kind core.Kind
	}{
		"nothing":                         {token.RevokeRequest{}, core.KindInvalid},
		"two things":                      {token.RevokeRequest{TokenID: "a", Subject: "b"}, core.KindInvalid},
		"a hash that is none":             {token.RevokeRequest{Hash: "abc"}, core.KindInvalid},
		"a token that is none":            {token.RevokeRequest{Token: "abc"}, core.KindInvalid},
		"a token of others":               {token.RevokeRequest{Token: providers.Secret(theirs)}, core.KindInvalid},
		"a jti that terminals obey":       {token.RevokeRequest{TokenID: "\x1b[31m"}, core.KindInvalid},
		"a time that is not of a subject": {token.RevokeRequest{TokenID: "a", IssuedBefore: now}, core.KindInvalid},
		"a subject in an hour":            {token.RevokeRequest{Subject: "a", IssuedBefore: now.Add(time.Hour)}, core.KindInvalid},
		"an end that is over":             {token.RevokeRequest{TokenID: "a", ExpiresAt: now}, core.KindInvalid},
		"an end of a key":                 {token.RevokeRequest{Key: b.key.ID, ExpiresAt: now.Add(time.Hour)}, core.KindInvalid},
		"no such key":                     {token.RevokeRequest{Key: "key_none"}, core.KindNotFound},
		"a kid of two keys":               {token.RevokeRequest{Key: "mine"}, core.KindInvalid},
	} {
		tt.r.Actor = actor
		_, err := b.Revoke(t.Context(), tt.r)
		require.Equal(t, tt.kind, core.KindOf(err), name)
	}
	require.Empty(t, b.actions(t))
}
