package inbound_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/providers"
)

func TestService_Run_registersAndKeepsItCorrect(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	b.run() // finds it without a signal
	w := b.await(r, active)
	path := coretest.ForgePath(r)
	at, ok := b.host.at(path)
	require.True(t, ok)
	require.Equal(t, hook{id: "hook-of-" + path, url: publicURL + inbound.PathOf(*r.Upstream, w.Token), secret: w.Secrets[0]}, at)
	require.Equal(t, at.id, w.HookID)
	require.Len(t, w.Token, 43)
	require.Len(t, w.Secrets[0].Reveal(), 43)
	require.Empty(t, w.Message)
	next := w.NextCheck.Sub(w.CheckedAt)
	require.GreaterOrEqual(t, next, 24*time.Hour)
	require.Less(t, next, 27*time.Hour)

	// Somebody deletes it at the host: it is back a day later.
	b.host.set(func(h *hookHost) { delete(h.hooks, path) })
	b.advance(next+time.Minute, func() bool { _, ok := b.host.at(path); return ok })

	// If a poll finds what it was to announce, it is back at once, even if it was
	// checked a moment ago; but not for every poll.
	for _, wait := range []time.Duration{0, 10 * time.Minute} {
		b.clock.Advance(wait)
		now := b.clock.Now()
		b.host.set(func(h *hookHost) { delete(h.hooks, path) })
		require.NoError(t, b.Store.NoteInbound(t.Context(), r.ID, time.Time{}, now))
		b.s.CheckDue()
		require.Eventually(t, func() bool {
			_, ok := b.host.at(path)
			return ok && b.webhook(r).NextCheck.After(now)
		}, time.Minute, time.Millisecond)
		require.Equal(t, now, b.webhook(r).LastMissedAt)
		require.NoError(t, b.Store.NoteInbound(t.Context(), r.ID, time.Time{}, now.Add(time.Second)))
		require.Greater(t, b.webhook(r).NextCheck, now.Add(time.Second), "a moment later")
	}

	// Deleted once more a moment after a check, and missed: the end of the pause has it back.
	b.host.set(func(h *hookHost) { delete(h.hooks, path) })
	b.advance(11*time.Minute, func() bool { _, ok := b.host.at(path); return ok })
	require.Less(t, b.clock.Now().Sub(b.webhook(r).LastMissedAt), time.Hour, "and not the daily check")

	// A new secret is registered at once, and the old one works on.
	rotated, err := b.s.Rotate(t.Context(), r.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { at, _ := b.host.at(path); return at.secret == rotated.Secrets[0] }, time.Minute, time.Millisecond)
	require.Equal(t, w.Secrets[0], rotated.Secrets[1])
	b.advance(24*time.Hour, func() bool { return len(b.webhook(r).Secrets) == 1 })
	require.Equal(t, rotated.Secrets[0], b.webhook(r).Secrets[0])
}

// The name of a deleted upstream may belong to a stranger: nothing is put there. Once
// the host confirms that it is the one that is followed, it is registered.
func TestService_Run_registersNothingAtAnotherRepository(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.syncs.unconfirm(core.Errorf(core.KindUpstreamUnavailable, "another repository has the name"))
	r := b.Synced("app")
	b.run()
	w := b.await(r, func(w core.InboundWebhook) bool { return w.State == core.InboundFailing })
	require.Equal(t, "another repository has the name", w.Message)
	require.False(t, w.NextCheck.IsZero(), "looked at again")
	_, ok := b.host.at(coretest.ForgePath(r))
	require.False(t, ok)
	b.syncs.unconfirm(nil)
	b.advance(24*time.Hour, func() bool { return active(b.webhook(r)) })
	_, ok = b.host.at(coretest.ForgePath(r))
	require.True(t, ok)
}

