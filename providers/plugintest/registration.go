package plugintest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// hookAddress is where webhooks shall be delivered; its last part is a secret.
const hookAddress = "https://headwater.example/webhooks/test/planted-address-token-must-not-be-seen"

// registered is a scene of a provider that registers webhooks.
type registered struct {
	*scene
	registrar providers.WebhookRegistrar
	remote    providers.Remote
}

func (s *suite) registering(t *testing.T) (*registered, bool) {
	t.Helper()
	sc := s.stage(t, forgetest.ForgeOptions{})
	registrar, ok := sc.provider.(providers.WebhookRegistrar)
	if !sc.manifest.Capabilities.WebhookRegistration {
		return nil, false
	}
	require.True(t, ok, "the manifest promises a WebhookRegistrar")
	require.NotNil(t, sc.stored(), "webhooks are registered with a stored credential")
	remote, err := sc.contact(t.Context())
	require.NoError(t, err)
	return &registered{scene: sc, registrar: registrar, remote: remote}, true
}

func (r *registered) ask(url, hookID string) providers.EnsureWebhookRequest {
	return providers.EnsureWebhookRequest{Remote: r.remote, Stored: r.stored(), URL: url, Secret: hookSecret, HookID: hookID}
}

func (r *registered) ensure(t *testing.T, q providers.EnsureWebhookRequest) providers.RegisteredWebhook {
	t.Helper()
	hook, err := r.registrar.EnsureWebhook(t.Context(), q)
	require.NoError(t, err)
	require.NotEmpty(t, hook.HookID)
	requireSecret(t, hookSecret, hook)
	return hook
}

func (r *registered) remove(t *testing.T, url, hookID string) {
	t.Helper()
	require.NoError(t, r.registrar.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{
		Remote: r.remote, Stored: r.stored(), URL: url, HookID: hookID,
	}))
}

// at returns the webhooks of the scene's repository that deliver to a URL.
func (r *registered) at(url string) []forgetest.Webhook {
	var out []forgetest.Webhook
	for _, w := range r.forge.Webhooks(r.repo) {
		if w.URL == url {
			out = append(out, w)
		}
	}
	return out
}

// right checks that there is one webhook with the URL and that it delivers.
func (r *registered) right(t *testing.T, url, secret, hookID string) {
	t.Helper()
	list := r.at(url)
	require.Len(t, list, 1)
	w := list[0]
	require.Equal(t, hookID, w.ID)
	require.Equal(t, secret, w.Secret, "deliveries must be signed with the secret")
	require.True(t, w.Active)
	require.False(t, w.Disabled)
	require.NotEqual(t, "form", w.ContentType)
	require.Empty(t, w.Template)
	for _, u := range []forgetest.RefUpdate{{Name: "refs/heads/some/branch", Old: zeroID, New: zeroID[1:] + "1"}, {Name: "refs/tags/v1", Old: zeroID, New: zeroID[1:] + "1"}} {
		deliveries, err := r.forge.DeliveriesTo(r.repo, forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{u}}, w)
		require.NoError(t, err)
		require.NotEmpty(t, deliveries, "the webhook is not subscribed to %s", u.Name)
	}
}

func (s *suite) testRegistration(t *testing.T) {
	r, ok := s.registering(t)
	if !ok {
		return
	}
	// So many that they are on several pages of a list.
	const others = 120
	for n := range others {
		r.forge.AddWebhook(r.repo, forgetest.Webhook{URL: "https://ci.example/" + strconv.Itoa(n), Secret: "theirs", Active: true, ContentType: "json"})
	}
	hook := r.ensure(t, r.ask(hookAddress, ""))
	require.True(t, hook.Changed, "it was made")
	r.right(t, hookAddress, hookSecret, hook.HookID)

	again := r.ensure(t, r.ask(hookAddress, hook.HookID))
	r.right(t, hookAddress, hookSecret, again.HookID)
	forgotten := r.ensure(t, r.ask(hookAddress, ""))
	r.right(t, hookAddress, hookSecret, forgotten.HookID)
	strange := r.ensure(t, r.ask(hookAddress, "987654321"))
	r.right(t, hookAddress, hookSecret, strange.HookID)

	// What it sends is read by the same provider.
	deliveries, err := r.forge.DeliveriesTo(r.repo, pushEvent(), r.at(hookAddress)[0])
	require.NoError(t, err)
	for _, d := range deliveries {
		q := r.request(d, hookSecret)
		q.Repository = &r.remote
		result, err := r.provider.ParseWebhook(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, providers.WebhookPush, result.Kind)
	}

	r.remove(t, hookAddress, strange.HookID)
	require.Empty(t, r.at(hookAddress))
	r.remove(t, hookAddress, strange.HookID)
	require.Len(t, r.forge.Webhooks(r.repo), others, "the webhooks of others are not touched")

	r.ensure(t, r.ask(hookAddress, ""))
	r.remove(t, hookAddress, "")
	require.Empty(t, r.at(hookAddress), "found by its URL")

	require.NoError(t, r.forge.DeleteRepo(r.repo))
	r.remove(t, hookAddress, strange.HookID)
}

