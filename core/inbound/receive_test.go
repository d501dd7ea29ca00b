package inbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/providers"
)

const (
	idA = "1111111111111111111111111111111111111111"
	idB = "2222222222222222222222222222222222222222"
)

func TestService_Receive_pushIsExpected(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	w := b.webhook(r)
	body := encode(t, providers.WebhookResult{
		DeliveryID: "d1", Kind: providers.WebhookPush, RepositoryPath: coretest.ForgePath(r), Refs: []providers.RefHint{
			{Name: "refs/heads/main", Old: idA, New: idB},
			{Name: "refs/heads/gone", Old: idA, New: string(core.ZeroSHA1)},
			{Name: "refs/tags/v1", Old: string(core.ZeroSHA1), New: idA},
			{Name: "refs/heads/unknown"},
			{Name: "refs/pull/1/head", New: idB},
			{Name: "refs/heads/../evil", New: idB},
			{Name: "refs/heads/short", New: "22"},
		},
	})
	answer, err := b.send(w.Token, body, w.Secrets[0])
	require.NoError(t, err)
	require.False(t, answer.Duplicate)
	now := b.clock.Now()
	expect := func(ref string, old, id core.ObjectID) core.Expectation {
		return core.Expectation{RepoID: r.ID, Ref: ref, Old: old, New: id, Since: now, ExpiresAt: now.Add(10 * time.Minute)}
	}
	require.Equal(t, []core.Expectation{
		expect("refs/heads/main", idA, idB), expect("refs/heads/gone", idA, ""), expect("refs/tags/v1", "", idA),
	}, b.syncs.expectations(r.ID))
	require.Equal(t, 1, b.syncs.pokes)
	looks, _ := b.syncs.seen()
	require.Len(t, looks, 2, "and one for what is not a ref of ours")
	require.Equal(t, now, b.webhook(r).LastDeliveryAt.UTC())
	state, err := b.Store.SyncState(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, int64(2), state.Wanted)

	// The same again, and again after a restart.
	for range 2 {
		answer, err = b.send(w.Token, body, w.Secrets[0])
		require.NoError(t, err)
		require.True(t, answer.Duplicate)
		b.open(publicURL)
	}
	again, _ := b.syncs.seen()
	require.Equal(t, looks, again)
}

func TestService_Receive_refusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	other := b.Synced("other")
	w := b.webhook(r)
	body := encode(t, providers.WebhookResult{DeliveryID: "d1", Kind: providers.WebhookPush, RepositoryPath: coretest.ForgePath(r)})
	for name, c := range map[string]struct {
		token string
		body  []byte
		sign  providers.Secret
		want  core.Kind
	}{
		"another repository's secret":           {w.Token, body, b.webhook(other).Secrets[0], core.KindUnauthenticated},
		"the instance's secret":                 {w.Token, body, appSecret, core.KindUnauthenticated},
		"no secret":                             {w.Token, body, "", core.KindUnauthenticated},
		"a repository's secret at the instance": {"", body, w.Secrets[0], core.KindUnauthenticated},
		"about another repository": {w.Token, encode(t, providers.WebhookResult{Kind: providers.WebhookPush, RepositoryPath: "acme/other"}),
			w.Secrets[0], core.KindInvalid},
		"not JSON":      {w.Token, []byte("push!"), w.Secrets[0], core.KindInvalid},
		"unknown token": {strings.Repeat("x", 43), body, w.Secrets[0], core.KindNotFound},
	} {
		_, err := b.send(c.token, c.body, c.sign)
		require.Equal(t, c.want, core.KindOf(err), "%s: %v", name, err)
	}
	looks, checked := b.syncs.seen()
	require.Empty(t, looks)
	require.Empty(t, checked)
	require.Zero(t, b.webhook(r).LastDeliveryAt)

	// The answers for an unknown token and an unknown provider are one.
	_, noToken := b.s.Find(t.Context(), instance, "nothing")
	_, noProvider := b.s.Find(t.Context(), "nobody", w.Token)
	_, neither := b.s.Find(t.Context(), "nobody", "")
	require.Equal(t, noToken, noProvider)
	require.Equal(t, noToken, neither)

	b.Plugin.Edit(func(_ *providers.Manifest, policy *providers.HostPolicy) { policy.WebhookSecrets = nil })
	_, err := b.send("", body, "")
	require.Equal(t, core.KindPrecondition, core.KindOf(err), "fails closed without a secret")
}