func TestService_Run_saysWhyItDoesNotRegister(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(b *bench, m *providers.Manifest, policy *providers.HostPolicy)
		url  string
		want string
	}{
		"no public URL": {nil, "", "public URL"},
		"in the clear":  {func(_ *bench, _ *providers.Manifest, p *providers.HostPolicy) { p.AllowPrivate = false }, "http://git.example.com", "not https"},
		"no URL":        {nil, "https://user@git.example.com", "public URL"},
		"a host without an API": {func(_ *bench, m *providers.Manifest, _ *providers.HostPolicy) {
			m.Capabilities.WebhookRegistration = false
		}, publicURL, "by hand"},
		"a host without hooks": {func(_ *bench, m *providers.Manifest, _ *providers.HostPolicy) { m.Capabilities.Webhooks = false }, publicURL, "polled"},
		"an App":               {func(_ *bench, m *providers.Manifest, _ *providers.HostPolicy) { m.Mode = providers.ModeApp }, publicURL, "App's own webhook"},
		"this host alone cannot": {func(b *bench, _ *providers.Manifest, _ *providers.HostPolicy) {
			b.host.fail = providers.Errorf(providers.CodeUnsupported, "too old")
		}, publicURL, "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if c.edit != nil {
				b.Plugin.Edit(func(m *providers.Manifest, p *providers.HostPolicy) { c.edit(b, m, p) })
			}
			b.open(c.url)
			r := b.Synced("app")
			b.run()
			w := b.await(r, func(w core.InboundWebhook) bool { return w.Message != "" })
			require.Equal(t, core.InboundNone, w.State)
			require.Contains(t, w.Message, c.want)
			require.Zero(t, w.NextCheck)
			require.NotEmpty(t, w.Token, "there is an address all the same")
		})
	}
}

func TestService_Run_plainHTTPIsForPrivateHosts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.open("http://10.0.0.1:8080/")
	r := b.Synced("app")
	b.run()
	w := b.await(r, active)
	at, _ := b.host.at(coretest.ForgePath(r))
	require.Equal(t, "http://10.0.0.1:8080/webhooks/test/"+w.Token, at.url)
}

func TestService_Run_failureIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	b.host.fail = providers.Errorf(providers.CodePermissionDenied, "the token lacks the scope write:repository")
	b.run()
	failing := func(w core.InboundWebhook) bool { return w.State == core.InboundFailing }
	w := b.await(r, failing)
	require.Equal(t, "the token lacks the scope write:repository", w.Message)
	last := time.Duration(0)
	for range 4 {
		wait := w.NextCheck.Sub(w.CheckedAt)
		require.Greater(t, wait, last)
		last = wait
		checked := w.CheckedAt
		b.advance(wait, func() bool { w = b.webhook(r); return w.CheckedAt.After(checked) })
	}
	// Whoever stores a credential that may is served at once.
	b.host.set(func(h *hookHost) { h.fail = nil })
	require.NoError(t, b.s.Check(t.Context(), r.ID))
	b.await(r, active)
}

func TestService_Run_deadHostIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		b.Synced(name)
	}
	b.host.fail = &providers.Error{Code: providers.CodeRateLimited, Message: "slow down", RetryAfter: time.Hour}
	b.run()
	repos, err := b.Store.Repositories(t.Context(), core.RepositoryFilter{Org: coretest.Org, Limit: 100})
	require.NoError(t, err)
	for _, r := range repos {
		w := b.await(r.Repository, func(w core.InboundWebhook) bool { return w.State == core.InboundFailing })
		require.GreaterOrEqual(t, w.NextCheck.Sub(b.clock.Now()), time.Hour)
	}
	require.LessOrEqual(t, b.host.count(), 4, "those that were under way together")
}