func (s *suite) testRegistrationCorrects(t *testing.T) {
	r, ok := s.registering(t)
	if !ok {
		return
	}
	theirs := r.forge.AddWebhook(r.repo, forgetest.Webhook{URL: "https://ci.example/", Secret: "theirs", Active: true, ContentType: "json"})
	id := r.ensure(t, r.ask(hookAddress, "")).HookID
	for name, edit := range map[string]func(*forgetest.Webhook){
		"switched off":  func(w *forgetest.Webhook) { w.Active, w.Disabled = false, true },
		"other events":  func(w *forgetest.Webhook) { w.Events = []string{"issues"} },
		"branch filter": func(w *forgetest.Webhook) { w.BranchFilter = "production" },
		"form":          func(w *forgetest.Webhook) { w.ContentType = "form" },
		"template":      func(w *forgetest.Webhook) { w.Template = "{}" },
		"other address": func(w *forgetest.Webhook) { w.URL = "https://headwater.example/old" },
		"other on TLS":  func(w *forgetest.Webhook) { w.SkipVerify = true },
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, r.forge.EditWebhook(r.repo, id, edit))
			id = r.ensure(t, r.ask(hookAddress, id)).HookID
			r.right(t, hookAddress, hookSecret, id)
			require.Len(t, r.forge.Webhooks(r.repo), 2, "the edited one does not stay beside it")
		})
	}
	t.Run("removed", func(t *testing.T) {
		require.True(t, r.forge.RemoveWebhook(r.repo, id))
		hook := r.ensure(t, r.ask(hookAddress, id))
		require.True(t, hook.Changed)
		id = hook.HookID
		r.right(t, hookAddress, hookSecret, id)
	})
	t.Run("rotated secret", func(t *testing.T) {
		q := r.ask(hookAddress, id)
		q.Secret = otherSecret
		id = r.ensure(t, q).HookID
		r.right(t, hookAddress, otherSecret, id)
		id = r.ensure(t, r.ask(hookAddress, id)).HookID
		r.right(t, hookAddress, hookSecret, id)
	})
	t.Run("doubles", func(t *testing.T) {
		for range 3 {
			r.forge.AddWebhook(r.repo, forgetest.Webhook{URL: hookAddress, Secret: "stale", Active: true, ContentType: "json"})
		}
		id = r.ensure(t, r.ask(hookAddress, id)).HookID
		r.right(t, hookAddress, hookSecret, id)
	})
	t.Run("moved address", func(t *testing.T) {
		moved := hookAddress + "-2"
		id = r.ensure(t, r.ask(moved, id)).HookID
		r.right(t, moved, hookSecret, id)
		require.Empty(t, r.at(hookAddress))
	})
	require.Equal(t, "theirs", r.at("https://ci.example/")[0].Secret)
	require.Equal(t, theirs, r.at("https://ci.example/")[0].ID)
}