func TestService_Receive_twoSecretsDuringRotation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) { m.Capabilities.WebhookRegistration = false })
	r := b.Synced("app")
	old := b.webhook(r)
	rotated, err := b.s.Rotate(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, old.Token, rotated.Token)
	require.Len(t, rotated.Secrets, 2)
	ping := func(id string) []byte {
		return encode(t, providers.WebhookResult{DeliveryID: id, Kind: providers.WebhookPing})
	}
	_, err = b.send(old.Token, ping("1"), old.Secrets[0])
	require.NoError(t, err)
	_, err = b.send(old.Token, ping("2"), rotated.Secrets[0])
	require.NoError(t, err)

	b.run()
	b.await(r, func(w core.InboundWebhook) bool { return w.Message != "" })
	require.Len(t, b.webhook(r).Secrets, 2)
	b.advance(24*time.Hour+time.Minute, func() bool { return len(b.webhook(r).Secrets) == 1 })
	_, err = b.send(old.Token, ping("3"), old.Secrets[0])
	require.Equal(t, core.KindUnauthenticated, core.KindOf(err))
	_, err = b.send(old.Token, ping("4"), rotated.Secrets[0])
	require.NoError(t, err)
}

// advance moves the clock on until something is so, a bit at a time because
// several loops wait for it.
func (b *bench) advance(d time.Duration, until func() bool) {
	b.t.Helper()
	b.clock.Advance(d)
	require.Eventually(b.t, func() bool {
		if until() {
			return true
		}
		b.clock.Advance(time.Minute)
		return false
	}, time.Minute, 5*time.Millisecond)
}

func TestService_Receive_instanceAddressFindsAllThatFollow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	known, unknown, other := b.Synced("app"), b.Synced("unknown"), b.Synced("replaced")
	require.NoError(t, b.Store.SetUpstreamID(t.Context(), known.ID, "7"))
	require.NoError(t, b.Store.SetUpstreamID(t.Context(), other.ID, "8"))
	b.run()
	for name, c := range map[string]struct {
		result  providers.WebhookResult
		looks   []string
		checked []string
	}{
		"by id, whatever the path": {providers.WebhookResult{Kind: providers.WebhookPush, RepositoryID: "7", RepositoryPath: "acme/renamed"}, []string{known.ID}, nil},
		"by path, the id not known here": {
			providers.WebhookResult{Kind: providers.WebhookRef, RepositoryID: "9", RepositoryPath: "Acme/Unknown"}, []string{unknown.ID}, nil},
		"the path of another one": {
			providers.WebhookResult{Kind: providers.WebhookPush, RepositoryID: "10", RepositoryPath: "acme/replaced"}, nil, []string{other.ID}},
		"nobody's":       {providers.WebhookResult{Kind: providers.WebhookPush, RepositoryID: "11", RepositoryPath: "acme/nobody"}, nil, nil},
		"another host's": {providers.WebhookResult{Kind: providers.WebhookPush, Host: "elsewhere.example", RepositoryID: "7"}, nil, nil},
		"renamed":        {providers.WebhookResult{Kind: providers.WebhookRenamed, RepositoryID: "7", RepositoryPath: "acme/renamed"}, nil, []string{known.ID}},
		"deleted":        {providers.WebhookResult{Kind: providers.WebhookDeleted, RepositoryID: "7"}, nil, []string{known.ID}},
		"some of an installation": {providers.WebhookResult{Kind: providers.WebhookInstallation,
			Repositories: []providers.RepositoryHint{{ID: "7", Path: "acme/app"}, {Path: "acme/unknown"}}}, nil, []string{known.ID, unknown.ID}},
		"a whole installation": {providers.WebhookResult{Kind: providers.WebhookInstallation, Account: "ACME"}, nil, []string{known.ID, unknown.ID, other.ID}},
		"an installation, and what came to it": {providers.WebhookResult{Kind: providers.WebhookInstallation, Account: "elsewhere",
			Repositories: []providers.RepositoryHint{{ID: "7", Path: "elsewhere/app"}}}, nil, []string{known.ID}},
		"ping":    {providers.WebhookResult{Kind: providers.WebhookPing}, nil, nil},
		"ignored": {providers.WebhookResult{Kind: providers.WebhookIgnored, RepositoryID: "7"}, nil, nil},
	} {
		b.syncs.mu.Lock()
		b.syncs.looks, b.syncs.checked = nil, nil
		b.syncs.mu.Unlock()
		c.result.DeliveryID = name
		_, err := b.send("", encode(t, c.result), appSecret)
		require.NoError(t, err, name)
		require.Eventually(t, func() bool {
			_, checked := b.syncs.seen()
			return len(checked) == len(c.checked)
		}, time.Minute, time.Millisecond, name)
		looks, checked := b.syncs.seen()
		require.ElementsMatch(t, c.looks, looks, name)
		require.ElementsMatch(t, c.checked, checked, name)
	}
}