func TestService_Leaving_removesAtTheHost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	stop := b.run()
	b.await(r, active)
	gone := b.s.Leaving(t.Context(), r)
	_, there := b.host.at(coretest.ForgePath(r))
	require.True(t, there, "nothing happens before it is detached")
	require.NoError(t, b.Store.DetachUpstream(t.Context(), r.ID))
	gone()
	require.Eventually(t, func() bool { _, ok := b.host.at(coretest.ForgePath(r)); return !ok }, time.Minute, time.Millisecond)
	_, err := b.s.Webhook(t.Context(), r.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))

	// A host that does not answer, and a server that is not running, delay nobody.
	other := b.Synced("other")
	require.NoError(t, b.s.Check(t.Context(), other.ID))
	b.await(other, active)
	stop()
	b.host.set(func(h *hookHost) { h.fail = errors.New("down") })
	b.s.Leaving(t.Context(), other)()
}

func TestService_Run_detachedWhileItRegisters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("app")
	b.host.arrived, b.host.release = make(chan struct{}), make(chan struct{})
	b.run()
	<-b.host.arrived
	b.s.Leaving(t.Context(), r)()
	require.NoError(t, b.Store.DetachUpstream(t.Context(), r.ID))
	close(b.host.release)
	require.Eventually(t, func() bool {
		_, ok := b.host.at(coretest.ForgePath(r))
		return b.host.count() == 1 && !ok
	}, time.Minute, time.Millisecond, "what was made meanwhile is removed")
}

func TestService_Replay_afterDowntime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.send("", encode(t, providers.WebhookResult{DeliveryID: "last", Kind: providers.WebhookPing}), appSecret)
	require.NoError(t, err)
	came := b.clock.Now()
	b.clock.Advance(5 * time.Hour)
	b.host.lost = providers.ReplayResult{Failed: 3, Replayed: 3}
	b.open(publicURL)
	b.run()
	require.Eventually(t, func() bool { return len(b.s.Replays()) == 1 }, time.Minute, time.Millisecond)
	began := b.clock.Now()
	replays := func() []providers.ReplayRequest {
		b.host.mu.Lock()
		defer b.host.mu.Unlock()
		return append([]providers.ReplayRequest(nil), b.host.replays...)
	}
	require.Equal(t, came.Add(-70*time.Minute), replays()[0].Since.UTC())
	require.Equal(t, inbound.Replay{At: began, Since: came.Add(-70 * time.Minute), Failed: 3, Replayed: 3}, b.s.Replays()[instance])

	// Then every hour, from where the last look was.
	b.advance(time.Hour, func() bool { return len(replays()) > 1 })
	require.Equal(t, began.Add(-10*time.Minute), replays()[1].Since.UTC())

	// A look that failed is made up for by the next, and three days are the most.
	b.host.set(func(h *hookHost) { h.fail = errors.New("down") })
	_, err = b.s.Replay(t.Context(), instance)
	require.Equal(t, core.KindUpstreamUnavailable, core.KindOf(err))
	require.NotEmpty(t, b.s.Replays()[instance].Error)
	since := b.s.Replays()[instance].Since
	b.host.set(func(h *hookHost) { h.fail = nil })
	r, err := b.s.Replay(t.Context(), instance)
	require.NoError(t, err)
	require.Equal(t, since, r.Since)
	b.clock.Advance(100 * 24 * time.Hour)
	r, err = b.s.Replay(t.Context(), instance)
	require.NoError(t, err)
	require.LessOrEqual(t, b.clock.Now().Sub(r.Since), 72*time.Hour+time.Minute)

	_, err = b.s.Replay(t.Context(), "nobody")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) { m.Capabilities.Replay = false })
	_, err = b.s.Replay(t.Context(), instance)
	require.Equal(t, core.KindUnsupported, core.KindOf(err))
}

func TestService_Run_noReplayWithoutSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Plugin.Edit(func(_ *providers.Manifest, policy *providers.HostPolicy) { policy.WebhookSecrets = nil })
	r := b.Synced("app")
	b.run()
	b.await(r, active)
	require.Empty(t, b.s.Replays(), "it has never received any")
}