func (s *suite) testRegistrationRefused(t *testing.T) {
	r, ok := s.registering(t)
	if !ok {
		return
	}
	both := func(stored *providers.StoredCredential, url string) []error {
		_, err := r.registrar.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{Remote: r.remote, Stored: stored, URL: url, Secret: hookSecret})
		gone := r.registrar.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{Remote: r.remote, Stored: stored, URL: url, HookID: "1"})
		for _, err := range []error{err, gone} {
			requireSecret(t, hookSecret, err)
			if stored != nil {
				requireSecret(t, stored.Secret.Reveal(), err)
			}
			for _, secret := range r.forge.Echoed() {
				requireSecret(t, secret, err)
			}
		}
		return []error{err, gone}
	}
	with := func(o forgetest.TokenOptions) *providers.StoredCredential {
		stored := r.forge.Stored()
		stored.Secret = providers.Secret(r.forge.MintToken(o))
		return stored
	}
	for name, test := range map[string]struct {
		stored *providers.StoredCredential
		codes  []providers.Code
	}{
		"token without scope":  {with(forgetest.TokenOptions{NoHooks: true}), []providers.Code{providers.CodePermissionDenied}},
		"no administrator":     {with(forgetest.TokenOptions{NoAdmin: true}), []providers.Code{providers.CodePermissionDenied}},
		"reads only":           {with(forgetest.TokenOptions{ReadOnly: true}), []providers.Code{providers.CodePermissionDenied}},
		"wrong token":          {&providers.StoredCredential{Username: r.forge.Stored().Username, Secret: plantedSecret}, []providers.Code{providers.CodeUnauthenticated}},
		"nothing stored":       {nil, []providers.Code{providers.CodeUnauthenticated, providers.CodePermissionDenied}},
		"line break in secret": {&providers.StoredCredential{Secret: plantedSecret + "\nhost: x"}, []providers.Code{providers.CodeInvalidArgument}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range both(test.stored, hookAddress) {
				requireCode(t, err, test.codes...)
			}
		})
	}
	t.Run("address that the host refuses", func(t *testing.T) {
		err := both(r.stored(), "https://headwater.invalid/webhooks/test")[0]
		requireCode(t, err, providers.CodeInvalidArgument)
	})
	t.Run("no secret to sign with", func(t *testing.T) {
		q := r.ask(hookAddress, "")
		q.Secret = ""
		_, err := r.registrar.EnsureWebhook(t.Context(), q)
		requireCode(t, err, providers.CodeInvalidArgument)
	})
	t.Run("absent repository", func(t *testing.T) {
		absent := r.ask(hookAddress, "")
		absent.Remote.Path, absent.Remote.URL, absent.Remote.UpstreamID = r.repo+"-absent", "", ""
		_, err := r.registrar.EnsureWebhook(t.Context(), absent)
		requireCode(t, err, providers.CodeNotFound)
	})
	for name, test := range map[string]struct {
		fault forgetest.Fault
		codes []providers.Code
	}{
		"limited":       {forgetest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 17 * time.Second, Echo: true}, []providers.Code{providers.CodeRateLimited}},
		"out of order":  {forgetest.Fault{Status: http.StatusBadGateway, Echo: true}, []providers.Code{providers.CodeUnavailable}},
		"dropped":       {forgetest.Fault{Drop: true}, []providers.Code{providers.CodeUnavailable}},
		"no JSON":       {forgetest.Fault{Status: http.StatusOK, Body: "<html>log in</html>"}, []providers.Code{providers.CodeUnavailable}},
		"redirected":    {forgetest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"https://elsewhere.example/"}}}, []providers.Code{providers.CodeUnavailable, providers.CodeNotFound}},
		"unauthorized":  {forgetest.Fault{Status: http.StatusUnauthorized, Echo: true}, []providers.Code{providers.CodeUnauthenticated}},
		"not permitted": {forgetest.Fault{Status: http.StatusForbidden, Echo: true}, []providers.Code{providers.CodePermissionDenied}},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Kinds = []forgetest.Kind{forgetest.KindAPI}
			defer r.forge.Inject(test.fault)()
			err := both(r.stored(), hookAddress)[0]
			requireCode(t, err, test.codes...)
			if test.fault.RetryAfter > 0 {
				require.Equal(t, test.fault.RetryAfter, asError(t, err).RetryAfter)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer r.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindAPI}, Stall: true, Before: cancel})()
		begin := time.Now()
		_, err := r.registrar.EnsureWebhook(ctx, r.ask(hookAddress, ""))
		require.Error(t, err)
		require.Less(t, time.Since(begin), patience)
	})
	require.Empty(t, r.at(hookAddress), "nothing was registered on the way")
}

func (s *suite) testReplay(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	if !sc.manifest.Capabilities.Replay {
		return
	}
	replayer, ok := sc.provider.(providers.DeliveryReplayer)
	require.True(t, ok, "the manifest promises a DeliveryReplayer")
	var down atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	sc.forge.SetInstanceWebhook(server.URL, hookSecret)
	since := time.Now().Add(-time.Minute)
	ask := func() (providers.ReplayResult, error) {
		return replayer.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: sc.forge.Host(), Since: since})
	}
	none, err := ask()
	require.NoError(t, err)
	require.Equal(t, providers.ReplayResult{}, none)

	sc.forge.Deliver(sc.repo, pushEvent())
	down.Store(true)
	const lost = 130 // more than one page of the log
	for range lost / 2 {
		sc.forge.Deliver(sc.repo, pushEvent())
	}
	sc.forge.SetWebhookFaults(forgetest.WebhookFaults{Drop: true})
	for range lost / 2 {
		sc.forge.Deliver(sc.repo, pushEvent())
	}
	sc.forge.SetWebhookFaults(forgetest.WebhookFaults{})
	down.Store(false)
	sc.forge.Deliver(sc.repo, pushEvent())

	result, err := ask()
	require.NoError(t, err)
	require.Equal(t, providers.ReplayResult{Failed: lost, Replayed: lost}, result)
	sc.forge.Settle()
	arrived := map[string]int{}
	for _, d := range sc.forge.Deliveries() {
		if d.Delivered() {
			arrived[d.ID]++
		}
	}
	require.Len(t, arrived, lost+2)
	for id, times := range arrived {
		require.Equal(t, 1, times, "delivery %s was asked for again although it had arrived", id)
	}
	result, err = ask()
	require.NoError(t, err)
	require.Equal(t, providers.ReplayResult{}, result, "what arrived at a later attempt has arrived")

	for name, fault := range map[string]forgetest.Fault{
		string(providers.CodeRateLimited): {Status: http.StatusTooManyRequests, RetryAfter: 17 * time.Second, Echo: true},
		string(providers.CodeUnavailable): {Status: http.StatusBadGateway, Echo: true},
	} {
		remove := sc.forge.Inject(fault)
		_, err := ask()
		remove()
		requireCode(t, err, providers.Code(name))
		for _, secret := range sc.forge.Echoed() {
			requireSecret(t, secret, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = replayer.ReplayDeliveries(ctx, providers.ReplayRequest{Host: sc.forge.Host(), Since: since})
	require.True(t, err != nil && (errors.Is(err, context.Canceled) || providers.CodeOf(err) == providers.CodeUnavailable), "%v", err)
}