func TestService_Receive_digestWhereTheHostNumbersNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	w := b.webhook(r)
	body := encode(t, providers.WebhookResult{Kind: providers.WebhookPush})
	for n, want := range []bool{false, true, true} {
		answer, err := b.send(w.Token, body, w.Secrets[0])
		require.NoError(t, err)
		require.Equal(t, want, answer.Duplicate, n)
	}
	// The same push may happen anew: there, back, and there again.
	b.clock.Advance(2 * time.Minute)
	answer, err := b.send(w.Token, body, w.Secrets[0])
	require.NoError(t, err)
	require.False(t, answer.Duplicate)
}

func TestService_Receive_failureIsTakenWhenItComesAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	w := b.webhook(r)
	body := encode(t, providers.WebhookResult{DeliveryID: "d1", Kind: providers.WebhookPush})
	b.syncs.fail(errors.New("the disk is full"))
	_, err := b.send(w.Token, body, w.Secrets[0])
	require.Error(t, err)
	b.syncs.fail(nil)
	answer, err := b.send(w.Token, body, w.Secrets[0])
	require.NoError(t, err)
	require.False(t, answer.Duplicate, "nothing of the failed one stayed")
}

func TestService_Receive_pluginDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	w := b.webhook(r)
	down := &providers.Error{Code: providers.CodeUnavailable, Message: "the plugin crashed", RetryAfter: 3 * time.Second}
	b.Plugin.ParseWebhookFunc = nil
	b.Plugin.ResolveFunc = nil
	_, err := b.send(w.Token, []byte("{}"), w.Secrets[0])
	require.Equal(t, core.KindNotFound, core.KindOf(err), "unsupported")
	for name, failure := range map[string]error{"said": down, "of the transport": errors.New("broken pipe"), "unverified": nil} {
		b2 := newBench(t)
		r := b2.Synced("app")
		w := b2.webhook(r)
		b2.Plugin.ParseWebhookFunc = failing(failure)
		_, err := b2.send(w.Token, []byte("{}"), w.Secrets[0])
		if failure == nil {
			require.Equal(t, core.KindUnauthenticated, core.KindOf(err), name)
			continue
		}
		var e *core.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, core.KindUpstreamUnavailable, e.Kind, name)
		require.Positive(t, e.RetryAfter)
	}
}

func TestInvariant18_stormFoldsToOneRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	w := b.webhook(r)
	const senders, each = 16, 60
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for n := range each {
				// Half of them the host's own repetitions of one delivery.
				id := "one"
				if n%2 == 0 && n < 20 {
					id = fmt.Sprint(sender, "-", n)
				}
				body := encode(t, providers.WebhookResult{DeliveryID: id, Kind: providers.WebhookPush, Refs: []providers.RefHint{{Name: "refs/heads/main", New: idB}}})
				if _, err := b.send(w.Token, body, w.Secrets[0]); err != nil {
					t.Errorf("send: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	looks, _ := b.syncs.seen()
	require.Len(t, looks, 16*10+1, "one for each delivery, none for a duplicate")
	due, err := b.Store.DueSyncs(t.Context(), b.clock.Now(), 100)
	require.NoError(t, err)
	require.Len(t, due, 1, "all of them are one waiting request")
	require.Equal(t, r.ID, due[0].RepoID)
}

func TestAddress_Header_onlyWhatThePluginWants(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a, err := b.s.Find(t.Context(), instance, "")
	require.NoError(t, err)
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("x-signature", "abc")
	h.Set("Cookie", "session=1")
	h.Set("Authorization", "Bearer x")
	require.Equal(t, http.Header{"Content-Type": {"application/json"}, "X-Signature": {"abc"}}, a.Header(h))
}
